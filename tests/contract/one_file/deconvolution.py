"""Each spot as the type whose cells it resembles most: the crudest deconvolution there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from histodecon.tl._deconvolution import DeconvolutionCard, DeconvolutionResult, DeconvolutionTask


def run(task: DeconvolutionTask, options: Mapping[str, Any]) -> DeconvolutionResult:
    """Correlate counts of spots and of types; the task holds both over the same genes, checked."""
    means = np.stack([task.reference[task.labels == name].mean(axis=0).A1 for name in task.cell_types])
    spots, types = np.log1p(task.counts.toarray()), np.log1p(means)
    r = np.corrcoef(spots, types)[: len(spots), len(spots) :]
    weight = np.exp(options["sharpness"] * (r - r.max(axis=1, keepdims=True)))
    shares = weight / weight.sum(axis=1, keepdims=True)
    signatures = pd.DataFrame(means.T, index=task.genes, columns=list(task.cell_types))
    return DeconvolutionResult(shares, signatures=signatures)


CARD = DeconvolutionCard(
    name="resemblance",
    summary="Shares by resemblance to the mean of each type.",
    run=run,
    kind="proportion",
    takes_signatures=False,
    packages=(),  # optional ones that it imports
    defaults={"sharpness": 20.0},
    citation="none",
)
