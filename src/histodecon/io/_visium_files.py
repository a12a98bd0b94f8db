"""Where the files of a Space Ranger folder lie, whatever version wrote it and whoever renamed them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from histodecon._core import InputError, first_names

_BINS = re.compile(r"^square_(\d{3})um$")
_MATRICES = ("filtered_feature_bc_matrix", "raw_feature_bc_matrix")
_POSITIONS = ("tissue_positions.parquet", "tissue_positions.csv", "tissue_positions_list.csv")
_SCALEFACTORS = "scalefactors_json.json"
_PICTURE_SUFFIXES = ("png", "jpg", "jpeg", "tif", "tiff")
DEFAULT_BIN_UM = 8


@dataclass(frozen=True)
class VisiumFiles:
    """The files of one slide.

    Parameters
    ----------
    name
        What the files or the folder call the slide.
    folder
        Where counts and positions were found.
    counts
        HDF5 file, or ``matrix.mtx`` or ``matrix.mtx.gz``.
    positions
        Table of the spots.
    scalefactors
        JSON file, where there is one.
    scalefactors_expected
        Where it was looked for.
    bin_um
        Side of a bin of Visium HD.
    pictures
        Files of the small pictures, ``"hires"`` and ``"lowres"``.
    """

    name: str
    folder: Path
    counts: Path
    positions: Path
    scalefactors: Path | None
    scalefactors_expected: Path
    bin_um: int | None = None
    pictures: dict[str, Path] = field(default_factory=dict)


def find_files(path: str | os.PathLike[str], *, bin_um: int | None = None) -> VisiumFiles:
    """Find the files of a slide.

    Parameters
    ----------
    path
        The folder that Space Ranger wrote, its ``outs``, the folder of a bin size, or one with the files side by side.
    bin_um
        Side of the bins of Visium HD; default 8 µm.

    Returns
    -------
    The files.

    Raises
    ------
    InputError
        The folder, the counts or the positions are absent, or several fit.
    """
    top = Path(path)
    if not top.is_dir():
        msg = f"The folder {top.name} is absent" if not top.exists() else f"{top.name} is not a folder"
        fix = "give the folder that Space Ranger wrote, with `spatial` and the counts in it"
        raise InputError(msg, where=str(top), fix=fix, code="BI-02")
    if (top / "outs").is_dir():
        top = top / "outs"
    folder, top, found_um = _bin_folder(top, bin_um)
    places = [folder / "spatial", folder, *sorted(folder.glob("*_spatial"))]
    counts, prefix = _counts(folder)
    positions = _first(places, _POSITIONS, prefix)
    if positions is None:
        msg = f"No file with the positions of the spots was found in {folder.name}"
        where = f"{places[0]} holds {first_names(_listing(places[0]), 8)}; {folder} holds {first_names(_listing(folder), 8)}"
        fix = f"put one of {', '.join(f'{name!r}' for name in _POSITIONS)} into {places[0].name!r}"
        raise InputError(msg, where=where, fix=fix, code="BI-02")
    above = places if top == folder else [*places, top / "spatial"]
    pictures = {}
    for size in ("hires", "lowres"):
        names = tuple(f"tissue_{size}_image.{suffix}" for suffix in _PICTURE_SUFFIXES)
        picture = _first(above, names, prefix)
        if picture is not None:
            pictures[size] = picture
    return VisiumFiles(
        name=prefix.rstrip("_-.") or (top.parent.name if top.name == "outs" else top.name),
        folder=folder,
        counts=counts,
        positions=positions,
        scalefactors=_first(places, (_SCALEFACTORS,), prefix),
        scalefactors_expected=places[0] / _SCALEFACTORS,
        bin_um=found_um,
        pictures=pictures,
    )


def _bin_folder(top: Path, bin_um: int | None) -> tuple[Path, Path, int | None]:
    """Folder of the bins, folder of the slide, side of a bin."""
    own = _BINS.match(top.name)
    if own and bin_um in {None, int(own[1])}:
        return top, top.parent.parent if top.parent.name == "binned_outputs" else top.parent, int(own[1])
    above = top / "binned_outputs" if (top / "binned_outputs").is_dir() else top
    sizes = {int(match[1]): place for place in sorted(above.iterdir()) if (match := _BINS.match(place.name))}
    if not sizes:
        if bin_um is None:
            return top, top, None
        msg = f"{top.name} holds no bins of {bin_um} µm"
        fix = "give the folder with `binned_outputs` in it, or leave `bin_um=` out for spots"
        raise InputError(msg, where=f"it holds {first_names(_listing(top), 8)}", fix=fix, code="BI-02")
    wanted = bin_um if bin_um is not None else min(sizes, key=lambda size: (size < DEFAULT_BIN_UM, size))
    if wanted not in sizes:
        msg = f"{above.name} holds no bins of {bin_um} µm"
        fix = f"`bin_um={min(sizes)}`"
        raise InputError(msg, where=f"bins present: {', '.join(map(str, sizes))} µm", fix=fix, code="BI-02")
    return sizes[wanted], top, wanted


def _counts(folder: Path) -> tuple[Path, str]:
    """File with the counts, and what its name has before the usual one."""
    for kind in _MATRICES:
        for pattern in (f"*{kind}.h5", f"*{kind}/matrix.mtx.gz", f"*{kind}/matrix.mtx"):
            found = _only(sorted(folder.glob(pattern)), folder)
            if found is not None:
                name = found.parent.name if found.name.startswith("matrix.mtx") else found.stem
                return found, name.removesuffix(kind)
    for pattern in ("*matrix.mtx.gz", "*matrix.mtx"):
        found = _only(sorted(folder.glob(pattern)), folder)
        if found is not None:
            return found, found.name.partition("matrix.mtx")[0]
    msg = f"No counts were found in {folder.name}"
    where = f"{folder} holds {first_names(_listing(folder), 8)}"
    fix = f"it must hold '{_MATRICES[0]}.h5', with any text before it, or the folder '{_MATRICES[0]}'"
    raise InputError(msg, where=where, fix=fix, code="BI-02")


def _only(found: Sequence[Path], folder: Path) -> Path | None:
    plain = [path for path in found if path.relative_to(folder).parts[0].startswith(_MATRICES)]
    found = plain or found
    if len(found) > 1:
        names = [str(path.relative_to(folder)) for path in found]
        msg = f"{folder.name} holds the counts of {len(found)} slides"
        fix = "put each slide into a folder of its own and hand in a dict: `io.read_visium({'A': folder_a, 'B': folder_b})`"
        raise InputError(msg, where=first_names(names, 8), fix=fix, code="BI-36")
    return found[0] if found else None


def _first(places: Sequence[Path], names: Sequence[str], prefix: str) -> Path | None:
    for place in places:
        for name in names:
            for candidate in (name, prefix + name, f"{name}.gz", f"{prefix}{name}.gz"):
                if (place / candidate).is_file():
                    return place / candidate
    return None


def _listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
