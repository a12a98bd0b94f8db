"""Pictures of any mode, size and container, but no TIFF with a palette: RGB, white outside, windows that agree with the whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodecon import images
from histodecon._core import ImageError

LOSSLESS = st.sampled_from(["png", "tif"])


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(["RGB", "RGBA", "P", "L"]),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    suffix=LOSSLESS,
    seed=st.integers(0, 99),
    box=st.tuples(st.integers(-20, 80), st.integers(-20, 80), st.integers(1, 40), st.integers(1, 40)),
)
@pytest.mark.filterwarnings("ignore")
def test_any_picture_is_rgb(tmp_path_factory, mode, width, height, suffix, seed, box) -> None:
    rng = np.random.default_rng(seed)
    drawn = PIL.Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)
    expected = np.asarray(drawn.convert("RGB")).astype(int)
    if mode == "RGBA":
        alpha = rng.integers(0, 256, (height, width), dtype=np.uint8)
        drawn.putalpha(PIL.Image.fromarray(alpha))
        share = alpha[..., None] / 255
        expected = expected * share + 255 * (1 - share)
    content = io.BytesIO()
    drawn.save(content, format={"png": "PNG", "tif": "TIFF"}[suffix])
    path = Path(tmp_path_factory.mktemp("any"), f"a.{suffix}")
    path.write_bytes(content.getvalue())
    if (mode, suffix) == ("P", "tif"):
        with pytest.raises(ImageError, match="BI-21"):  # says to save it as RGB
            images.open_image(path, allow_gray=True)
        return
    picture = images.open_image(path, allow_gray=True)
    assert (picture.width, picture.height) == (width, height)
    whole = picture.read(0, 0, width, height)
    assert whole.dtype == np.uint8
    assert np.abs(whole - expected).max() <= 1
    x, y, across, down = box
    around = np.pad(whole, ((120, 120), (120, 120), (0, 0)), constant_values=255)
    np.testing.assert_array_equal(
        picture.read(x, y, across, down), around[120 + y : 120 + y + down, 120 + x : 120 + x + across]
    )
