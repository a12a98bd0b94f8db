"""Sections with their embeddings: computed once, kept as one h5ad a section and encoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd

import histodecon as hd
from histodecon.datasets._her2st import manifest
from histodecon.datasets._stnet import files_of
from paper._config import Cohort, unset_variable

ABSENT = {"BI-01", "BI-02", "BI-104"}
HOW = {
    "her2st": "copy the section from the repository almaan/her2st, or leave `folder` out and it is downloaded",
    "stnet": "download Mendeley Data, doi:10.17632/29ntw7sh4r, and set `folder` to it",
    "toy": "",
}


class Absent(Exception):  # no error: the run goes on
    """Something that the configuration names is not there; the text says what to get."""


def brief(error: hd.HistodeconError) -> str:
    """What is wrong and what to type, without the details between."""
    text = str(error)
    what, _, fix = text.partition(" To fix it: ")
    first = what.split(". ")[0].rstrip(".")
    return f"{first}; {fix}" if fix else first


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def section_names(cohort: Cohort) -> tuple[str, ...]:
    """Those the configuration names, or all of the data set."""
    if cohort.sections is not None:
        return cohort.sections
    if cohort.dataset == "her2st":
        return tuple(sorted({path.split("/")[-1].split(".")[0] for path in manifest() if "ST-cnts" in path}))
    if cohort.dataset == "toy":
        return ("toy_1", "toy_2")
    _require_folder(cohort)
    try:
        return tuple(files_of(Path(str(cohort.folder))))
    except hd.InputError as error:
        raise Absent(brief(error)) from error


def _require_folder(cohort: Cohort) -> None:
    unset = unset_variable(cohort.folder or "")
    if unset:
        msg = f"the variable {unset} is not set; {HOW[cohort.dataset]}"
        raise Absent(msg)


def read_section(cohort: Cohort, section: str) -> Any:
    """One section with its image."""
    if cohort.dataset == "toy":
        n = int(section.rsplit("_", 1)[1])
        return hd.datasets.toy_slide(
            n_patients=n, n_rows=cohort.n_rows, n_cols=cohort.n_rows, random_state=cohort.random_state
        )
    _require_folder(cohort)
    try:
        if cohort.dataset == "stnet":
            return hd.datasets.stnet(str(cohort.folder), sections=[section])
        return hd.datasets.her2st([section], folder=cohort.folder, show_progress_bar=False)
    except hd.HubError as error:
        raise Absent(brief(error)) from error
    except hd.InputError as error:
        if error.code not in ABSENT:
            raise
        msg = brief(error)
        raise Absent(msg) from error


def table_of_section(sdata: Any, section: str) -> ad.AnnData:
    """Spots of the section alone, under names that no other section has."""
    table = sdata["table"]
    table = table[(table.obs["library_id"] == section).to_numpy()].copy()
    table.obs_names = [f"{name.removesuffix(f'-{section}')}-{section}" for name in table.obs_names]
    table.uns.pop("spatial", None)
    table.X = None
    return table


def encoder_of(name: str, entry: Mapping[str, Any]) -> Any:
    """Name of a card, or the card of a timm model with local weights."""
    weights = entry.get("weights")
    if weights is not None and not Path(weights).exists():
        unset = unset_variable(weights)
        what = f"the variable {unset} is not set" if unset else f"there is no {weights}"
        msg = f"no weights: {what}"
        raise Absent(msg)
    if "timm" not in entry:
        return name
    rest = {key: value for key, value in entry.items() if key != "timm"}
    return hd.encoders.timm_card(entry["timm"], name=name, **rest)


def embed(sdata: Any, name: str, entry: Mapping[str, Any], device: str) -> None:
    encoder = encoder_of(name, entry)
    weights = None if "timm" in entry else entry.get("weights")
    try:
        hd.pp.embed_tiles(sdata, encoder, weights=weights, device=device, show_progress_bar=False)
    except (hd.HubError, hd.MissingDependencyError) as error:
        msg = brief(error)
        raise Absent(msg) from error


class Sections:
    """Embedded sections of one cohort in a folder; what is there is not computed again."""

    def __init__(self, cohort: Cohort, encoders: Mapping[str, Mapping[str, Any]], cache: Path, device: str) -> None:
        self.cohort, self.encoders, self.device = cohort, encoders, device
        what = [cohort.dataset, cohort.tile_px, cohort.tile_um, cohort.random_state, cohort.n_rows]
        self.folder = cache / "embeddings" / f"{cohort.name}-{digest(what)}"
        self.absent: dict[str, str] = {}
        self.lost: dict[str, str] = {}

    def _path(self, section: str, encoder: str | None = None) -> Path:
        stem = "spots" if encoder is None else f"{encoder}-{digest(dict(self.encoders[encoder]))}"
        return self.folder / section / f"{stem}.h5ad"

    def prepare(self) -> None:
        """Read and embed what is missing, one image in memory at a time; note what cannot be had."""
        try:
            names = section_names(self.cohort)
        except Absent as gap:
            self.absent[self.cohort.name] = str(gap)
            return
        for section in names:
            wanted = [one for one in self.encoders if one not in self.absent and not self._path(section, one).exists()]
            if not wanted and self._path(section).exists():
                continue
            try:
                sdata = read_section(self.cohort, section)
            except Absent as gap:
                self.lost[section] = str(gap)
                continue
            self._embed(sdata, section, wanted)

    @property
    def gaps(self) -> dict[str, str]:
        """What cannot be had: an entry for the cohort, and one for each encoder."""
        if not self.lost:
            return self.absent
        listed = ", ".join(list(self.lost)[:3]) + (", …" if len(self.lost) > 3 else "")
        what = f"{len(self.lost)} of {len(section_names(self.cohort))} sections are not there ({listed})"
        return {**self.absent, self.cohort.name: f"{what}: {next(iter(self.lost.values()))}"}

    def _embed(self, sdata: Any, section: str, wanted: list[str]) -> None:
        hd.pp.tile_spots(sdata, **self.cohort.tiling)
        for name in wanted:
            try:
                embed(sdata, name, self.encoders[name], self.device)
            except Absent as gap:
                self.absent[name] = str(gap)
        table = table_of_section(sdata, section)
        self._path(section).parent.mkdir(parents=True, exist_ok=True)
        records = table.uns["histodecon"].pop("embeddings", {})
        for name in wanted:
            if f"X_{name}" not in table.obsm:
                continue
            part = ad.AnnData(obs=pd.DataFrame(index=table.obs_names), obsm={f"X_{name}": table.obsm.pop(f"X_{name}")})
            part.uns["histodecon"] = {"embeddings": {f"X_{name}": records[f"X_{name}"]}}
            _write(part, self._path(section, name))
        _write(table, self._path(section))

    def load(self, encoders: tuple[str, ...]) -> ad.AnnData:
        """All sections that have these embeddings, in one table."""
        parts = []
        for section in () if self.cohort.name in self.absent else section_names(self.cohort):
            paths = [self._path(section), *(self._path(section, name) for name in encoders)]
            if all(path.exists() for path in paths):
                parts.append([ad.read_h5ad(path) for path in paths])
        if not parts:
            msg = f"{self.cohort.name} with {', '.join(encoders)}: nothing to work on"
            raise Absent(msg)
        return _joined(parts)


def _joined(parts: list[list[ad.AnnData]]) -> ad.AnnData:
    tables = []
    for table, *embedded in parts:
        for one in embedded:
            aligned = one[table.obs_names]
            table.obsm.update({key: aligned.obsm[key] for key in one.obsm})
            table.uns["histodecon"].setdefault("embeddings", {}).update(one.uns["histodecon"]["embeddings"])
        tables.append(table)
    return hd.concat(tables) if len(tables) > 1 else tables[0]


def _write(adata: ad.AnnData, path: Path) -> None:
    part = path.with_suffix(".part")
    adata.write_h5ad(part)
    part.replace(path)
