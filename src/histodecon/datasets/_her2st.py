"""HER2-positive breast tumors: 36 sections of 8 patients with H&E, counts and published proportions."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from histodecon._core import AlignmentError, InputError, doc, first_names
from histodecon.datasets._fetch import fetch

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from histodecon.io._assemble import Section

COMMIT = "85df7411b987a7dec3feff9718b869a7a82091ec"
ADDRESS = f"https://raw.githubusercontent.com/almaan/her2st/{COMMIT}/"
KEY = "stereoscope"
LEVELS = ("major", "minor", "subset")
SHARED = "HISTODECON_SHARED"


@doc
def her2st(
    sections: str | Sequence[str] = "B4",
    *,
    folder: str | os.PathLike[str] | None = None,
    proportions: Literal["major", "minor", "subset"] | None = "major",
    show_progress_bar: bool = True,
) -> SpatialData:
    """Load sections of HER2-positive breast tumors with their published cell-type proportions.

    Parameters
    ----------
    sections
        Names such as ``"B4"``: letter of the patient (A to H) and number of the section.
    folder
        Folder with the files: a copy of the repository, or ``counts/B4.tsv.gz``, ``spotfiles/B4_selection.tsv``,
        ``images/B4__*.jpg`` and ``props/major.zip``. Default: ``$HISTODECON_SHARED/her2st``, and what is absent there is
        downloaded from the repository of the authors at a pinned commit, checked, and kept in the cache of the user.
    proportions
        Level of the Stereoscope proportions: ``"major"`` (8 cell types), ``"minor"`` (22), ``"subset"`` (41), or None. They
        are another tool's estimate, a stand-in for the truth.
    %(show_progress_bar)s

    Returns
    -------
    SpatialData as :func:`histodecon.io.read_st` makes it, with all sections in one table; ``obs["patient"]`` is the letter,
    ``obsm["stereoscope"]`` holds the proportions (spots × cell types, rows sum to 1). Barcodes are ``10x14``, and
    ``10x14-B4`` when there are several sections.

    Raises
    ------
    InputError
        A section or level is unknown, or ``folder`` lacks a file.
    OfflineError
        A file must be downloaded and there is no network.
    IntegrityError
        A downloaded file is not the one that was published.

    Notes
    -----
    A full-resolution image has about 92 megapixels, 0.3 GB of memory for each section. The repository states no license:
    look there before you pass files on.

    References
    ----------
    Andersson, A. et al. Spatial deconvolution of HER2-positive breast cancer delineates tumor-associated cell type
    interactions. Nature Communications 12, 6012 (2021).

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.her2st(["B4", "C2"])  # doctest: +SKIP
    >>> sdata["table"].obs["patient"].unique().tolist()  # doctest: +SKIP
    ['B', 'C']
    """
    from histodecon.io._assemble import assemble
    from histodecon.io._read_st import note_without_counts

    names = [sections] if isinstance(sections, str) else list(sections)
    _check(names, proportions)
    read = [_read(name, folder, proportions, show_progress_bar=show_progress_bar) for name in names]
    sdata = assemble([section for section, _ in read], kinds={KEY: "proportion"})
    note_without_counts(sdata, {section.library_id: missing for section, missing in read})
    return sdata


def _check(names: Sequence[str], proportions: str | None) -> None:
    known = sorted({path.split("/")[-1].split(".")[0] for path in manifest() if "ST-cnts" in path})
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        close = get_close_matches(str(unknown[0]).upper(), known, 3, 0.3) if unknown else []
        msg = f"her2st has no section {first_names(unknown)}" if unknown else "No section was named"
        fix = f"did you mean {first_names(close)}?" if close else f"sections: {', '.join(known)}"
        raise InputError(msg, where=f"{len(known)} sections, {known[0]} to {known[-1]}", fix=fix, code="BI-104")
    if len(set(names)) != len(names):
        msg = "A section was named twice"
        raise InputError(msg, where=first_names(names, 8), code="BI-05")
    if proportions is not None and proportions not in LEVELS:
        msg = f"her2st has no proportions {proportions!r}"
        raise InputError(msg, fix=f"use one of {', '.join(map(repr, LEVELS))}, or None", code="BI-104")


def _read(
    name: str, folder: str | os.PathLike[str] | None, level: str | None, *, show_progress_bar: bool
) -> tuple[Section, int]:
    from dataclasses import replace

    from histodecon.io._st_section import read_section

    def path(part: str) -> Path:
        return _locate(part, folder, show_progress_bar=show_progress_bar)

    image = next(part for part in manifest() if part.startswith(f"data/ST-imgs/{name[0]}/{name}/"))
    section, missing = read_section(
        path(f"data/ST-cnts/{name}.tsv.gz"),
        path(f"data/ST-spotfiles/{name}_selection.tsv"),
        path(image),
        library_id=name,
        patient=name[0],
    )
    if level is None:
        return section, missing
    table = _proportions(path(f"res/ST-deconv/props/{level}.zip"), level, name)
    absent = [spot for spot in section.obs_names if spot not in table.index]
    if absent:
        msg = f"Some spots of section {name} have no {level} proportions"
        where = f"{len(absent)} of {len(section.obs_names)}: {first_names(absent)}"
        raise AlignmentError(msg, where=where, fix="load it with `proportions=None`", code="BI-09")
    return replace(section, tables={KEY: table.loc[list(section.obs_names)]}), missing


def _proportions(archive: Path, level: str, name: str) -> pd.DataFrame:
    from histodecon.io._st_section import normal_ids

    member = f"{level}/{name}-proportion.tsv"
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as handle:
            table = pd.read_csv(handle, sep="\t", index_col=0)
    except (zipfile.BadZipFile, KeyError) as error:
        msg = f"{archive.name} does not hold {member}"
        raise InputError(msg, where=str(error), fix="fetch it again", code="BI-29") from error
    table.index = pd.Index(normal_ids(table.index, f"{level} proportions"), dtype=object)
    return table


def _locate(part: str, folder: str | os.PathLike[str] | None, *, show_progress_bar: bool) -> Path:
    shared = os.environ.get(SHARED)
    places = [Path(folder)] if folder is not None else [Path(shared) / "her2st"] if shared else []
    for place in places:
        found = _in_folder(place, part)
        if found is not None:
            return found
    layout = (
        f"put it at {_short(part)} or {part} in a folder and hand that in with `folder=`, "
        f"or call the folder her2st and set {SHARED} to the one around it"
    )
    if folder is not None:
        msg = f"The folder has no {_short(part)}"
        raise InputError(msg, where=str(folder), fix=f"{layout}; without `folder=` it is downloaded", code="BI-02")
    import pooch

    target = Path(pooch.os_cache("histodecon")) / "her2st" / part
    return fetch(ADDRESS + part, target, manifest()[part], layout=layout, show_progress_bar=show_progress_bar)


def _in_folder(folder: Path, part: str) -> Path | None:
    if (folder / part).is_file():
        return folder / part
    short = _short(part)
    if "*" not in short:
        return folder / short if (folder / short).is_file() else None
    return next(iter(sorted(folder.glob(short))), None)


def _short(part: str) -> str:
    name = Path(part).name
    if "ST-imgs" in part:
        return f"images/{Path(part).parent.name}__*.jpg"
    kind = {"ST-cnts": "counts", "ST-spotfiles": "spotfiles", "props": "props"}[Path(part).parent.name]
    return f"{kind}/{name}"


@cache
def manifest() -> dict[str, str]:
    """Read which files the authors published.

    Returns
    -------
    Git hash by path in their repository at :data:`COMMIT`.
    """
    lines = (files("histodecon.datasets") / "her2st_manifest.tsv").read_text(encoding="utf-8").splitlines()
    return {line.split("\t")[0]: line.split("\t")[1] for line in lines[1:]}
