"""The sections of a report: each reads what a step left behind, and says nothing where there is nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import Key, read_table, table_of, uns_branch
from histodecon.pl._abundance import abundance
from histodecon.pl._colocalization import colocalization
from histodecon.pl._composition import composition
from histodecon.pl._evaluation import evaluation
from histodecon.pl._figure import TABLE_LABELS

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from histodecon.pl._report_page import Page

Slides = Mapping[str, "NDArray[np.intp]"]
OUTSIDE = "out_of_distribution"
STRONGEST = 10
MANY_OUTSIDE = 0.5
MEAN = "mean"
MOST_GROUPS = 6
FOLD_COLUMNS = (
    "fold",
    "learner",
    "n_train",
    "n_test",
    "cc",
    "n_defined",
    "spearman",
    "l1",
    "l1_shares",
    "cc_difference",
    "cc_p",
)
PACKAGES = ("histodecon", "anndata", "numpy", "scanpy", "spatialdata", "squidpy", "timm", "torch")


def add_slides(page: Page, adata: AnnData, slides: Slides, tables: Sequence[str]) -> None:
    """Add a table of the slides."""
    tiles, notes = uns_branch(adata, Key.uns.TILES), uns_branch(adata, Key.uns.SLIDES)
    rows = []
    for library, at in slides.items():
        own = tiles.get(library, notes.get(library, {}))
        row: dict[str, Any] = {"slide": library}
        if Key.obs.PATIENT in adata.obs:
            row["patient"] = ", ".join(sorted(set(adata.obs[Key.obs.PATIENT].iloc[at].astype(str))))
        row["spots"] = len(at)
        if Key.obs.IN_TISSUE_TILE in adata.obs:
            row["with tissue"] = int(adata.obs[Key.obs.IN_TISSUE_TILE].iloc[at].sum())
        row |= {"µm per pixel": own.get("mpp", np.nan), "known from": own.get("mpp_source", "–")}
        row |= {"tile, µm": own.get("size_um", np.nan), "padded tiles": own.get("n_padded", np.nan)}
        rows.append(row)
    page.section("Slides")
    named = [TABLE_LABELS.get(key, key) for key in tables]
    n_types = read_table(adata, tables[-1]).shape[1]
    patients = f" of {adata.obs[Key.obs.PATIENT].nunique()} patients" if Key.obs.PATIENT in adata.obs else ""
    slide = "slide" if len(slides) == 1 else "slides"
    page.say(f"{len(slides)} {slide}{patients}, {adata.n_obs} spots, {n_types} cell types: {', '.join(named)}.")
    page.table(pd.DataFrame(rows))


def add_guards(page: Page, adata: AnnData, slides: Slides, tables: Sequence[str]) -> None:
    """Add what a reader should know before believing the rest."""
    found: list[tuple[bool, str]] = []
    for key in tables:
        table, label = read_table(adata, key), TABLE_LABELS.get(key, key)
        lost = int(table.isna().any(axis=1).sum())
        if lost:
            found.append((False, f"{lost} of {len(table)} spots have no {label} cell types."))
    if OUTSIDE in adata.obs:
        outside = adata.obs[OUTSIDE].to_numpy(dtype=bool)
        for library, at in slides.items():
            share = float(outside[at].mean())
            text = f"{library}: {share:.0%} of the spots look unlike what the model was trained on."
            if share:
                found.append((share > MANY_OUTSIDE, text))
    for key, record in uns_branch(adata, Key.uns.EMBEDDINGS).items():
        if not record.get("commercial", False):
            text = (
                f"{key} comes from weights under {record.get('license', 'an unknown license')}: not for commercial use."
            )
            found.append((True, text))
        if not record.get("verified", True):
            found.append((True, f"{key} was made elsewhere; its recipe is not verified."))
    undefined = _undefined(adata)
    if undefined:
        text = f"Scores of {', '.join(undefined)} are undefined: no variance in truth or prediction."
        found.append((True, text))
    page.section("Before you trust it")
    page.items(found or [(False, "No guard fired.")])


def _undefined(adata: AnnData) -> list[str]:
    scores = adata.uns.get(Key.uns.EVALUATION, {}).get("scores", {})
    if "cc" not in scores:
        return []
    lost = np.isnan(np.asarray(scores["cc"], dtype=float))
    return sorted(set(np.asarray(scores["cell_type"])[lost].astype(str)) - {"mean"})


def add_maps(
    page: Page,
    data: Any,
    drawn: Sequence[str],
    n_slides: int,
    cell_types: str | Sequence[str] | None,
    table_key: str,
    library_key: str,
) -> None:
    """Add maps of cell types on the tissue; held-out predictions where there are any."""
    page.section("Maps")
    if len(drawn) < n_slides:
        page.say(f"{len(drawn)} of {n_slides} slides are drawn.")
    held_out = [Key.obsm.TARGETS, Key.obsm.CROSS_VALIDATED]
    tables = held_out if set(held_out) <= set(table_of(data, table_key).obsm) else None
    for library in drawn:
        axes = abundance(
            data,
            cell_types,
            tables=tables,
            library_id=library,
            table_key=table_key,
            library_key=library_key,
            show=False,
        )
        if axes is not None:
            page.picture(axes[0, 0].figure, f"Maps of cell types on slide {library}")


def add_composition(
    page: Page, adata: AnnData, slides: Slides, key: str, drawn: Sequence[str], library_key: str
) -> None:
    """Add what the spots are made of, and the mean of every cell type on every slide."""
    table = read_table(adata, key)
    unit = uns_branch(adata, Key.uns.TABLES).get(key, {}).get("unit", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a slide without values has no mean
        means = {library: np.nanmean(table.to_numpy(dtype=float)[at], axis=0) for library, at in slides.items()}
    page.section("Cell types of each slide")
    page.say(f"Mean over spots, {TABLE_LABELS.get(key, key)}, {unit}.")
    page.table(pd.DataFrame({"cell type": list(map(str, table.columns)), **means}))
    if not drawn or bool((table < 0).any(axis=None)):
        return
    colors = f"{key}_colors"
    kept = colors in adata.uns
    axes = composition(adata, key, library_id=list(drawn), library_key=library_key, show=False)
    if not kept and colors in adata.uns:
        del adata.uns[colors]  # a report writes nothing into the data
    if axes is not None:
        page.picture(axes[0].figure, "What each spot is made of")


def add_scores(page: Page, adata: AnnData) -> None:
    """Add scores of predictions and of cross-validation."""
    evaluated, validated = adata.uns.get(Key.uns.EVALUATION), adata.uns.get(Key.uns.CROSS_VALIDATION, {})
    if not evaluated and not validated:
        return
    page.section("Scores")
    for key, record in validated.items():
        page.say(
            f"{record['learner']}, each group of {record['groupby']} left out once ({TABLE_LABELS.get(key, key)}):"
        )
        page.table(_fold_scores({name: np.asarray(values) for name, values in record["scores"].items()}))
    if evaluated:
        truth, predicted = (str(evaluated[name]) for name in ("truth", "predicted"))
        text = f"{predicted} against {truth}, cell type by cell type."
        if predicted not in validated:
            text += (
                " If the model was trained on these spots, this says how well it remembers, not how well it predicts."
            )
        page.say(text)
        page.table(_type_scores({name: np.asarray(values) for name, values in evaluated["scores"].items()}))
        bars = evaluation(adata, show=False)
        if bars is not None:
            page.picture(bars.figure, "Scores of every cell type")


def _fold_scores(scores: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """What a reader compares; columns without any value are left out."""
    table = pd.DataFrame({name: scores[name] for name in FOLD_COLUMNS if name in scores})
    return table.dropna(axis="columns", how="all")


def _type_scores(scores: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row a cell type: its means over groups and, of few groups, the CC of each."""
    table = pd.DataFrame(dict(scores))
    table = table[[name for name in table.columns if not name.endswith(("_low", "_high"))]]
    groups = [str(name) for name in dict.fromkeys(table["group"]) if name != MEAN]
    if len(groups) == 1 or not (table["group"] == MEAN).any():
        return table if len(groups) > 1 else table.drop(columns="group")
    rows = table[table["group"] == MEAN].drop(columns="group").set_index("cell_type")
    if len(groups) <= MOST_GROUPS:
        wide = table.pivot(index="cell_type", columns="group", values="cc")
        rows = pd.concat([rows, wide[groups].add_prefix("cc in ").reindex(rows.index)], axis=1)
    return rows.reset_index()


def add_colocalization(page: Page, adata: AnnData) -> None:
    """Add the map of who meets whom, and the strongest pairs."""
    record = adata.uns.get(Key.uns.COLOCALIZATION)
    if not record:
        return
    pooled, names = record["pooled"], np.asarray(record["names"]).astype(str)
    page.section("Which cell types sit together")
    page.say(
        f"Bivariate Moran's R, length scale {float(record['params']['length_um']):.0f} µm, "
        f"null: {record['params']['null_model']}."
    )
    axes = colocalization(adata, show=False)
    if axes is not None:
        page.picture(axes.ravel()[0].figure, "Map of colocalization")
    a, b = np.triu_indices(len(names), 1)
    table = pd.DataFrame({"a": names[a], "b": names[b]} | {name: np.asarray(pooled[name])[a, b] for name in ("R", "q")})
    order = table["R"].abs().sort_values(ascending=False, kind="stable").index[:STRONGEST]
    page.table(table.loc[order].assign(q=[f"{q:.1e}" for q in table.loc[order, "q"]]))


def add_reliability(page: Page, model: Any) -> None:
    """Add the reliability card of a model."""
    card = getattr(model, "reliability_", None)
    if card is None:
        return
    page.section("How far to trust the model")
    page.table(card.to_frame().reset_index())


def add_provenance(page: Page, adata: AnnData) -> None:
    """Add what everything was made with."""
    rows = []
    for key, record in uns_branch(adata, Key.uns.EMBEDDINGS).items():
        rows.append(
            (
                key,
                f"{record.get('encoder', '?')}, {record.get('license', '?')}, recipe {str(record.get('fingerprint', '?'))[:16]}",
            )
        )
    for key, record in uns_branch(adata, Key.uns.TABLES).items():
        facts = [f"{name} {record[name]}" for name in ("kind", "source", "learner", "method") if record.get(name)]
        if record.get("model_sha256"):
            facts.append(f"model {str(record['model_sha256'])[:16]}")
        rows.append((key, ", ".join(facts)))
    rows += [(name, version(name)) for name in PACKAGES]
    page.section("Made with")
    page.table(pd.DataFrame(rows, columns=["what", "how"]))
