"""Space Ranger folders of every version, what is wrong with them, and real ones."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from visium_folders import (
    HEIGHT,
    HIRES,
    LOWRES,
    MPP,
    WIDTH,
    counts_of,
    factors,
    folder,
    hd_folder,
    picture,
    spots,
    write_h5,
    write_mtx,
    write_positions,
)

import histodecon as hd
from histodecon import (
    AlignmentError,
    DroppedSpotsWarning,
    FallbackWarning,
    GeometryError,
    HistodeconWarning,
    ImageError,
    InputError,
    NamingError,
    ResolutionError,
    ResolutionWarning,
)


def quietly(path, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error", HistodeconWarning)
        return hd.io.read_visium(path, **kwargs)


def check(sdata, library: str) -> ad.AnnData:
    """What every version must end in."""
    table = spots().set_index("barcode")
    adata = sdata["table"]
    own = adata[adata.obs["library_id"] == library]
    names = [name.removesuffix(f"-{library}") for name in own.obs_names]
    expected = table.loc[names]
    assert len(names) == 108
    np.testing.assert_allclose(own.obsm["spatial"], expected[["pxl_col_in_fullres", "pxl_row_in_fullres"]])
    for column in ("in_tissue", "array_row", "array_col"):
        np.testing.assert_array_equal(own.obs[column], expected[column])
    np.testing.assert_array_equal(own.X.toarray(), counts_of(expected))
    slide = adata.uns["histodecon"]["slides"][library]
    assert slide["mpp"] == pytest.approx(MPP, rel=1e-6)
    assert (slide["width_px"], slide["height_px"]) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(sdata.shapes[f"{library}_spots"]["radius"], 65 / MPP / 2)
    return adata


LAYOUTS = {
    "Space Ranger 1": {"positions": "tissue_positions_list.csv", "header": False},
    "Space Ranger 2": {},
    "header under the old name": {"positions": "tissue_positions_list.csv", "header": True},
    "no header under the new name": {"header": False},
    "parquet": {"positions": "tissue_positions.parquet"},
    "text that is called parquet": {"positions": "tissue_positions.parquet.csv"},
    "mtx": {"matrix": "mtx"},
    "text before the name": {"prefix": "V1_Breast_"},
    "mtx with text before the name": {"prefix": "GSM1_", "matrix": "mtx"},
}


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_every_version(tmp_path, name):
    path = folder(tmp_path / "S1", **LAYOUTS[name])
    if name.startswith("text that"):
        written = path / "spatial" / LAYOUTS[name]["positions"]
        written.rename(written.with_name("tissue_positions.parquet"))
    library = LAYOUTS[name].get("prefix", "S1").rstrip("_")
    sdata = quietly(path)
    adata = check(sdata, library)
    assert adata.uns["histodecon"]["slides"][library]["mpp_source"] == "array fit"
    assert list(adata.var_names) == ["CD3E", "KRT8", "CD3E-1"]
    assert list(adata.var["gene_ids"]) == ["ENSG0", "ENSG1", "ENSG2"]
    record = adata.uns["spatial"][library]
    assert record["scalefactors"] == pytest.approx(factors())
    np.testing.assert_array_equal(record["images"]["hires"], picture(HIRES))
    np.testing.assert_array_equal(record["images"]["lowres"], picture(LOWRES))


def test_files_side_by_side(tmp_path):
    table = spots()
    on_tissue = table[table["in_tissue"] == 1]
    packed = write_positions(tmp_path, table, "GSM7_tissue_positions_list.csv", header=False)
    packed.with_suffix(".csv.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    (tmp_path / "GSM7_scalefactors_json.json.gz").write_bytes(gzip.compress(json.dumps(factors()).encode()))
    Image.fromarray(picture(HIRES)).save(tmp_path / "GSM7_tissue_hires_image.png")
    write_mtx(tmp_path, list(on_tissue["barcode"]), counts_of(on_tissue), prefix="GSM7_")
    check(quietly(tmp_path), "GSM7")


def test_outs_is_found_and_named_after_its_run(tmp_path):
    folder(tmp_path / "run7" / "outs")
    check(quietly(tmp_path / "run7"), "run7")
    check(quietly(str(tmp_path / "run7" / "outs")), "run7")
    check(quietly(tmp_path / "run7", library_id="S"), "S")
    with pytest.raises(NamingError, match=r"BI-67"):
        quietly(tmp_path / "run7", library_id="a/b")


def test_the_raw_matrix_is_read_where_there_is_no_other(tmp_path):
    folder(tmp_path / "S1", kind="raw_feature_bc_matrix", counted=spots())
    with pytest.warns(DroppedSpotsWarning, match=r"BI-39.*'S1': 12 spots.*in_tissue = 0.*'ACGT0000-1'"):
        adata = hd.io.read_visium(tmp_path / "S1")["table"]
    assert adata.n_obs == 108
    assert adata.uns["histodecon"]["slides"]["S1"]["n_outside_tissue"] == 12
    everything = quietly(tmp_path / "S1", in_tissue_only=False)["table"]
    assert everything.n_obs == 120
    assert (everything.obs["in_tissue"] == 0).sum() == 12


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_full_image_comes_first(tmp_path, suffix):
    import tifffile

    path = folder(tmp_path / "S1")
    full = path / f"full.{suffix}"
    if suffix == "png":
        Image.fromarray(picture(1)).save(full)
    else:
        tifffile.imwrite(full, picture(1), tile=(256, 256), photometric="rgb", compression="zlib")
    sdata = quietly(path, fullres_image=full)
    check(sdata, "S1")
    element = sdata.images["S1_image"]
    np.testing.assert_array_equal(element.transpose("y", "x", "c").values, picture(1))
    assert sdata["table"].uns["histodecon"]["slides"]["S1"]["image_mpp"] == pytest.approx(MPP)
    quietly(path, fullres_image=full.name)  # named as it stands in the folder
    quietly(path, fullres_image=picture(1))
    hd.pp.tile_spots(sdata)
    assert sdata["table"].uns["histodecon"]["tiles"]["S1"]["image_scale"] == 1


def test_a_tiled_image_stays_on_disk_and_survives_zarr(tmp_path, monkeypatch):
    import pickle

    import spatialdata
    import tifffile

    path = folder(tmp_path / "S1")
    tifffile.imwrite(tmp_path / "a.btf", picture(1), bigtiff=True, tile=(128, 128), photometric="rgb")
    read: list[tuple] = []
    whole = hd.images.SlideImage.read

    def counted(self, x0, y0, width, height):
        read.append((self.width, width, height))
        return whole(self, x0, y0, width, height)

    monkeypatch.setattr(hd.images.SlideImage, "read", counted)
    sdata = quietly(path, fullres_image=tmp_path / "a.btf")
    assert not [box for box in read if box[0] == WIDTH], "pixels of the full image were read"
    data = sdata.images["S1_image"].data
    assert not isinstance(data, np.ndarray)
    assert data.numblocks == (1, 1, 2)  # chunks of at least 512 px
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)).compute(), data.compute())
    sdata.write(tmp_path / "S1.zarr")
    back = spatialdata.read_zarr(tmp_path / "S1.zarr")
    np.testing.assert_array_equal(back.images["S1_image"].values, np.moveaxis(picture(1), 2, 0))


@pytest.mark.parametrize(("pictures", "scale"), [(("hires", "lowres"), HIRES), (("lowres",), LOWRES)])
def test_small_pictures_have_their_true_scale(tmp_path, pictures, scale):
    path = folder(tmp_path / "S1", pictures=pictures)
    sdata = quietly(path)
    adata = check(sdata, "S1")
    assert sdata.images["S1_image"].shape == (3, HEIGHT * scale, WIDTH * scale)
    slide = adata.uns["histodecon"]["slides"]["S1"]
    assert slide["image_mpp"] == pytest.approx(MPP / scale)
    record = adata.uns["spatial"]["S1"]
    assert record["images"]["hires"].shape[0] == HEIGHT * record["scalefactors"]["tissue_hires_scalef"]
    with pytest.warns(ResolutionWarning, match="Cells cannot be told apart"):
        hd.pp.tile_spots(sdata)
    tiles = adata.uns["histodecon"]["tiles"]["S1"]
    assert tiles["mpp"] == pytest.approx(MPP)
    assert tiles["image_scale"] == pytest.approx(scale)
    squares = sdata.shapes["S1_tiles"]
    centers = np.column_stack([squares.centroid.x, squares.centroid.y])
    assert np.abs(centers - adata.obsm["spatial"]).max() <= 0.5 / scale + 1e-9
    # the pixels say where they are
    image = hd.images.open_image(sdata.images["S1_image"])
    for center, (x, y) in zip(centers[::20] * scale, adata.obsm["spatial"][::20], strict=True):
        red, _, blue = image.read(round(center[0]) - 1, round(center[1]) - 1, 2, 2).reshape(-1, 3).mean(axis=0)
        assert (red - 120) * 8 == pytest.approx(x, abs=8 + 1 / scale)
        assert (blue - 120) * 8 == pytest.approx(y, abs=8 + 1 / scale)


def test_a_black_picture_is_passed_over(tmp_path):
    path = folder(tmp_path / "S1")
    Image.new("RGBA", (320, 240), (0, 0, 0, 255)).save(path / "spatial" / "tissue_hires_image.png")
    with pytest.warns(FallbackWarning, match=r"tissue_hires_image.png is left out.*are 0"):
        sdata = hd.io.read_visium(path)
    assert sdata.images["S1_image"].shape == (3, 120, 160)


def test_two_slides_become_one_table(tmp_path):
    import spatialdata

    a, b = folder(tmp_path / "A"), folder(tmp_path / "B", matrix="mtx", positions="tissue_positions_list.csv")
    named = quietly({"x": a, "y": b}, patient={"x": "P1", "y": "P2"}, mpp={"y": 2.5})
    adata = named["table"]
    assert adata.n_obs == 216
    assert adata.obs_names.is_unique
    assert dict(adata.obs.groupby("library_id", observed=True)["patient"].first()) == {"x": "P1", "y": "P2"}
    assert list(adata.uns["spatial"]) == ["x", "y"]
    slides = adata.uns["histodecon"]["slides"]
    assert (slides["x"]["mpp_source"], slides["y"]["mpp_source"]) == ("array fit", "user")
    check(named, "x")
    check(named, "y")
    listed = quietly([a, b], patient="P")
    assert list(listed["table"].uns["spatial"]) == ["A", "B"]
    named.write(tmp_path / "both.zarr")
    back = spatialdata.read_zarr(tmp_path / "both.zarr")
    check(back, "x")
    assert back["table"].uns["histodecon"]["slides"]["y"]["mpp"] == 2.5


def test_slides_with_other_genes(tmp_path):
    a, b = folder(tmp_path / "A"), folder(tmp_path / "B")
    table = spots()[12:]
    write_h5(b / "filtered_feature_bc_matrix.h5", list(table["barcode"]), counts_of(table), ["KRT8", "MKI67", "EPCAM"])
    adata = quietly([a, b])["table"]
    assert set(adata.var_names) == {"CD3E", "KRT8", "CD3E-1", "MKI67", "EPCAM"}
    only_b = adata[adata.obs["library_id"] == "A", "MKI67"]
    assert only_b.X.sum() == 0
    assert (adata.var["gene_ids"] != "").all()
    np.testing.assert_array_equal(
        adata[adata.obs["library_id"] == "B", "MKI67"].X.toarray()[:, 0], counts_of(table)[:, 1]
    )


@pytest.mark.parametrize(("bin_um", "n"), [(None, 1600), (8, 1600), (16, 400)])
def test_bins_of_visium_hd(tmp_path, bin_um, n):
    path = hd_folder(tmp_path / "H", 2, 8, 16)
    sdata = quietly(path, bin_um=bin_um)
    adata = sdata["table"]
    assert adata.n_obs == n
    size = bin_um or 8
    slide = adata.uns["histodecon"]["slides"]["H"]
    assert (slide["mpp"], slide["mpp_source"], slide["pitch_um"]) == (0.5, "Visium HD", size)
    shapes = sdata.shapes["H_spots"]
    np.testing.assert_allclose(shapes.area, (size / 0.5) ** 2, rtol=1e-9)
    assert shapes.union_all().area == pytest.approx((320 / 0.5) ** 2, rel=1e-3), "squares tile the plane"
    hd.pp.tile_spots(sdata, size_um=64)
    assert adata.uns["histodecon"]["tiles"]["H"]["mpp"] == 0.5
    assert adata.uns["histodecon"]["tiles"]["H"]["size_px"] == 128


def test_bins_by_their_own_folder_and_without_a_stated_scale(tmp_path):
    path = hd_folder(tmp_path / "H", 8, 16, microns_per_pixel=None)
    sdata = quietly(path / "binned_outputs" / "square_016um", library_id="H16")
    slide = sdata["table"].uns["histodecon"]["slides"]["H16"]
    assert (slide["mpp"], slide["mpp_source"]) == (pytest.approx(0.5), "array fit")
    # a table that another reader made: bins are known by their barcodes, not taken for legacy ST
    adata = sdata["table"].copy()
    del adata.uns["histodecon"], adata.uns["spatial"]["H16"]["scalefactors"]["spot_diameter_fullres"]
    hd.pp.tile_spots(adata, image=np.full((720, 720, 3), (200, 80, 160), dtype=np.uint8))
    record = adata.uns["histodecon"]["tiles"]["H16"]
    assert (record["mpp"], record["mpp_source"]) == (pytest.approx(0.5), "array fit")
    with pytest.raises(InputError, match=r"BI-02.*no bins of 4 µm.*8, 16 µm"):
        quietly(path, bin_um=4)
    with pytest.raises(InputError, match=r"BI-02.*no bins of 8 µm"):
        quietly(folder(tmp_path / "S"), bin_um=8)


def test_scale_in_order_of_trust(tmp_path):
    path = folder(tmp_path / "S1")
    slide = quietly(path, mpp=2.45)["table"].uns["histodecon"]["slides"]["S1"]
    assert (slide["mpp"], slide["mpp_source"]) == (2.45, "user")
    with pytest.warns(ResolutionWarning, match=r"mpp = 2 \(user\).*array fit 2.5, spot diameter 2.5"):
        hd.io.read_visium(path, mpp=2)
    with pytest.raises(ResolutionError, match=r"BI-15.*factor of 10"):
        hd.io.read_visium(path, mpp=0.25)
    with pytest.warns(ResolutionWarning, match=r"2.5 \(array fit\).*spot diameter 2\.167"):
        sdata = hd.io.read_visium(path, spot_diameter_px=30)
    assert sdata["table"].uns["spatial"]["S1"]["scalefactors"]["spot_diameter_fullres"] == 30
    table = spots()
    table["array_row"] = np.random.default_rng(0).permutation(table["array_row"])
    lost = folder(tmp_path / "S2", table=table)
    assert quietly(lost)["table"].uns["histodecon"]["slides"]["S2"]["mpp_source"] == "spot pitch"
    rng = np.random.default_rng(0)
    table[["pxl_row_in_fullres", "pxl_col_in_fullres"]] = rng.uniform(50, 400, (len(table), 2))
    alone = folder(tmp_path / "S3", table=table)
    slide = quietly(alone)["table"].uns["histodecon"]["slides"]["S3"]
    assert (slide["mpp"], slide["mpp_source"]) == (pytest.approx(MPP), "spot diameter")


# BAD INPUTS


def test_bi01_no_scale_factors(tmp_path):
    path = folder(tmp_path / "S1")
    expected = path / "spatial" / "scalefactors_json.json"
    expected.unlink()
    with pytest.raises(InputError, match=rf"BI-01.*expected at {expected}.*`spot_diameter_px=` or `mpp=`"):
        hd.io.read_visium(path)
    with pytest.raises(ImageError, match=r"no image.*without a scale.*fullres_image"):
        hd.io.read_visium(path, mpp=MPP)
    for given in ({"mpp": MPP}, {"spot_diameter_px": 65 / MPP}):
        check(quietly(path, fullres_image=picture(1), **given), "S1")
    with pytest.raises(ResolutionError, match="above 0"):
        hd.io.read_visium(path, spot_diameter_px=-1)


def test_bi02_no_positions_no_counts_no_folder(tmp_path):
    path = folder(tmp_path / "S1")
    (path / "spatial" / "tissue_positions.csv").unlink()
    match = r"BI-02.*'scalefactors_json.json'.*'filtered_feature_bc_matrix.h5'.*'tissue_positions.csv', 'tissue_positions_list.csv'"
    with pytest.raises(InputError, match=match):
        hd.io.read_visium(path)
    (path / "filtered_feature_bc_matrix.h5").unlink()
    with pytest.raises(InputError, match=r"BI-02.*No counts.*holds 'spatial'"):
        hd.io.read_visium(path)
    with pytest.raises(InputError, match=r"BI-02.*absent"):
        hd.io.read_visium(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"2 problems(?s:.)*BI-02(?s:.)*BI-02"):
        hd.io.read_visium([path, tmp_path / "nowhere"])
    with pytest.raises(InputError, match="not a folder"):
        hd.io.read_visium(path / "spatial" / "scalefactors_json.json")
    other = folder(tmp_path / "S2", matrix="mtx")
    (other / "filtered_feature_bc_matrix" / "barcodes.tsv.gz").unlink()
    with pytest.raises(InputError, match=r"BI-02.*lacks"):
        hd.io.read_visium(other)


@pytest.mark.parametrize("how", ["absent", "empty"])
def test_bi03_barcodes_without_position(tmp_path, how):
    table = spots()
    counted = table[12:]
    if how == "absent":
        table = table.drop([20, 21, 22, 23])
    else:
        table.loc[[20, 21, 22, 23], "pxl_row_in_fullres"] = np.nan
    path = folder(tmp_path / "S1", table=table, counted=counted)
    match = r"BI-03.*4 of 108: 'ACGT0020-1', 'ACGT0021-1', 'ACGT0022-1' and 1 more.*drop_unplaced=True"
    with pytest.raises(AlignmentError, match=match):
        hd.io.read_visium(path)
    with pytest.warns(DroppedSpotsWarning, match=r"BI-03.*4 spots.*no position"):
        adata = hd.io.read_visium(path, drop_unplaced=True)["table"]
    assert adata.n_obs == 104
    assert np.isfinite(adata.obsm["spatial"]).all()
    counts = pd.DataFrame(counts_of(counted), index=list(counted["barcode"]))
    np.testing.assert_array_equal(adata.X.toarray(), counts.loc[adata.obs_names])


@pytest.mark.parametrize("where", ["counts", "positions"])
def test_bi04_barcodes_twice(tmp_path, where):
    table = spots()
    twice = pd.concat([table, table.iloc[20:22]])
    counted = twice[twice["in_tissue"] == 1] if where == "counts" else table[12:]
    path = folder(tmp_path / "S1", table=table if where == "counts" else twice, counted=counted)
    with pytest.raises(AlignmentError, match=r"BI-04.*2: 'ACGT0020-1', 'ACGT0021-1'.*obs_names_make_unique"):
        hd.io.read_visium(path)


def test_bi05_barcodes_twice_after_joining(tmp_path):
    path = folder(tmp_path / "S1")
    one = quietly(path)["table"]
    joined = ad.concat([one, one])
    with pytest.raises(AlignmentError, match=r'BI-04.*index_unique="-"'):
        hd.pp.tile_spots(joined, image=picture(1))
    with pytest.raises(AlignmentError, match=r"BI-05.*'S1'.*name them"):
        hd.io.read_visium([path, path])


def test_bi06_columns_that_are_not_those_of_positions(tmp_path):
    table = spots().rename(columns={"pxl_row_in_fullres": "y"})
    with pytest.raises(InputError, match=r"BI-06.*'y'.*pxl_row_in_fullres"):
        hd.io.read_visium(folder(tmp_path / "S1", table=table))
    path = folder(tmp_path / "S2")
    positions = path / "spatial" / "tissue_positions.csv"
    shuffled = spots()[["barcode", "pxl_col_in_fullres", "array_row", "in_tissue", "array_col", "pxl_row_in_fullres"]]
    shuffled.to_csv(positions, index=False, sep="\t")
    check(quietly(path), "S2")
    shuffled.set_index("barcode").rename_axis(None).to_csv(positions)
    check(quietly(path), "S2")
    shuffled.set_index("barcode").to_parquet(positions)
    check(quietly(path), "S2")


def test_bi08_barcodes_of_another_kind(tmp_path):
    table = spots().assign(barcode=range(120))
    counted = spots()[12:]
    with pytest.raises(AlignmentError, match=r"BI-08.*no common spots.*left look like 'ACGT.*right look like '0'"):
        hd.io.read_visium(folder(tmp_path / "S1", table=table, counted=counted))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_bi38_numbers_as_barcodes(tmp_path, kind):
    table = spots().assign(barcode=range(1000, 1120))
    path = folder(tmp_path / "S1", table=table, positions=f"tissue_positions.{kind}")
    adata = quietly(path)["table"]
    assert list(adata.obs_names[:2]) == ["1012", "1013"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert list(ad.read_h5ad(tmp_path / "a.h5ad").obs_names[:2]) == ["1012", "1013"]


def test_bi38_barcodes_beyond_ascii(tmp_path):
    import spatialdata

    path = folder(tmp_path / "S1", table=spots().assign(barcode=[f"spöt {i} α" for i in range(120)]), matrix="mtx")
    sdata = quietly(path)
    sdata.write(tmp_path / "S1.zarr")
    assert spatialdata.read_zarr(tmp_path / "S1.zarr")["table"].obs_names[0] == "spöt 12 α"


def test_bi31_bi39_no_spot_on_tissue(tmp_path):
    path = folder(tmp_path / "S1", table=spots().assign(in_tissue=0), counted=spots())
    with pytest.raises(InputError, match=r"BI-31.*0 spots on tissue.*120.*in_tissue_only=False"):
        hd.io.read_visium(path)


def test_bi11_an_image_of_another_scale(tmp_path):
    path = folder(tmp_path / "S1")
    with pytest.raises(ResolutionError, match=r"BI-11.*scaled by 0.5 \(tissue_hires_scalef\)"):
        hd.io.read_visium(path, fullres_image=picture(HIRES))
    larger = np.repeat(np.repeat(picture(1), 2, axis=0), 2, axis=1)
    with pytest.raises(ResolutionError, match=r"BI-11.*1280 × 960.*640 × 480 px; factor 2"):
        hd.io.read_visium(path, fullres_image=larger)


def test_bi12_spots_outside_the_image(tmp_path):
    table = spots()
    table["pxl_row_in_fullres"] += 300
    with pytest.raises(GeometryError, match=r"BI-12"):
        hd.io.read_visium(folder(tmp_path / "S1", table=table))


DAMAGED = {
    "filtered_feature_bc_matrix.h5": b"\x89HDF\r\n\x1a\n0000",
    "spatial/tissue_positions.csv": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "spatial/scalefactors_json.json": b"<html>login</html>",
}


@pytest.mark.parametrize("name", list(DAMAGED))
@pytest.mark.parametrize("content", ["empty", "damaged"])
def test_bi29_damaged_files(tmp_path, name, content):
    path = folder(tmp_path / "S1")
    (path / name).write_bytes(DAMAGED[name] if content == "damaged" else b"")
    with pytest.raises(InputError, match=f"BI-29.*{Path(name).name}.*fetch it again"):
        hd.io.read_visium(path)


def test_damaged_parquet_and_picture(tmp_path):
    path = folder(tmp_path / "S1", positions="tissue_positions.parquet")
    (path / "spatial" / "tissue_positions.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(InputError, match=r"BI-29"):
        hd.io.read_visium(path)
    other = folder(tmp_path / "S2")
    (other / "spatial" / "tissue_hires_image.png").write_bytes(b"<html>")
    with pytest.raises(ImageError, match=r"BI-29"):
        hd.io.read_visium(other)


def test_arguments_that_do_not_fit(tmp_path):
    a, b = folder(tmp_path / "A"), folder(tmp_path / "B")
    with pytest.raises(InputError, match=r"BI-36.*fullres_image.*2 slides"):
        hd.io.read_visium([a, b], fullres_image=picture(1))
    with pytest.raises(InputError, match=r"BI-36.*'C'"):
        hd.io.read_visium([a, b], mpp={"C": 1.0})
    with pytest.raises(InputError, match=r"BI-36.*library_id"):
        hd.io.read_visium([a, b], library_id="A")
    with pytest.raises(InputError, match="No slide"):
        hd.io.read_visium([])
    for name in ("GSM1_", "GSM2_"):
        write_h5(tmp_path / f"{name}filtered_feature_bc_matrix.h5", ["a"], np.ones((1, 3), int))
    with pytest.raises(InputError, match=r"BI-36.*2 slides.*'GSM1_.*'GSM2_"):
        hd.io.read_visium(tmp_path)


# REAL SLIDES

REAL = {
    "squidpy_100spots_v1": (100, 100, 13332, 0.045004502, 0.7252),
    "scanpy_100spots_v1": (100, 100, 13332, 0.045004502, 0.7252),
    "mouse_embryo_spaceranger3": (2898, 19465, 3000, 0.2, 4.667),
}


def real(shared_data: Path, name: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HistodeconWarning)
        return hd.io.read_visium(shared_data / "visium" / name)


@pytest.mark.parametrize("name", list(REAL))
def test_real_slides(shared_data, tmp_path, name):
    import spatialdata

    n_spots, n_genes, width, scale, mpp = REAL[name]
    sdata = real(shared_data, name)
    adata = sdata["table"]
    assert adata.shape == (n_spots, n_genes)
    slide = adata.uns["histodecon"]["slides"][name]
    assert slide["width_px"] == slide["height_px"] == pytest.approx(width, abs=1)
    assert slide["mpp"] == pytest.approx(mpp, rel=0.005)
    assert slide["mpp_source"] == "array fit"
    assert slide["image_mpp"] == pytest.approx(mpp / scale, rel=0.005)
    with pytest.warns(ResolutionWarning):
        hd.pp.tile_spots(sdata)
    assert adata.obs["in_tissue_tile"].all()
    sdata.write(tmp_path / "a.zarr")
    back = spatialdata.read_zarr(tmp_path / "a.zarr")
    assert back["table"].uns["histodecon"]["slides"][name] == pytest.approx(slide)


def test_the_pitch_overrules_the_spot_diameter(shared_data):
    with pytest.warns(ResolutionWarning, match=r"4.667 \(array fit\).*spot diameter 4.344"):
        hd.io.read_visium(shared_data / "visium" / "mouse_embryo_spaceranger3")


def test_black_pictures_of_the_small_slides(shared_data):
    with pytest.warns(FallbackWarning, match="tissue_hires_image.png"):
        hd.io.read_visium(shared_data / "visium" / "squidpy_100spots_v1")


@pytest.mark.parametrize("name", list(REAL))
def test_squidpy_draws_what_was_read(shared_data, name):
    import matplotlib.pyplot as plt
    import squidpy as sq

    adata = real(shared_data, name)["table"]
    sq.pl.spatial_scatter(adata, color="array_row", library_key="library_id")
    axes = plt.gca()
    factor = adata.uns["spatial"][name]["scalefactors"]["tissue_hires_scalef"]
    extent = adata.obsm["spatial"].max(axis=0) * factor
    assert axes.images, "the tissue is drawn"
    assert (extent < adata.uns["spatial"][name]["images"]["hires"].shape[1::-1]).all()
    plt.close("all")


def test_real_slides_together(shared_data):
    names = list(REAL)[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HistodeconWarning)
        sdata = hd.io.read_visium({"A": shared_data / "visium" / names[0], "B": shared_data / "visium" / names[1]})
    adata = sdata["table"]
    assert adata.obs["library_id"].value_counts().to_dict() == {"A": 100, "B": 100}
    single = real(shared_data, names[1])["table"]
    np.testing.assert_array_equal(adata[adata.obs["library_id"] == "B"].obsm["spatial"], single.obsm["spatial"])


# WHAT OTHER READERS MADE


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        ("scanpy", "scanpy_100spots_v1"),
        ("squidpy", "squidpy_100spots_v1"),
        ("spatialdata-io", "squidpy_100spots_v1"),
        ("stored", "scanpy_100spots_v1"),
    ],
)
def test_tables_of_other_readers_go_on(shared_data, tmp_path, reader, name):
    path = shared_data / "visium" / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = other_reader(reader, path, tmp_path)
        hd.pp.tile_spots(data)
        hd.pp.embed_tiles(data, "color_stats", show_progress_bar=False)
    adata = data.tables["table"] if hasattr(data, "tables") else data
    own = real(shared_data, name)
    with pytest.warns(ResolutionWarning):
        hd.pp.tile_spots(own)
    hd.pp.embed_tiles(own, "color_stats", show_progress_bar=False)
    (record,) = adata.uns["histodecon"]["tiles"].values()
    assert record["mpp"] == pytest.approx(0.7252, rel=0.005)
    assert "lowres" in record["image"]  # the other is black
    rows = own["table"].obs_names
    np.testing.assert_allclose(adata[rows].obsm["X_color_stats"], own["table"].obsm["X_color_stats"], atol=1e-5)


def other_reader(reader: str, path: Path, tmp_path: Path):
    if reader == "scanpy":
        import scanpy

        return scanpy.read_visium(path)
    if reader == "squidpy":
        import squidpy

        return squidpy.read.visium(path)
    import spatialdata
    import spatialdata_io

    sdata = spatialdata_io.visium(path, dataset_id="S")
    if reader == "spatialdata-io":
        return sdata
    sdata.write(tmp_path / "s.zarr")
    return spatialdata.read_zarr(tmp_path / "s.zarr")


def test_joined_stores_of_spatialdata_io(tmp_path):
    import spatialdata
    import spatialdata_io

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [spatialdata_io.visium(folder(tmp_path / name), dataset_id=name) for name in ("A", "B")]
        parts[1].tables["table"].obs_names = [f"{name}-B" for name in parts[1].tables["table"].obs_names]
        sdata = spatialdata.concatenate(parts, concatenate_tables=True)
        hd.pp.tile_spots(sdata)
    tiles = sdata["table"].uns["histodecon"]["tiles"]
    assert {name: record["image"] for name, record in tiles.items()} == {
        "A": 'images["A_hires_image"]',
        "B": 'images["B_hires_image"]',
    }
    assert tiles["A"]["mpp"] == pytest.approx(MPP)
