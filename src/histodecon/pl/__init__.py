"""Pictures."""

from histodecon.pl._abundance import abundance
from histodecon.pl._colocalization import colocalization
from histodecon.pl._deconvolution import deconvolution
from histodecon.pl._evaluation import evaluation
from histodecon.pl._tiles import tiles

__all__ = ["abundance", "colocalization", "deconvolution", "evaluation", "tiles"]
