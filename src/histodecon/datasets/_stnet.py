"""Breast tumors of 23 patients, 68 sections with H&E and counts, from a folder that the user downloaded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from histodecon._core import InputError, first_names

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from histodecon.io._assemble import Section

_SECTION = r"B[TC](?P<number>\d+)_(?P<part>[A-Z]\d+)"
_FILES = {
    "image": re.compile(rf"^(?:HE_)?{_SECTION}\.jpe?g$"),
    "counts": re.compile(rf"^{_SECTION}(?:_stdata)?\.tsv(?:\.gz)?$"),
    "spots": re.compile(rf"^(?:spots_{_SECTION}\.csv(?:\.gz)?|B[TC](?P<number2>\d+)_(?P<part2>[A-Z]\d+)\.spots\.txt)$"),
}
_NAMES = {
    "image": "HE_BT23287_C1.jpg",
    "counts": "BC23287_C1_stdata.tsv.gz",
    "spots": "spots_BT23287_C1.csv.gz",
}
SUBTYPE = "subtype"
LAYOUT = f"{', '.join(_NAMES.values())} and so on for each section, in one folder or below it"


def stnet(path: str | os.PathLike[str], *, sections: str | Sequence[str] | None = None) -> SpatialData:
    """Load sections of the breast tumors of He et al. 2020 from a folder that you downloaded.

    Parameters
    ----------
    path
        Folder with the files as they are published: for each section the image ``HE_BT23287_C1.jpg``, the counts
        ``BC23287_C1_stdata.tsv.gz`` and the spots ``spots_BT23287_C1.csv.gz``, and ``metadata.csv`` with the subtype of each
        tumor. Files may be unzipped or sorted into folders. The folders that the authors' code reads
        (``Luminal_A/BC23287/BC23287_C1.jpg``, ``….tsv.gz``, ``….spots.txt``) do as well.
    sections
        Names such as ``"BC23287_C1"``, by default all that are there.

    Returns
    -------
    SpatialData as :func:`histodecon.io.read_st` makes it, with all sections in one table; ``obs["patient"]`` is such as
    ``"BC23287"``, the column ``subtype`` of ``obs`` is that of ``metadata.csv`` where there is one. Barcodes are ``10x14``, and
    ``10x14-BC23287_C1`` when there are several sections. There are no cell-type proportions: see
    :func:`histodecon.tl.deconvolve` and :func:`histodecon.tl.set_targets`.

    Raises
    ------
    InputError
        The folder is absent or holds no section, a section is unknown, or one of its files is missing or damaged.
    AlignmentError
        Counts and spots are not of one section.

    Notes
    -----
    A file is called BT in one place and BC in another where both mean one patient; here every patient is BC. Counts are those
    of the whole array, about 1,000 spots, and the spots those under tissue: only these are read. Genes are Ensembl ids, and
    genes without a count are left out of a section. A full-resolution image has about 92 megapixels, 0.3 GB of memory for
    each section: load a few at a time.

    Layouts were learned from public code and not from the data: that of the authors (bryanhe/ST-Net,
    ``stnet/cmd/prepare/spatial.py``), and readers of the published files (SpaRED, ``STNetReader``; STimage, README). The
    license is that of the page you download from.

    References
    ----------
    He, B. et al. Integrating spatial gene expression and breast tumour morphology via deep learning. Nature Biomedical
    Engineering 4, 827-834 (2020). Data: Mendeley Data, doi:10.17632/29ntw7sh4r.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.stnet("29ntw7sh4r", sections="BC23287_C1")  # doctest: +SKIP
    >>> sdata["table"].obs["patient"].unique().tolist()  # doctest: +SKIP
    ['BC23287']
    """
    from histodecon.io._assemble import assemble
    from histodecon.io._read_st import note_without_counts

    folder = Path(path)
    found = files_of(folder)
    wanted = list(found) if sections is None else [sections] if isinstance(sections, str) else list(sections)
    _check(wanted, found, folder)
    subtypes = _subtypes(folder)
    read = [_read(name, found[name], subtypes) for name in wanted]
    sdata = assemble([section for section, _ in read])
    note_without_counts(sdata, {section.library_id: missing for section, missing in read})
    return sdata


def files_of(folder: Path) -> dict[str, dict[str, Path]]:
    """Find the files of each section.

    Parameters
    ----------
    folder
        Where to look, below it too.

    Returns
    -------
    ``image``, ``counts`` and ``spots`` by section, those that are there; sections in order of their names.

    Raises
    ------
    InputError
        The folder is absent or holds none.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        for kind, pattern in _FILES.items():
            match = pattern.match(path.name)
            if match:
                parts = [value for value in match.groups() if value]
                found.setdefault(f"BC{parts[0]}_{parts[1]}", {}).setdefault(kind, path)
    if not found:
        msg = "The folder holds no section of STNet" if folder.is_dir() else "There is no such folder"
        fix = f"download Mendeley Data, doi:10.17632/29ntw7sh4r, and hand in the folder with {LAYOUT}"
        raise InputError(msg, where=str(folder), fix=fix, code="BI-01")
    return dict(sorted(found.items()))


def _check(wanted: Sequence[str], found: Mapping[str, Mapping[str, Path]], folder: Path) -> None:
    unknown = [name for name in wanted if name not in found]
    if unknown or not wanted:
        close = get_close_matches(str(unknown[0]).upper().replace("BT", "BC"), found, 3, 0.6) if unknown else []
        msg = f"The folder has no section {first_names(unknown)}" if unknown else "No section was named"
        fix = f"did you mean {first_names(close)}?" if close else f"sections: {', '.join(found)}"
        raise InputError(msg, where=f"{folder}: {len(found)} sections", fix=fix, code="BI-104")
    if len(set(wanted)) != len(wanted):
        msg = "A section was named twice"
        raise InputError(msg, where=first_names(wanted, 8), code="BI-05")
    lacking = {name: [kind for kind in _FILES if kind not in found[name]] for name in wanted}
    lacking = {name: kinds for name, kinds in lacking.items() if kinds}
    if lacking:
        name, kinds = next(iter(lacking.items()))
        msg = f"{len(lacking)} of {len(wanted)} sections lack files"
        where = f"{folder}: {name} has no {' and no '.join(kinds)}; sections: {first_names(lacking)}"
        fix = f"files are called {', '.join(_NAMES[kind] for kind in kinds)}; or name other `sections`"
        raise InputError(msg, where=where, fix=fix, code="BI-01")


def _read(name: str, files: Mapping[str, Path], subtypes: Mapping[str, str]) -> tuple[Section, int]:
    from dataclasses import replace

    from histodecon.io._st_section import read_section

    patient = name.split("_")[0]
    section, missing = read_section(
        files["counts"], files["spots"], files["image"], library_id=name, patient=patient, whole_array=True
    )
    if patient in subtypes:
        section = replace(section, obs={**section.obs, SUBTYPE: subtypes[patient]})
    return section, missing


def _subtypes(folder: Path) -> dict[str, str]:
    """Subtype of each patient, where ``metadata.csv`` says it."""
    path = next(iter(sorted(folder.rglob("metadata.csv"))), None)
    if path is None:
        return {}
    try:
        table = pd.read_csv(path)
        return {str(patient): str(kind) for patient, kind in zip(table["patient"], table["type"], strict=True)}
    except (OSError, UnicodeDecodeError, KeyError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        msg = "metadata.csv is not that of STNet"
        where = f"{path}: {type(error).__name__}: {error}"
        fix = "it has columns `patient` and `type`; fetch it again, or take it away: it only brings the subtype"
        raise InputError(msg, where=where, fix=fix, code="BI-29") from error
