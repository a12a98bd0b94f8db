"""Pictures."""

from histodecon.pl._ablation import ablation
from histodecon.pl._abundance import abundance
from histodecon.pl._colocalization import colocalization
from histodecon.pl._colocalization_network import colocalization_network
from histodecon.pl._composition import composition
from histodecon.pl._deconvolution import deconvolution
from histodecon.pl._evaluation import evaluation
from histodecon.pl._local_colocalization import local_colocalization
from histodecon.pl._reliability import reliability
from histodecon.pl._report import report
from histodecon.pl._tiles import tiles
from histodecon.pl._training import training

__all__ = [
    "ablation",
    "abundance",
    "colocalization",
    "colocalization_network",
    "composition",
    "deconvolution",
    "evaluation",
    "local_colocalization",
    "reliability",
    "report",
    "tiles",
    "training",
]
