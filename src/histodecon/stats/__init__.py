"""Statistics on plain arrays: spatial correlation, agreement scores, splits.

A pure room: numpy, scipy and pandas only. It raises :class:`ValueError` and :class:`TypeError`; the rooms that carry
data in and out of AnnData turn faults of a user's data into errors that name the key.
"""

from __future__ import annotations

from histodecon.stats._agreement import AGREEMENT_CONVENTIONS, agreement_table, map_agreement
from histodecon.stats._bootstrap import BOOTSTRAPPED, bootstrap_groups, bootstrap_scores
from histodecon.stats._intervals import group_interval, least_groups, percentile_interval
from histodecon.stats._lattice import on_lattice
from histodecon.stats._local import LocalMoranResult, local_morans_r
from histodecon.stats._mantel import mantel_test
from histodecon.stats._moran import MoranResult, morans_r
from histodecon.stats._null import benjamini_hochberg, family_wise_q
from histodecon.stats._paired import PairedTest, paired_test
from histodecon.stats._pool import AcrossSlides, across_slides, pool_morans_r
from histodecon.stats._scores import (
    jsd_per_spot,
    jsd_per_type,
    l1_per_type,
    l1_shares_per_type,
    pearson_per_type,
    rmse_per_type,
    score_table,
    spearman_per_type,
)
from histodecon.stats._share_out import share_out
from histodecon.stats._spacing import nearest_neighbor_pitch
from histodecon.stats._spatialdm import morans_r_spatialdm
from histodecon.stats._splits import group_k_fold, leave_one_group_out
from histodecon.stats._sums import METHODS as MORAN_METHODS
from histodecon.stats._weights import SpatialSums, gaussian_sums

__all__ = [
    "AGREEMENT_CONVENTIONS",
    "BOOTSTRAPPED",
    "MORAN_METHODS",
    "AcrossSlides",
    "LocalMoranResult",
    "MoranResult",
    "PairedTest",
    "SpatialSums",
    "across_slides",
    "agreement_table",
    "benjamini_hochberg",
    "bootstrap_groups",
    "bootstrap_scores",
    "family_wise_q",
    "gaussian_sums",
    "group_interval",
    "group_k_fold",
    "jsd_per_spot",
    "jsd_per_type",
    "l1_per_type",
    "l1_shares_per_type",
    "least_groups",
    "leave_one_group_out",
    "local_morans_r",
    "mantel_test",
    "map_agreement",
    "morans_r",
    "morans_r_spatialdm",
    "nearest_neighbor_pitch",
    "on_lattice",
    "paired_test",
    "pearson_per_type",
    "percentile_interval",
    "pool_morans_r",
    "rmse_per_type",
    "score_table",
    "share_out",
    "spearman_per_type",
]
