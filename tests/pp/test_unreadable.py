"""A tile that cannot be read is named by its barcode, and nothing is written."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd

SIDE = 10


class Picture(hd.images.SlideImage):
    """Noise whose squares of 20 pixels can be spoiled."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.pixels = np.clip(np.array([170, 90, 160]) + rng.integers(-40, 40, (100, 100, 3)), 0, 255).astype(np.uint8)
        self.spoiled: set[tuple[int, int]] = set()
        super().__init__(self._box, 100, 100, source="a picture", mpp=0.5)

    def _box(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        for x, y in self.spoiled:
            if x0 < x + 20 and x < x1 and y0 < y + 20 and y < y1:
                msg = "cannot decode"
                raise OSError(msg)
        return self.pixels[y0:y1, x0:x1]

    def spoil(self, *corners: tuple[int, int]) -> None:
        self._cache.clear()
        self.spoiled = set(corners)


def table() -> ad.AnnData:
    xy = np.array([[x, y] for y in range(10, 100, 20) for x in range(10, 100, 20)], dtype=float)
    adata = ad.AnnData(np.zeros((25, 1)), obs=pd.DataFrame(index=[f"s{i}" for i in range(25)]))
    adata.obsm["spatial"] = xy
    return adata


def test_all_of_them_are_named_when_tiles_are_laid() -> None:  # FI-21
    adata, picture = table(), Picture()
    picture.spoil((40, 20), (0, 80))
    before = state_of(adata)
    with pytest.raises(
        hd.ImageError, match=r"FI-21.*2 of 25: 's7', 's20'; cannot decode.*isin\(\['s7', 's20'\]\)"
    ) as caught:
        hd.pp.tile_spots(adata, size_px=SIDE, mpp=0.5, image=picture)
    assert caught.value.__notes__ == ["All of them: s7, s20"]
    assert state_of(adata) == before


def test_all_of_them_are_named_when_tiles_are_embedded(monkeypatch: pytest.MonkeyPatch) -> None:  # FI-21
    adata, picture = table(), Picture()
    hd.pp.tile_spots(adata, size_px=SIDE, mpp=0.5, image=picture)
    digest = picture.digest()
    monkeypatch.setattr(picture, "digest", lambda: digest)
    before = state_of(adata)
    picture.spoil((40, 40))
    with pytest.raises(hd.ImageError, match=r"FI-21.*1 of 25: 's12'"):
        hd.pp.embed_tiles(adata, "color_stats", image=picture, show_progress_bar=False)
    assert state_of(adata) == before
    rest = adata[adata.obs_names != "s12"].copy()
    hd.pp.embed_tiles(rest, "color_stats", image=picture, show_progress_bar=False)
    picture.spoil()
    hd.pp.embed_tiles(adata, "color_stats", image=picture, show_progress_bar=False)
    np.testing.assert_array_equal(adata[rest.obs_names].obsm["X_color_stats"], rest.obsm["X_color_stats"])


def test_a_fault_that_is_no_fault_of_a_tile_passes() -> None:
    from histodecon.pp._unreadable import naming_unreadable

    with pytest.raises(ZeroDivisionError), naming_unreadable(Picture(), np.array([[50.0, 50.0]]), SIDE, ["a"]):
        1 / 0  # noqa: B018 the fault
