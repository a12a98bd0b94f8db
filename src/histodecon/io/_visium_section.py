"""Files of one Visium slide to arrays."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from histodecon._core import (
    AlignmentError,
    DroppedSpotsWarning,
    FallbackWarning,
    ImageError,
    InputError,
    Key,
    ResolutionError,
    first_names,
)
from histodecon.images import VISIUM_PITCH_UM, VISIUM_SPOT_UM, SlideImage, open_image
from histodecon.images._pitch import lattice_axes
from histodecon.images._placement import require_inside
from histodecon.images._scale import USER, choose_mpp, measured_mpp
from histodecon.io._assemble import Section
from histodecon.io._lazy_pixels import pixels_of
from histodecon.io._visium_files import VisiumFiles
from histodecon.io._visium_tables import read_counts, read_metadata, read_positions, read_scalefactors

SIZE_TOLERANCE = 0.01
"""Small pictures have 600 to 2000 px, so their size tells that of the full image to 0.2 %."""

Picture = tuple[np.ndarray, float]


def read_section(
    files: VisiumFiles,
    *,
    library_id: str,
    fullres_image: Any,
    mpp: float | None,
    spot_diameter_px: float | None,
    patient: str | None,
    in_tissue_only: bool,
    drop_unplaced: bool,
) -> Section:
    """Read one slide.

    Parameters
    ----------
    files
        Where its files lie.
    library_id, fullres_image, mpp, spot_diameter_px, patient, in_tissue_only, drop_unplaced
        As in :func:`histodecon.io.read_visium`, of this slide.

    Returns
    -------
    The slide.
    """
    factors = _factors(files, mpp, spot_diameter_px)
    positions = read_positions(files.positions)
    counts = read_counts(files.counts)
    kept, n_outside = _kept(
        library_id, counts.obs_names, positions, in_tissue_only=in_tissue_only, drop_unplaced=drop_unplaced
    )
    spots = positions.loc[kept]
    xy = spots[["x", "y"]].to_numpy()
    pictures = _pictures(files, factors, library_id)
    image, scale, image_mpp = _image(files, fullres_image, pictures, library_id, spots)
    value, source = _mpp(files, factors, positions, library_id, mpp, image_mpp)
    axes = None
    if files.bin_um is not None:
        axes = lattice_axes(positions[["x", "y"]], positions["array_row"], positions["array_col"])
    if "hires" not in pictures and fullres_image is None:
        pictures["hires"] = pictures["lowres"]
    rows = counts[kept]
    return Section(
        library_id=library_id,
        image=image,
        counts=rows.X,
        obs_names=list(kept),
        var_names=list(rows.var_names),
        xy=xy,
        mpp=value,
        mpp_source=source,
        spot_diameter_um=VISIUM_SPOT_UM if files.bin_um is None else float(files.bin_um),
        obs={
            **({} if patient is None else {Key.obs.PATIENT: str(patient)}),
            "in_tissue": spots["in_tissue"].to_numpy().astype(np.int64),
            "array_row": spots["array_row"].to_numpy(),
            "array_col": spots["array_col"].to_numpy(),
        },
        image_scale=scale,
        pictures=pictures,
        scalefactors=factors,
        metadata=read_metadata(files.counts),
        var=rows.var,
        square_axes=axes,
        notes={
            "pitch_um": VISIUM_PITCH_UM if files.bin_um is None else float(files.bin_um),
            "n_outside_tissue": n_outside,
        },
    )


def _factors(files: VisiumFiles, mpp: float | None, spot_diameter_px: float | None) -> dict[str, float]:
    if files.scalefactors is not None:
        factors = read_scalefactors(files.scalefactors)
    elif mpp is None and spot_diameter_px is None:
        msg = f"The file {files.scalefactors_expected.name} is absent"
        where = f"expected at {files.scalefactors_expected}"
        why = "it tells the size of a spot and the scale of the small pictures"
        fix = "put it there, or give `spot_diameter_px=` or `mpp=`, and the image with `fullres_image=`"
        raise InputError(msg, where=where, why=why, fix=fix, code="BI-01")
    else:
        factors = {}
    if spot_diameter_px is not None:
        if not (np.isfinite(spot_diameter_px) and spot_diameter_px > 0):
            msg = f"`spot_diameter_px` must be above 0, not {spot_diameter_px}"
            raise ResolutionError(msg, fix="give pixels of the full-resolution image", code="BI-15")
        factors["spot_diameter_fullres"] = float(spot_diameter_px)
    return factors


def _kept(
    library_id: str, barcodes: pd.Index, positions: pd.DataFrame, *, in_tissue_only: bool, drop_unplaced: bool
) -> tuple[pd.Index, int]:
    """Barcodes that have counts and a position on tissue, in the order of the counts; and how many lie outside tissue."""
    placed = positions.index[np.isfinite(positions[["x", "y"]].to_numpy()).all(axis=1)]
    known = barcodes.isin(placed)
    where = f"{int((~known).sum())} of {len(barcodes)}: {first_names(barcodes[~known])}"
    if not known.any():
        msg = f"Slide {library_id!r}: counts and positions have no common spots"
        where = f"left look like {first_names(barcodes)}, right look like {first_names(positions.index)}"
        fix = "check that both are of one slide, and that barcodes are written alike ('-1' at their end)"
        raise AlignmentError(msg, where=where, why="rows are matched by barcode", fix=fix, code="BI-08")
    if not known.all():
        if not drop_unplaced:
            msg = f"Slide {library_id!r}: some barcodes have no position"
            why = "their tile cannot be cut"
            raise AlignmentError(
                msg, where=where, why=why, fix="leave them out with `drop_unplaced=True`", code="BI-03"
            )
        _warn_dropped(library_id, barcodes[~known], "they have no position", "BI-03")
    found = barcodes[known]
    tissue = positions.loc[found, "in_tissue"].to_numpy()
    if not in_tissue_only or tissue.all():
        return found, int((~tissue).sum())
    if not tissue.any():
        msg = f"Slide {library_id!r} has 0 spots on tissue"
        where = f"in_tissue is 0 for all {len(found)} spots with counts"
        raise InputError(msg, where=where, fix="`in_tissue_only=False` keeps them", code="BI-31")
    _warn_dropped(library_id, found[~tissue], "they lie outside the tissue (in_tissue = 0)", "BI-39")
    return found[tissue], int((~tissue).sum())


def _warn_dropped(library_id: str, names: pd.Index, why: str, code: str) -> None:
    text = f"[HD-{code}] Slide {library_id!r}: {len(names)} spots are left out because {why}: {first_names(names)}."
    warnings.warn(text, DroppedSpotsWarning, stacklevel=5)


def _pictures(files: VisiumFiles, factors: dict[str, float], library_id: str) -> dict[str, Picture]:
    """Small pictures whose scale is known and that show something."""
    pictures = {}
    for size, path in files.pictures.items():
        factor = factors.get(f"tissue_{size}_scalef")
        if factor is None:
            continue
        with open_image(path) as opened:
            pixels = opened.read(0, 0, opened.width, opened.height)
        if pixels.min() == pixels.max():
            text = (
                f"[HD-BI-19] Slide {library_id!r}: {path.name} is left out because all its pixels are {pixels.max()}."
            )
            warnings.warn(text, FallbackWarning, stacklevel=4)
            continue
        pictures[size] = (pixels, factor)
    return pictures


def _image(
    files: VisiumFiles, fullres_image: Any, pictures: dict[str, Picture], library_id: str, spots: pd.DataFrame
) -> tuple[Any, float, float | None]:
    """Pixels, image pixels per full-resolution pixel, and µm per pixel where the file tells."""
    xy, names = spots[["x", "y"]].to_numpy(), spots.index.to_numpy()
    hires = pictures["hires"][1] if "hires" in pictures else None
    if fullres_image is not None:
        source = _beside(fullres_image, files.folder)
        opened = open_image(source)
        require_inside(opened, xy, names, library=library_id, hires_factor=hires)
        _require_size(opened, pictures, library_id)
        pixels, mpp = pixels_of(source, opened), opened.mpp
        if opened is not source:
            opened.close()
        return pixels, 1.0, mpp
    if not pictures:
        msg = f"Slide {library_id!r} has no image"
        known = first_names([path.name for path in files.pictures.values()])
        where = f"pictures in the folder: {known}"
        if files.pictures:
            where += ", without a scale in the scale factors or without content"
        fix = "hand in the full-resolution H&E image: `fullres_image=path`"
        raise ImageError(msg, where=where, why="tiles are cut from it", fix=fix, code="BI-106")
    pixels, scale = pictures.get("hires") or pictures["lowres"]
    require_inside(open_image(pixels), xy * scale, names, library=library_id, hires_factor=None)
    return pixels, scale, None


def _beside(source: Any, folder: Path) -> Any:
    """A path that stands only inside the folder of the slide."""
    if isinstance(source, (str, Path)) and not Path(source).exists() and (folder / source).exists():
        return folder / source
    return source


def _require_size(image: SlideImage, pictures: dict[str, Picture], library_id: str) -> None:
    for size, (picture, factor) in pictures.items():
        height, width = (side / factor for side in picture.shape[:2])
        off = max(abs(image.width / width - 1), abs(image.height / height - 1))
        if off <= SIZE_TOLERANCE:
            continue
        msg = f"The image handed in for slide {library_id!r} is not the one that its coordinates were made in"
        where = (
            f"it has {image.width} × {image.height} px; tissue_{size}_image has {picture.shape[1]} × {picture.shape[0]} px "
            f"and tissue_{size}_scalef is {factor:.6g}, which makes {width:.0f} × {height:.0f} px; factor {image.width / width:.4g}"
        )
        fix = "hand in the microscope image that Space Ranger was given, neither cropped, turned nor scaled"
        raise ResolutionError(msg, where=where, why="tiles would come from the wrong place", fix=fix, code="BI-11")


def _mpp(
    files: VisiumFiles,
    factors: dict[str, float],
    positions: pd.DataFrame,
    library_id: str,
    mpp: float | None,
    image_mpp: float | None,
) -> tuple[float, str]:
    stated = [] if mpp is None else [(float(mpp), USER)]
    if files.bin_um is not None and "microns_per_pixel" in factors:
        stated.append((factors["microns_per_pixel"], "Visium HD"))
    placed = positions[np.isfinite(positions[["x", "y"]].to_numpy()).all(axis=1)]
    read_off = measured_mpp(
        placed[["x", "y"]].to_numpy(),
        array_row=placed["array_row"],
        array_col=placed["array_col"],
        pitch_um=VISIUM_PITCH_UM if files.bin_um is None else float(files.bin_um),
        spot_px=factors.get("spot_diameter_fullres"),
        spot_um=VISIUM_SPOT_UM if files.bin_um is None else float(files.bin_um),
        image_mpp=image_mpp,
    )
    return choose_mpp(stated, read_off, slide=library_id)
