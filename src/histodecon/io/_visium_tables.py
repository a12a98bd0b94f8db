"""The tables of a Space Ranger folder: positions told by their content, counts, scale factors."""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import AlignmentError, InputError, first_names

if TYPE_CHECKING:
    from anndata import AnnData

COLUMNS = ("barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres")
_GZIP = b"\x1f\x8b"


def read_positions(path: Path) -> pd.DataFrame:
    """Read the positions of spots, with or without header, as text or parquet, whatever the file is called.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Columns ``in_tissue`` (bool), ``array_row``, ``array_col`` (int) and ``x``, ``y`` (full-resolution pixels; NaN where the
    file has none); index = barcodes as text, unique.

    Raises
    ------
    InputError
        The file is damaged, or its columns are not those of Space Ranger.
    AlignmentError
        Barcodes stand twice.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(4)
        table = pd.read_parquet(path) if head == b"PAR1" else _read_text(path, packed=head.startswith(_GZIP))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, ValueError, pd.errors.EmptyDataError) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(path, error) from error
    if "barcode" not in table.columns:
        table = table.reset_index().rename(columns={table.index.name or "index": "barcode"})
    absent = [name for name in COLUMNS if name not in table.columns]
    if absent:
        raise _unknown_columns(path, list(table.columns))
    numbers = {name: pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64) for name in COLUMNS[1:]}
    index = pd.Index(table["barcode"].astype(str), dtype=object)
    require_distinct(index, path.name)
    places = np.column_stack([numbers["array_row"], numbers["array_col"]])
    if not np.isfinite(places).all():
        raise _unknown_columns(path, list(table.columns))
    return pd.DataFrame(
        {
            "in_tissue": numbers["in_tissue"] == 1,
            "array_row": places[:, 0].astype(np.int64),
            "array_col": places[:, 1].astype(np.int64),
            "x": numbers["pxl_col_in_fullres"],
            "y": numbers["pxl_row_in_fullres"],
        },
        index=index,
    )


def _read_text(path: Path, *, packed: bool) -> pd.DataFrame:
    with gzip.open(path, "rt") if packed else path.open() as handle:
        first = handle.readline().strip()
    separator = "\t" if "\t" in first else ","
    fields = [field.strip().strip('"') for field in first.split(separator)]
    compression = "gzip" if packed else None
    if set(COLUMNS[1:]) <= set(fields):
        table = pd.read_csv(path, sep=separator, skipinitialspace=True, compression=compression, dtype={fields[0]: str})
        return table.rename(columns={table.columns[0]: "barcode"}) if "barcode" not in fields else table
    if len(fields) == len(COLUMNS) and all(_is_number(field) for field in fields[1:]):
        return pd.read_csv(
            path, sep=separator, header=None, names=list(COLUMNS), compression=compression, dtype={0: str}
        )
    if len(fields) < len(COLUMNS):
        raise _damaged(path, ValueError(f"it begins with {first[:40]!r}"))
    raise _unknown_columns(path, fields)


def read_counts(path: Path) -> AnnData:
    """Read a matrix of Space Ranger.

    Parameters
    ----------
    path
        HDF5 file, or ``matrix.mtx``; features and barcodes stand beside it.

    Returns
    -------
    Gene expression only, spots in rows; gene names made unique, ``var["gene_ids"]``.

    Raises
    ------
    InputError
        The files are absent or damaged, or there are no genes.
    AlignmentError
        Barcodes stand twice.
    """
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique.*")
        try:
            if path.suffix == ".h5":
                adata = sc.read_10x_h5(path)
            else:
                adata = sc.read_10x_mtx(path.parent, prefix=path.name.partition("matrix.mtx")[0] or None)
        except FileNotFoundError as error:
            msg = f"The matrix {path.name} lacks the files that belong to it"
            fix = "features.tsv.gz and barcodes.tsv.gz must stand beside it"
            raise InputError(msg, where=str(error), fix=fix, code="BI-02") from error
        except Exception as error:  # h5py, scipy and scanpy raise errors of many kinds at damaged files
            raise _damaged(path, error) from error
    require_distinct(adata.obs_names, path.name)
    if adata.n_vars == 0:
        msg = f"The counts {path.name} hold no genes"
        raise InputError(msg, fix="read the matrix of gene expression", code="BI-31")
    adata.var_names_make_unique()
    return adata


def read_metadata(path: Path) -> dict[str, str]:
    """Read what an HDF5 matrix says about its making.

    Parameters
    ----------
    path
        HDF5 file; another file has nothing to say.

    Returns
    -------
    ``chemistry_description`` and ``software_version``, where present.
    """
    if path.suffix != ".h5":
        return {}
    import h5py

    with h5py.File(path) as file:
        found = {name: file.attrs[name] for name in ("chemistry_description", "software_version") if name in file.attrs}
    first = {name: np.ravel(np.asarray(value, dtype=object))[0] for name, value in found.items()}
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in first.items()}


def read_scalefactors(path: Path) -> dict[str, float]:
    """Read the scale factors.

    Parameters
    ----------
    path
        JSON file.

    Returns
    -------
    Its numbers that are above 0.

    Raises
    ------
    InputError
        It is damaged.
    """
    try:
        content: Any = json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        return {name: float(value) for name, value in content.items() if _is_number(value) and float(value) > 0}
    except (OSError, EOFError, ValueError, AttributeError, zlib.error) as error:
        raise _damaged(path, error) from error


def require_distinct(names: pd.Index, where: str) -> None:
    """Refuse barcodes that stand twice.

    Parameters
    ----------
    names
        Barcodes.
    where
        The file they stand in.

    Raises
    ------
    AlignmentError
        Some stand twice.
    """
    twice = names[names.duplicated()].unique()
    if len(twice):
        msg = f"Some barcodes stand more than once in {where}"
        fix = (
            "read the file that Space Ranger wrote for one slide; for tables that are at hand `adata.obs_names_make_unique()`, "
            "and for several slides the name of the slide before the barcode"
        )
        raise AlignmentError(
            msg,
            where=f"{len(twice)}: {first_names(twice)}",
            why="rows are matched by barcode",
            fix=fix,
            code="BI-04",
        )


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _unknown_columns(path: Path, columns: list[str]) -> InputError:
    msg = f"The columns of {path.name} are not those of spot positions"
    where = f"found {first_names(columns, 8)}"
    fix = f"a header with {', '.join(COLUMNS)}, or these six columns without header"
    return InputError(msg, where=where, fix=fix, code="BI-06")


def _damaged(path: Path, error: Exception) -> InputError:
    msg = f"The file {path.name} cannot be read"
    first = (str(error).splitlines() or [""])[0]
    where = f"{path}, {path.stat().st_size} bytes: {type(error).__name__}: {first}"
    why = "an empty file, a Git LFS pointer or a web page is often what was fetched"
    return InputError(msg, where=where, why=why, fix="fetch it again", code="BI-29")
