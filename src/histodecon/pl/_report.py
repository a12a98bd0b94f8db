"""One page that says what was done, what came out, and what not to trust."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError, Key, doc, iter_libraries, table_of, write_atomic
from histodecon.pl._report_page import Page
from histodecon.pl._report_parts import (
    add_colocalization,
    add_composition,
    add_guards,
    add_maps,
    add_provenance,
    add_reliability,
    add_scores,
    add_slides,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SLIDES = 12


@doc
def report(
    data: Any,
    path: str | os.PathLike[str],
    *,
    title: str = "Cell types from H&E",
    model: Any = None,
    cell_types: str | Sequence[str] | None = None,
    max_slides: int = MOST_SLIDES,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
) -> Path:
    """Write one HTML file about a slide or a cohort: what was done, maps, scores, colocalization, what not to trust.

    The file holds its pictures and needs neither network nor scripts; it can be sent by mail and printed.

    Parameters
    ----------
    %(data)s
    path
        File to write, ending in ``.html``.
    title
        Heading of the page.
    model
        A regressor with a reliability card, to show the card.
    cell_types
        Cell types on the maps; by default the four with the largest mean on each slide.
    max_slides
        Slides that are drawn; all are in the tables.
    %(table_key)s
    %(library_key)s

    Returns
    -------
    The path.

    Raises
    ------
    InputError
        The name ends otherwise, there is no table of cell types, or a cell type is unknown.
    StoreError
        The file cannot be written.

    Notes
    -----
    Reads what the steps before have left in ``data``; parts that were not computed are left out. Nothing is computed but means,
    nothing is written into ``data``. Equal data give equal pages.

    Examples
    --------
    >>> import histodecon as hd, tempfile, pathlib
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> path = hd.pl.report(adata, pathlib.Path(tempfile.mkdtemp(), "toy.html"))
    >>> path.read_text().startswith("<!doctype html>")
    True
    """
    adata = table_of(data, table_key)
    if Path(path).suffix not in {".html", ".htm"}:
        msg = f"A report ends in .html, got {Path(path).name!r}"
        raise InputError(msg, fix=f"`{Path(path).stem}.html`", code="BI-120")
    tables = [key for key in (Key.obsm.TARGETS, Key.obsm.CROSS_VALIDATED, Key.obsm.PREDICTED) if key in adata.obsm]
    if not tables:
        msg = "There are no cell types to report"
        fix = "`histodecon.tl.predict_abundance(adata, model)`, or `histodecon.tl.set_targets(adata, targets)`"
        raise InputError(msg, where="obsm has neither measured nor predicted abundances", fix=fix, code="BI-104")
    slides = dict(iter_libraries(adata, library_key))
    page = Page(title)
    add_slides(page, adata, slides, tables)
    add_guards(page, adata, slides, tables)
    drawn = list(slides)[:max_slides]
    add_maps(page, data, drawn, len(slides), cell_types, table_key, library_key)
    add_composition(page, adata, slides, tables[-1], drawn, library_key)
    add_scores(page, adata)
    add_colocalization(page, adata)
    add_reliability(page, model)
    add_provenance(page, adata)
    return write_atomic(path, page.html().encode())
