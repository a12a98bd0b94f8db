"""Read Visium and Visium HD slides as Space Ranger writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histodecon._core import (
    AlignmentError,
    HistodeconError,
    InputError,
    doc,
    first_names,
    raise_together,
    safe_key,
)
from histodecon.io._assemble import Section, assemble
from histodecon.io._visium_files import VisiumFiles, find_files
from histodecon.io._visium_section import read_section

if TYPE_CHECKING:
    from spatialdata import SpatialData

Folder = str | os.PathLike[str]


@doc
def read_visium(
    path: Folder | Sequence[Folder] | Mapping[str, Folder],
    *,
    fullres_image: Any = None,
    library_id: str | None = None,
    mpp: float | Mapping[str, float] | None = None,
    bin_um: int | None = None,
    spot_diameter_px: float | None = None,
    patient: str | Mapping[str, str] | None = None,
    in_tissue_only: bool = True,
    drop_unplaced: bool = False,
) -> SpatialData:
    """Read one or several Visium slides, of Space Ranger 1, 2, 3 or of Visium HD, with or without CytAssist.

    Files are told by what is in them: positions with or without header, as text or parquet, under any of their names; counts
    as HDF5 or as matrix.mtx; names with text before them, such as those of GEO; gzipped tables.

    Parameters
    ----------
    path
        The folder that Space Ranger wrote (the one with ``spatial`` in it, or the one above ``outs``), the folder of a bin
        size, or a folder with the files side by side. Several slides: a list of folders, or a dict from library id to folder.
    fullres_image
        The microscope image that Space Ranger was given: what :func:`histodecon.images.open_image` opens; for several slides
        a dict from library id to these. A tiled TIFF stays on disk. Without it the picture ``tissue_hires_image``, else
        ``tissue_lowres_image`` is the image; there, cells cannot be told apart.
    library_id
        Name of the slide. Default: the text before the name of the counts file, else the name of the folder.
    mpp
        µm per pixel of the full-resolution image, for all slides or a dict from library id. Default, in this order:
        ``microns_per_pixel`` of Visium HD; a fit of ``array_row`` and ``array_col`` to the pixels, 100 µm from spot to spot;
        the distance of neighboring spots; their diameter, which is 65 µm in ``spot_diameter_fullres``; metadata of the image.
    bin_um
        Side of the bins of Visium HD; default 8 µm, or the smallest above that is there.
    spot_diameter_px
        Diameter of a spot in full-resolution pixels, where ``scalefactors_json.json`` is absent or wrong.
    patient
        Written to ``obs["patient"]``; one name for all slides, or a dict from library id.
    in_tissue_only
        Leave out spots that Space Ranger found to lie outside the tissue.
    drop_unplaced
        Leave out barcodes that have counts and no position instead of refusing them.

    Returns
    -------
    SpatialData with, for each slide, the image ``{library_id}_image`` and the spots ``{library_id}_spots`` (circles; squares
    for bins), both in full-resolution pixels in the coordinate system of the slide's name; and one table ``"table"``: ``X``
    counts (sparse), ``obsm["spatial"]`` float (n, 2), x then y, full-resolution pixels; ``obs["library_id"]``,
    ``obs["in_tissue"]``, ``obs["array_row"]``, ``obs["array_col"]``, ``obs["patient"]`` where given; ``var["gene_ids"]``;
    ``uns["spatial"]`` as squidpy and scanpy expect it; ``uns["histodecon"]["slides"][library_id]`` with ``mpp``,
    ``mpp_source``, ``width_px`` and ``height_px`` of the full-resolution image, ``image_mpp`` (µm per pixel of the image that
    is held), ``spot_diameter_um``, ``pitch_um`` and ``n_outside_tissue``. Barcodes get ``-{library_id}`` when there are several
    slides; genes that a slide lacks are 0 there.

    Raises
    ------
    InputError
        A file is absent or damaged, or no spot is left.
    AlignmentError
        Barcodes have no position or stand twice, or two slides have one name.
    ResolutionError
        The size of a pixel is unknown or contradictory, or ``fullres_image`` has another scale than the coordinates.
    GeometryError
        More than 1 %% of the spots lie outside the image.
    ImageError
        There is no image, or it cannot be read as H&E.

    Warns
    -----
    DroppedSpotsWarning
        Spots are left out.
    ResolutionWarning
        Two sources of the pixel size differ by more than 5 %%.
    FallbackWarning
        A small picture is left out because it is of one color.

    Notes
    -----
    Where only ``tissue_lowres_image`` is there it also stands as ``"hires"`` in ``uns["spatial"]``, with its own scale, so that
    :func:`squidpy.pl.spatial_scatter` works.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.io.read_visium({"A": "slide_a", "B": "slide_b"}, patient={"A": "P1", "B": "P2"})  # doctest: +SKIP
    >>> sdata["table"].uns["histodecon"]["slides"]["A"]["mpp_source"]  # doctest: +SKIP
    'array fit'
    """
    slides = _slides(path, library_id, bin_um)
    libraries = list(slides)
    images = _each(fullres_image, libraries, "fullres_image", shared=len(libraries) == 1)
    scales, patients = _each(mpp, libraries, "mpp"), _each(patient, libraries, "patient")
    sections: list[Section] = []
    faults: list[HistodeconError] = []
    for library, files in slides.items():
        try:
            section = read_section(
                files,
                library_id=library,
                fullres_image=images[library],
                mpp=scales[library],
                spot_diameter_px=spot_diameter_px,
                patient=patients[library],
                in_tissue_only=in_tissue_only,
                drop_unplaced=drop_unplaced,
            )
            sections.append(section)
        except HistodeconError as fault:
            faults.append(fault)
    raise_together(faults)
    return assemble(sections)


def _slides(path: Any, library_id: str | None, bin_um: int | None) -> dict[str, VisiumFiles]:
    """Files by library id."""
    if isinstance(path, (str, os.PathLike)):
        files = find_files(path, bin_um=bin_um)
        return {library_id or safe_key(files.name): files}
    named = isinstance(path, Mapping)
    folders: list[tuple[str | None, Folder]] = list(path.items()) if named else [(None, folder) for folder in path]
    if not folders:
        msg = "No slide was named"
        raise InputError(msg, fix="`io.read_visium({'A': folder_a, 'B': folder_b})`", code="BI-31")
    if library_id is not None:
        msg = "`library_id` names one slide, and `path` holds several"
        raise InputError(msg, fix=f"`path={{{library_id!r}: folder, ...}}`", code="BI-36")
    faults: list[HistodeconError] = []
    slides: dict[str, VisiumFiles] = {}
    for name, folder in folders:
        try:
            files = find_files(folder, bin_um=bin_um)
        except HistodeconError as fault:
            faults.append(fault)
            continue
        library = safe_key(files.name) if name is None else str(name)
        if library in slides:
            msg = f"Two slides would be called {library!r}"
            where = f"{slides[library].folder} and {files.folder}"
            raise AlignmentError(msg, where=where, fix="name them: `path={'A': folder_a, 'B': folder_b}`", code="BI-05")
        slides[library] = files
    raise_together(faults)
    return slides


def _each(value: Any, libraries: Iterable[str], name: str, *, shared: bool = True) -> dict[str, Any]:
    """One value for each slide."""
    known = list(libraries)
    if isinstance(value, Mapping):
        strange = [key for key in value if key not in known]
        if strange:
            msg = f"`{name}` names slides that are not read"
            raise InputError(msg, where=first_names(strange), fix=f"slides: {first_names(known, 8)}", code="BI-36")
        return {library: value.get(library) for library in known}
    if value is not None and not shared:
        msg = f"One `{name}` was given for {len(known)} slides"
        raise InputError(msg, fix=f"give one for each: `{name}={{{known[0]!r}: path, ...}}`", code="BI-36")
    return dict.fromkeys(known, value)
