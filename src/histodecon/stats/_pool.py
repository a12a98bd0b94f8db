"""Maps of several slides as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histodecon.stats._moran import MoranResult
from histodecon.stats._null import family_wise_q, two_sided
from histodecon.stats._smooth_null import student_p


def pool_morans_r(results: Sequence[MoranResult], *, same: bool = True) -> MoranResult:
    """Average maps of separate slides, each slide weighted by its number of spots.

    Parameters
    ----------
    results
        Maps of the same types, one a slide; weights never cross slides.
    same
        Whether each map is of one table against itself (the diagonal is then a family of its own).

    Returns
    -------
    The pooled map. A slide where a type has no variance is left out of that type's pairs. The moments are exact for
    permutations within slides; p is the normal approximation, or, where maps have a smooth null, the t test with the
    effective number of spots of all slides (Welch and Satterthwaite). ``length`` is NaN where the slides differ.
    """
    if not results:
        msg = "nothing to pool: results is empty"
        raise ValueError(msg)
    r = np.stack([result.r for result in results])
    n = np.array([result.n for result in results], dtype=np.float64)
    weight = np.where(np.isnan(r), 0.0, n[:, None, None])
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weight / total
    pooled_r, expected = (_share_sum(share, stack) for stack in (r, np.stack([result.expected for result in results])))
    sd = np.sqrt(_share_sum(share**2, np.stack([result.sd**2 for result in results])))
    z = (pooled_r - expected) / sd
    freedom = _pooled_freedom(results, share, sd)
    p = two_sided(z) if freedom is None else np.where(np.isnan(freedom), two_sided(z), student_p(z, freedom))
    lengths = {result.length for result in results}
    neighbors = float(np.average([result.neighbors for result in results], weights=np.maximum(n, 1)))
    reason = "" if np.isfinite(pooled_r).any() else results[0].reason or "no slide has two types with variance"
    return MoranResult(
        pooled_r,
        expected,
        sd,
        z,
        p,
        family_wise_q(p, same=same),
        int(n.sum()),
        lengths.pop() if len(lengths) == 1 else np.nan,
        neighbors,
        reason,
        effective_n=freedom,
    )


@dataclass(frozen=True)
class AcrossSlides:
    """A random-effects summary of slides; arrays are (K, L), NaN where fewer than two slides have a value.

    Parameters
    ----------
    r
        Mean R of the population of slides.
    lower, upper
        Its 95 % confidence interval.
    p
        Two-sided p of a mean of 0.
    q
        Benjamini-Hochberg, families as in :class:`MoranResult`.
    tau
        Standard deviation of R between slides, beyond what chance does within them.
    slides
        How many slides count.
    """

    r: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    tau: NDArray[np.float64]
    slides: NDArray[np.int64]


def across_slides(results: Sequence[MoranResult], *, same: bool = True) -> AcrossSlides:
    """Ask whether a pair shares places on slides in general, each slide being one observation.

    Parameters
    ----------
    results
        Maps of the same types, one an independent sample.
    same
        Whether each map is of one table against itself.

    Returns
    -------
    The summary.

    Notes
    -----
    Rₛ ~ N(R + δₛ, sdₛ²), δₛ ~ N(0, τ²); τ² by DerSimonian and Laird, the interval and p by Hartung, Knapp, Sidik and Jonkman:
    the scatter of the slides themselves is what the mean is measured by, with one degree of freedom less than slides. So p
    holds also where types are smooth in space, which the p of one slide does not, and it needs several slides. ``expected``
    is taken off first on the diagonal, so ``r`` of a type with itself is what exceeds chance.

    References
    ----------
    DerSimonian and Laird, *Control. Clin. Trials* 7 (1986) 177-188. Hartung and Knapp, *Stat. Med.* 20 (2001) 3875-3889.
    """
    if not results:
        msg = "nothing to pool: results is empty"
        raise ValueError(msg)
    from scipy.special import stdtr, stdtrit

    effect = np.stack([result.r - result.expected for result in results])
    variance = np.stack([result.sd**2 for result in results])
    known = np.isfinite(effect) & np.isfinite(variance) & (variance > 0)
    count = known.sum(axis=0)
    few = count < 2
    with np.errstate(invalid="ignore", divide="ignore"):
        fixed = np.where(known, 1.0 / variance, 0.0)
        effect = np.where(known, effect, 0.0)
        center = (fixed * effect).sum(axis=0) / fixed.sum(axis=0)
        spread = (fixed * (effect - center) ** 2).sum(axis=0)
        scale = fixed.sum(axis=0) - (fixed**2).sum(axis=0) / fixed.sum(axis=0)
        between = np.maximum((spread - (count - 1)) / scale, 0.0)
        weight = np.where(known, 1.0 / (variance + between), 0.0)
        total = weight.sum(axis=0)
        mean = (weight * effect).sum(axis=0) / total
        error = np.sqrt((weight * (effect - mean) ** 2).sum(axis=0) / ((count - 1) * total))
        half = stdtrit(np.maximum(count - 1, 1), 0.975) * error
        p = 2.0 * stdtr(np.maximum(count - 1, 1), -np.abs(mean) / error)
    mean, half, p, tau = (np.where(few, np.nan, part) for part in (mean, half, p, np.sqrt(between)))
    return AcrossSlides(mean, mean - half, mean + half, p, family_wise_q(p, same=same), tau, count)


def _pooled_freedom(
    results: Sequence[MoranResult], share: NDArray[np.float64], sd: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Effective number of spots behind a weighted mean of slides; None where maps have no smooth null."""
    known = [result.effective_n for result in results if result.effective_n is not None]
    if len(known) < len(results):
        return None
    parts = (share**2 * np.stack([result.sd**2 for result in results])) ** 2 / (np.stack(known) - 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1.0 + sd**4 / _share_sum(np.sign(share), parts)


def _share_sum(share: NDArray[np.float64], stack: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over slides with weight; NaN only where a slide that counts is NaN, or none counts."""
    return np.where(share == 0.0, 0.0, share * stack).sum(axis=0)
