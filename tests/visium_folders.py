"""Folders as Space Ranger writes them, small, of every version."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp
from PIL import Image

PITCH_PX, MPP = 40.0, 2.5
WIDTH, HEIGHT = 640, 480
HIRES, LOWRES = 0.5, 0.25
GENES = ["CD3E", "KRT8", "CD3E"]


def spots(n_rows: int = 10, n_cols: int = 12) -> pd.DataFrame:
    """Spots of Visium, 100 µm apart, slightly turned; the first row lies outside the tissue."""
    row, col = (index.ravel() for index in np.indices((n_rows, n_cols)))
    array_col = 2 * col + row % 2
    xy = np.column_stack([array_col * PITCH_PX / 2, row * PITCH_PX * np.sqrt(3) / 2])
    turn = np.deg2rad(0.5)
    xy = xy @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [80, 60]
    barcodes = [f"ACGT{i:04d}-1" for i in range(len(row))]
    return pd.DataFrame(
        {
            "barcode": barcodes,
            "in_tissue": (row > 0).astype(int),
            "array_row": row,
            "array_col": array_col,
            "pxl_row_in_fullres": xy[:, 1],
            "pxl_col_in_fullres": xy[:, 0],
        }
    )


def picture(scale: float) -> np.ndarray:
    """Red tells x and blue tells y, in eighths of a full-resolution pixel; all of it as stained as tissue."""
    y, x = np.mgrid[: round(HEIGHT * scale), : round(WIDTH * scale)]
    image = np.full((*y.shape, 3), 60, dtype=np.uint8)
    image[:, :, 0], image[:, :, 2] = 120 + x / scale / 8, 120 + y / scale / 8
    return image


def write_h5(path: Path, barcodes: list[str], counts: np.ndarray, genes: list[str] = GENES) -> None:
    import h5py

    matrix = sp.csr_matrix(counts)  # by spot, as Space Ranger stores it
    with h5py.File(path, "w") as file:
        file.attrs["software_version"] = "spaceranger-2.0.1"
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = np.array(counts.shape[::-1])
        for name, values in {
            "id": [f"ENSG{i}" for i in range(len(genes))],
            "name": genes,
            "feature_type": ["Gene Expression"] * len(genes),
            "genome": ["GRCh38"] * len(genes),
        }.items():
            group[f"features/{name}"] = np.array(values, dtype="S")


def write_mtx(folder: Path, barcodes: list[str], counts: np.ndarray, *, prefix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "barcodes.tsv": "\n".join(barcodes) + "\n",
        "features.tsv": "".join(f"ENSG{i}\t{gene}\tGene Expression\n" for i, gene in enumerate(GENES)),
    }
    for name, text in texts.items():
        (folder / f"{prefix}{name}.gz").write_bytes(gzip.compress(text.encode()))
    with gzip.open(folder / f"{prefix}matrix.mtx.gz", "wb") as handle:
        scipy.io.mmwrite(handle, sp.coo_matrix(counts.T))


def counts_of(table: pd.DataFrame) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 9, (len(table), len(GENES)))


def write_positions(folder: Path, table: pd.DataFrame, name: str, *, header: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, header=header)
    return path


def write_pictures(folder: Path, sizes: tuple[str, ...] = ("hires", "lowres")) -> None:
    for size in sizes:
        Image.fromarray(picture({"hires": HIRES, "lowres": LOWRES}[size])).save(folder / f"tissue_{size}_image.png")


def factors(**changes: float | None) -> dict[str, float]:
    known = {
        "spot_diameter_fullres": 65 / MPP,
        "fiducial_diameter_fullres": 105 / MPP,
        "tissue_hires_scalef": HIRES,
        "tissue_lowres_scalef": LOWRES,
        **changes,
    }
    return {name: value for name, value in known.items() if value is not None}


def folder(
    path: Path,
    *,
    positions: str = "tissue_positions.csv",
    header: bool = True,
    kind: str = "filtered_feature_bc_matrix",
    matrix: str = "h5",
    prefix: str = "",
    table: pd.DataFrame | None = None,
    counted: pd.DataFrame | None = None,
    pictures: tuple[str, ...] = ("hires", "lowres"),
    scalefactors: dict | None = None,
) -> Path:
    """Write what Space Ranger writes; counts only for spots on tissue unless told otherwise."""
    table = spots() if table is None else table
    counted = table[table["in_tissue"] == 1] if counted is None else counted
    write_positions(path / "spatial", table, positions, header=header)
    (path / "spatial" / "scalefactors_json.json").write_text(json.dumps(scalefactors or factors()))
    write_pictures(path / "spatial", pictures)
    barcodes = list(counted["barcode"].astype(str))
    if matrix == "h5":
        write_h5(path / f"{prefix}{kind}.h5", barcodes, counts_of(counted))
    else:
        write_mtx(path / f"{prefix}{kind}", barcodes, counts_of(counted))
    return path


def hd_folder(path: Path, *sizes: int, microns_per_pixel: float | None = 0.5) -> Path:
    """Visium HD: bins of several sizes over the same 0.3 mm, the slide turned by 2 degrees."""
    turn = np.deg2rad(2)
    for size in sizes:
        n = 320 // size
        row, col = (index.ravel() for index in np.indices((n, n)))
        step = size / 0.5
        xy = np.column_stack([col + 0.5, row + 0.5]) * step
        xy = xy @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [0, 0]
        xy = xy - xy.min(axis=0) + 10 + step / 2
        table = pd.DataFrame(
            {
                "barcode": [f"s_{size:03d}um_{r:05d}_{c:05d}-1" for r, c in zip(row, col, strict=True)],
                "in_tissue": 1,
                "array_row": row,
                "array_col": col,
                "pxl_row_in_fullres": xy[:, 1],
                "pxl_col_in_fullres": xy[:, 0],
            }
        )
        own = path / "binned_outputs" / f"square_{size:03d}um"
        write_positions(own / "spatial", table, "tissue_positions.parquet", header=True)
        known = factors(
            spot_diameter_fullres=step,
            fiducial_diameter_fullres=1200.0,
            bin_size_um=float(size),
            microns_per_pixel=microns_per_pixel,
        )
        (own / "spatial" / "scalefactors_json.json").write_text(json.dumps(known))
        write_h5(own / "filtered_feature_bc_matrix.h5", list(table["barcode"]), counts_of(table))
    (path / "spatial").mkdir()
    image = np.full((720, 720, 3), (200, 80, 160), dtype=np.uint8)
    image[::2] += 20
    for size, scale in (("hires", 2), ("lowres", 4)):
        Image.fromarray(image[::scale, ::scale] - np.uint8(np.arange(720 // scale) % 9)[:, None, None]).save(
            path / "spatial" / f"tissue_{size}_image.png"
        )
    return path
