"""From embedding to abundance to map."""

from histodecon.tl._aggregate_types import aggregate_types
from histodecon.tl._colocalization import colocalization
from histodecon.tl._compare_colocalization import compare_colocalization
from histodecon.tl._compare_conditions import compare_conditions
from histodecon.tl._compare_learners import compare_learners
from histodecon.tl._consensus_targets import consensus_targets
from histodecon.tl._cross_validate import cross_validate
from histodecon.tl._deconvolve import deconvolve
from histodecon.tl._evaluate import evaluate
from histodecon.tl._list_deconvolution_methods import list_deconvolution_methods
from histodecon.tl._predict_abundance import predict_abundance
from histodecon.tl._set_targets import set_targets
from histodecon.tl._sum_nuclei import sum_nuclei
from histodecon.tl._super_resolve import super_resolve
from histodecon.tl._train_regressor import train_regressor

__all__ = [
    "aggregate_types",
    "colocalization",
    "compare_colocalization",
    "compare_conditions",
    "compare_learners",
    "consensus_targets",
    "cross_validate",
    "deconvolve",
    "evaluate",
    "list_deconvolution_methods",
    "predict_abundance",
    "set_targets",
    "sum_nuclei",
    "super_resolve",
    "train_regressor",
]
