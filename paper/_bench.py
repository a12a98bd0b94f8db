"""What all experiments share: cohorts with targets, finished pieces of work, and a list of what is missing."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

import histodecon as hd
from paper._config import Cohort, Config, unset_variable
from paper._sections import Absent, Sections, digest

OWN, PREDICTIONS = "cell_abundance", "crossval_abundance"
Compute = Callable[[], tuple[list[dict[str, Any]], dict[str, pd.DataFrame]]]
SHOWN = ("cohort", "encoders", "task", "learner", "seed")


class Bench:
    """One run of a configuration."""

    def __init__(self, config: Config, out: Path, config_path: Path) -> None:
        self.config, self.out, self.config_path = config, out, config_path
        self.cache = config.cache
        self.missing: dict[str, str] = {}
        self._sections: dict[str, Sections] = {}

    def sections(self, name: str) -> Sections:
        """Embedded sections of a cohort; the first call computes what is missing."""
        if name not in self._sections:
            cohort = self.config.cohorts[name]
            made = Sections(cohort, self.config.encoders, self.cache, self.config.device)
            made.prepare()
            self.missing |= made.gaps
            self._sections[name] = made
        return self._sections[name]

    def cohort(self, name: str, encoders: str) -> ad.AnnData | None:
        """Spots with the embeddings of a set of encoders and their targets; None, and a note, where that cannot be."""
        sections = self.sections(name)
        try:
            adata = sections.load(self.config.encoder_sets[encoders])
        except Absent:  # the gaps of the sections say why
            return None
        try:
            return with_targets(adata, self.config.cohorts[name])
        except Absent as gap:
            self.missing[f"targets of {name}"] = str(gap)
            return None

    def unit(self, spec: dict[str, Any], compute: Compute) -> Unit:
        """A piece of work that is done once."""
        return unit(self.cache, spec, compute)


class Unit:
    """What a finished piece of work left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "rows.json").read_text())["rows"])

    def table(self, key: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / f"{key}.csv.gz", index_col=0)


def unit(cache: Path, spec: dict[str, Any], compute: Compute) -> Unit:
    """Do a piece of work, rows of scores and tables such as predictions, or find what an earlier run left of the same."""
    spec = {**spec, "version": hd.__version__, "code": code_of_models()}
    folder = cache / "units" / f"{spec['what']}-{digest(spec)}"
    if not (folder / "rows.json").exists():
        rows, tables = compute()
        folder.mkdir(parents=True, exist_ok=True)
        for key, table in tables.items():
            table.to_csv(folder / f"{key}.csv.gz")
        part = folder / "rows.part"
        part.write_text(json.dumps({"spec": spec, "rows": rows}, default=float))
        part.replace(folder / "rows.json")  # the last thing that is written says that all is there
        print(f"{spec['what']}: {', '.join(str(spec[key]) for key in SHOWN if key in spec)}", flush=True)
    return Unit(folder)


@functools.cache
def code_of_models() -> str:
    """Digest of the code that learns: other code is other work."""
    folder = Path(hd.models.__file__).parent
    return digest([path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))])


def with_targets(adata: ad.AnnData, cohort: Cohort) -> ad.AnnData:
    """Spots that have targets."""
    if cohort.targets is not None:
        hd.tl.set_targets(adata, cohort.targets)
        return adata
    path = Path(str(cohort.targets_file))
    unset = unset_variable(str(path))
    if unset or not path.exists():
        what = f"the variable {unset} is not set" if unset else f"there is no {path}"
        msg = (
            f"Targets of {cohort.name}: {what}; `python -m paper.targets` makes the file, or bring any deconvolution's"
        )
        raise Absent(msg)
    found = hd.get.abundance(ad.read_h5ad(path), layers={"found": OWN}).to_df()
    found = found.loc[found.notna().all(axis=1)]
    kept = adata[adata.obs_names.isin(found.index)].copy()
    if kept.n_obs == 0:
        msg = f"{path.name} names none of its spots, which are called such as {adata.obs_names[0]}"
        raise Absent(msg)
    hd.tl.set_targets(kept, found.loc[kept.obs_names], kind="abundance")
    return kept


def facts(adata: ad.AnnData) -> dict[str, Any]:
    """What identifies the spots that a piece of work saw."""
    targets = adata.obsm[OWN]
    return {
        "sections": sorted(set(adata.obs["library_id"].astype(str))),
        "n_spots": adata.n_obs,
        "targets": digest([list(targets.columns), round(float(targets.to_numpy().sum()), 6)]),
    }


def scores(truth: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, float]:
    """CC, mean over types; L1 on the scale of the targets, and summed over types on proportions."""
    predicted = predicted.loc[truth.index, truth.columns]
    r = hd.stats.pearson_per_type(truth, predicted)
    shares = [table.clip(lower=0).div(table.clip(lower=0).sum(axis=1), axis=0) for table in (truth, predicted)]
    return {
        "cc": float(np.nanmean(r)) if np.isfinite(r).any() else float("nan"),
        "n_defined": int(np.isfinite(r).sum()),
        "l1": float(hd.stats.l1_per_type(truth, predicted).mean()),
        "l1_shares": float(np.nansum(np.abs(shares[0] - shares[1]).to_numpy()) / len(truth)),
        "n_test": len(truth),
    }


def real_names(adata: ad.AnnData, key: str) -> pd.DataFrame:
    return hd.get.abundance(adata, layers={"found": key}).to_df()
