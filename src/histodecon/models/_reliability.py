"""What held-out patients say about each cell type: trust, caution, do not use."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import IntegrityError
from histodecon.models._checks import checked_types, encoded_groups
from histodecon.models._conformal import held_out_coverage
from histodecon.models._held_out import checked_pairs

if TYPE_CHECKING:
    import pandas as pd

TRUST, CAUTION, AVOID = VERDICTS = ("trust", "caution", "do not use")
USELESS_CC = 0.2
GOOD_CC = 0.4
LEAST_GROUPS = 3
MISSING_COVERAGE = 0.1
COVERAGE = 0.9
CONFIDENCE = 0.95
_COLORS = dict(zip(VERDICTS, ("#009E73", "#E69F00", "#D55E00"), strict=True))


class ReliabilityCard:
    """How well each cell type was predicted in groups that were left out, and what follows from it.

    Parameters
    ----------
    cc
        Pearson correlation over the spots of each group left out, shape (groups, K); NaN where one side does not vary.
    coverage
        Share of held-out spots inside intervals that were calibrated on the other groups, shape (K,).
    l1
        Mean absolute error of held-out spots, in the unit of the targets, shape (K,).
    n_spots
        Spots of each group, shape (groups,).
    cell_types
        Their names.
    nominal
        Coverage that the intervals aim at.

    Notes
    -----
    ``cc`` is the mean over groups. Its 95 % interval is that of a t test over groups on Fisher's z scale, never narrower
    than the spots alone would have it; it is wide with few groups, as it should be. The verdict of a cell type is

    - **do not use**: the CC is below 0.2, or no group has one;
    - **trust**: at least 3 groups have a CC, its mean is 0.4 or more and its interval lies above 0.2, and coverage misses its
      aim by no more than 10 points;
    - **caution**: everything else; ``reason`` says what.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import ReliabilityCard
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.gamma(2, 2, size=(200, 2))
    >>> predicted = np.column_stack([truth[:, 0] + rng.normal(size=200), rng.gamma(2, 2, size=200)])
    >>> card = ReliabilityCard.fit(truth, predicted, np.arange(200) % 4, cell_types=["T cell", "B cell"])
    >>> list(card.to_frame()["verdict"])
    ['trust', 'do not use']
    """

    kind = "held-out groups"

    def __init__(
        self,
        cc: NDArray[np.float64],
        coverage: NDArray[np.float64],
        l1: NDArray[np.float64],
        n_spots: NDArray[np.float64],
        *,
        cell_types: Sequence[str],
        nominal: float = COVERAGE,
    ) -> None:
        self.cc, self.coverage, self.l1, self.n_spots = cc, coverage, l1, n_spots
        self.cell_types, self.nominal = tuple(cell_types), float(nominal)

    @classmethod
    def fit(
        cls,
        truth: ArrayLike,
        predicted: ArrayLike,
        groups: ArrayLike,
        *,
        cell_types: Sequence[str] | None = None,
        coverage: float = COVERAGE,
    ) -> ReliabilityCard:
        """Fill the card.

        Parameters
        ----------
        truth
            Targets of held-out spots, shape (n, K). Rows with NaN are left out.
        predicted
            What a model said of them that never saw their group, shape (n, K).
        groups
            Group of each row (the patient), two or more, shape (n,).
        cell_types
            Names of the columns.
        coverage
            What the intervals aim at, see :class:`ConformalIntervals`.

        Returns
        -------
        The card.

        Raises
        ------
        InputError
            Shapes do not fit, or there is no row.
        """
        truth, predicted, kept = checked_pairs(truth, predicted)
        codes, names = encoded_groups(np.asarray(groups)[kept], len(truth))
        cc = np.stack([_pearson(truth[codes == code], predicted[codes == code]) for code in range(len(names))])
        covered = held_out_coverage(truth, predicted, codes, coverage)
        l1 = np.abs(truth - predicted).mean(axis=0)
        sizes = np.bincount(codes).astype(np.float64)
        return cls(cc, covered, l1, sizes, cell_types=checked_types(cell_types, truth.shape[1]), nominal=coverage)

    def to_frame(self) -> pd.DataFrame:
        """Return the card as a table.

        Returns
        -------
        One row a cell type: ``cc``, ``cc_low``, ``cc_high``, ``coverage``, ``l1``, ``n_spots``, ``n_groups`` (those with a CC),
        ``verdict``, ``reason``.
        """
        import pandas as pd

        rows = []
        for k in range(len(self.cell_types)):
            defined = np.isfinite(self.cc[:, k])
            cc = float(self.cc[defined, k].mean()) if defined.any() else float("nan")
            low, high = _interval(self.cc[defined, k], self.n_spots[defined])
            verdict, reason = self._judge(cc, low, float(self.coverage[k]), int(defined.sum()))
            numbers = {"cc": cc, "cc_low": low, "cc_high": high, "coverage": self.coverage[k], "l1": self.l1[k]}
            counts = {"n_spots": int(self.n_spots.sum()), "n_groups": int(defined.sum())}
            rows.append({**numbers, **counts, "verdict": verdict, "reason": reason})
        return pd.DataFrame(rows, index=pd.Index(self.cell_types, name="cell_type"))

    def _judge(self, cc: float, low: float, coverage: float, n_groups: int) -> tuple[str, str]:
        if n_groups == 0:
            return AVOID, "truth or prediction does not vary in the groups left out"
        if cc < USELESS_CC:
            return AVOID, f"CC {cc:.2f} is below {USELESS_CC}"
        doubts = []
        if n_groups < LEAST_GROUPS:
            doubts.append(f"only {n_groups} group{'s' if n_groups > 1 else ''}")
        if cc < GOOD_CC:
            doubts.append(f"CC {cc:.2f} is below {GOOD_CC}")
        if low <= USELESS_CC:
            doubts.append(f"CC may be as low as {low:.2f}")
        if coverage < self.nominal - MISSING_COVERAGE:
            doubts.append(f"{self.nominal:.0%} intervals held {coverage:.0%}")
        return (CAUTION, "; ".join(doubts)) if doubts else (TRUST, "")

    def __str__(self) -> str:
        table = self.to_frame()
        width = max(len("cell type"), *(len(name) for name in table.index))
        head = f"{'cell type':<{width}}    CC  95 % interval  coverage  verdict"
        lines = [self._title(), "", head]
        for name, row in table.iterrows():
            cc = (
                " none             "
                if np.isnan(row["cc"])
                else f"{row['cc']:5.2f}  {row['cc_low']:5.2f} to {row['cc_high']:5.2f}"
            )
            reason = f": {row['reason']}" if row["reason"] else ""
            lines.append(f"{name:<{width}} {cc}  {row['coverage']:8.0%}  {row['verdict']}{reason}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        verdicts = self.to_frame()["verdict"]
        counts = ", ".join(f"{int((verdicts == verdict).sum())} {verdict}" for verdict in VERDICTS)
        return f"ReliabilityCard({len(self.cell_types)} types: {counts})"

    def _repr_html_(self) -> str:
        cells = []
        for name, row in self.to_frame().iterrows():
            cc = "none" if np.isnan(row["cc"]) else f"{row['cc']:.2f} ({row['cc_low']:.2f} to {row['cc_high']:.2f})"
            verdict = f'<b style="color:{_COLORS[row["verdict"]]}">{row["verdict"]}</b> {html.escape(row["reason"])}'
            texts = (html.escape(str(name)), cc, f"{row['coverage']:.0%}", verdict)
            cells.append("<tr>" + "".join(f"<td>{text}</td>" for text in texts) + "</tr>")
        titles = ("cell type", "CC (95 % interval)", f"coverage of {self.nominal:.0%}", "verdict")
        head = "".join(f"<th>{title}</th>" for title in titles)
        return f"<p>{self._title()}</p><table><tr>{head}</tr>{''.join(cells)}</table>"

    def _title(self) -> str:
        return f"Reliability in {len(self.n_spots)} groups left out, {int(self.n_spots.sum()):,} spots"

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what a model file keeps as numbers.

        Returns
        -------
        Arrays by name, float64; a CC that is undefined is 0 there and ``defined`` says so.
        """
        defined = np.isfinite(self.cc)
        found = {"cc": np.where(defined, self.cc, 0.0), "defined": defined.astype(np.float64)}
        return found | {"coverage": self.coverage, "l1": self.l1, "n_spots": self.n_spots}

    def facts(self) -> dict[str, Any]:
        """Return what a model file keeps as words.

        Returns
        -------
        ``cell_types`` and ``nominal``.
        """
        return {"cell_types": list(self.cell_types), "nominal": self.nominal}

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> ReliabilityCard:
        """Build the card from what a model file kept.

        Parameters
        ----------
        facts
            What :meth:`facts` gave.
        arrays
            What :meth:`arrays` gave.

        Returns
        -------
        The card.

        Raises
        ------
        IntegrityError
            Arrays are absent, too many, of other shapes, or out of range.
        """
        try:
            types, nominal = [str(name) for name in facts["cell_types"]], float(facts["nominal"])
            n_types, n_groups = len(types), int(np.shape(arrays["n_spots"])[0])
            expected: dict[str, tuple[int, ...]] = dict.fromkeys(("cc", "defined"), (n_groups, n_types))
            expected |= {"coverage": (n_types,), "l1": (n_types,), "n_spots": (n_groups,)}
            shapes = {name: np.shape(array) for name, array in arrays.items()}
            sound = n_types > 0 and n_groups > 0 and shapes == expected
            sound = sound and bool((np.abs(arrays["cc"]) <= 1).all() and np.isin(arrays["defined"], (0, 1)).all())
        except (KeyError, TypeError, ValueError, IndexError) as error:
            msg = "The reliability card of the model file cannot be read"
            raise IntegrityError(msg, where=repr(error), fix="get the file again", code="BI-82") from error
        if not sound:
            msg = "The reliability card of the model file is not as declared"
            raise IntegrityError(msg, where=f"{n_types} types", fix="get the file again", code="BI-82")
        cc = np.where(arrays["defined"] == 1, arrays["cc"], np.nan)
        return cls(cc, arrays["coverage"], arrays["l1"], arrays["n_spots"], cell_types=types, nominal=nominal)


def _pearson(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of each column; NaN where one side does not vary."""
    sides = [side - side.mean(axis=0) for side in (truth, predicted)]
    flat = [np.ptp(side, axis=0) <= 1e-12 * np.abs(side).max(axis=0, initial=0) for side in (truth, predicted)]
    length = np.sqrt((sides[0] ** 2).sum(axis=0) * (sides[1] ** 2).sum(axis=0))
    usable = ~(flat[0] | flat[1]) & (length > 0)
    r = np.full(truth.shape[1], np.nan)
    np.divide((sides[0] * sides[1]).sum(axis=0), length, out=r, where=usable)
    return np.clip(r, -1, 1)


def _interval(cc: NDArray[np.float64], n_spots: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean over groups, on Fisher's z scale."""
    from scipy.stats import t

    n = len(cc)
    if n == 0:
        return float("nan"), float("nan")
    if n == 1:
        return -1.0, 1.0
    z = np.arctanh(np.clip(cc, -0.999999, 0.999999))
    within = np.sqrt((1 / np.maximum(n_spots - 3, 1)).sum()) / n
    half = t.ppf((1 + CONFIDENCE) / 2, n - 1) * max(float(z.std(ddof=1)) / np.sqrt(n), float(within))
    return float(np.tanh(z.mean() - half)), float(np.tanh(z.mean() + half))
