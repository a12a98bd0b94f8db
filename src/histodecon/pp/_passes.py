"""Passes through the images: which tiles are read for which encoders, in which order, and in which shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histodecon import images
from histodecon._core import ShardStore, digest
from histodecon.encoders import Encoder
from histodecon.pp._tile_size import stated_size
from histodecon.pp._tile_stream import Slide, opened

SHARD = 256
"""Spots that are computed, written and recomputed together."""

PROBES = 2
"""Tiles that a function is asked to know it again."""

ENCODER_FIELD = "encoder"


@dataclass(frozen=True)
class Pass:
    """One pass through the image of a slide, for encoders that read the same tiles.

    Parameters
    ----------
    picture
        The image, as it is opened.
    rows
        Rows of the table in the order in which the image is read, shape (n,).
    centers
        Centers of their tiles in pixels of the image, shape (n, 2).
    box_px
        Side of a tile in the image.
    output_px
        Side of a tile handed to the encoders.
    interpolation
        How it is resampled.
    of
        Positions of the encoders.
    ids
        For each of them a digest of everything that decides the numbers of this pass.
    """

    picture: Any
    rows: np.ndarray
    centers: np.ndarray
    box_px: int
    output_px: int
    interpolation: str
    of: tuple[int, ...]
    ids: tuple[str, ...]

    @property
    def n_shards(self) -> int:
        """How many shards there are."""
        return -(-len(self.rows) // SHARD)

    def shard(self, number: int) -> slice:
        """Say where a shard lies in :attr:`rows`.

        Parameters
        ----------
        number
            Its number.

        Returns
        -------
        The slice.
        """
        return slice(number * SHARD, min((number + 1) * SHARD, len(self.rows)))

    def store(self, folder: Path, position: int, dim: int) -> ShardStore:
        """Say where finished shards of an encoder lie.

        Parameters
        ----------
        folder
            The cache.
        position
            Which of the encoders of this pass.
        dim
            Width of its embedding.

        Returns
        -------
        The store; its folder need not exist.
        """
        return ShardStore(folder / self.ids[position], dim)


def plan_passes(slides: Sequence[Slide], loaded: Sequence[Encoder], field_of_view: str) -> list[Pass]:
    """Plan how the tiles of all slides are read.

    Parameters
    ----------
    slides
        The slides.
    loaded
        The encoders.
    field_of_view
        ``"tile"`` or ``"encoder"``.

    Returns
    -------
    One pass for each slide and each kind of tile that some encoder reads. Order and shards depend on barcodes, coordinates and
    image, not on the order of the table.
    """
    passes = []
    identities = [_identity(one) for one in loaded]
    for slide in slides:
        groups: dict[tuple[int, int, str], list[int]] = {}
        for i, one in enumerate(loaded):
            box_px = max(1, round(native_px(slide, one, field_of_view) * slide.source.scale))
            groups.setdefault((box_px, one.resize_px, one.card.interpolation), []).append(i)
        by_name = np.argsort(np.array(slide.names))
        centers = slide.source.to_pixels(slide.xy)[by_name]
        with opened(slide.source.image) as image:
            for (box_px, output_px, interpolation), of in groups.items():
                order = by_name[images.tile_order(image, centers, box_px, output_px)]
                names = [slide.names[i] for i in order]
                facts = (slide.digest(), names, box_px, slide.source.scale, output_px, interpolation, SHARD)
                passes.append(
                    Pass(
                        slide.source.image,
                        slide.rows[order],
                        slide.source.to_pixels(slide.xy)[order],
                        box_px,
                        output_px,
                        interpolation,
                        tuple(of),
                        tuple(digest(identities[i], *map(_text, facts)) for i in of),
                    )
                )
    return passes


def _identity(encoder: Encoder) -> str:
    """Digest what tells an encoder from others; of a function handed in, what it answers to the last bit.

    The fingerprint of such a function rounds its answers, so that other processors agree on it. Shards must not be taken over
    from a function that was changed a little.
    """
    if encoder.card.loader != "callable":
        return encoder.fingerprint
    side = encoder.resize_px
    tiles = np.random.default_rng(1).integers(0, 256, (PROBES, side, side, 3), dtype=np.uint8)
    return digest(encoder.fingerprint, encoder.encode(tiles))


def _text(fact: Any) -> Any:
    return repr(fact) if isinstance(fact, (int, float)) else fact


def native_px(slide: Slide, encoder: Encoder, field_of_view: str) -> int:
    """Say how many full-resolution pixels of a slide a tile of an encoder has.

    Parameters
    ----------
    slide
        The slide.
    encoder
        The encoder.
    field_of_view
        ``"tile"`` or ``"encoder"``.

    Returns
    -------
    Whole pixels.
    """
    if field_of_view == ENCODER_FIELD and encoder.card.tile_um:
        return max(1, round(encoder.card.tile_um / float(slide.record["mpp"])))
    return int(slide.record["size_px"])


def stated_field(slide: Slide, encoder: Encoder, field_of_view: str) -> str:
    """Say how large the tiles of an encoder are, in the unit they were asked for.

    Parameters
    ----------
    slide
        Any of the slides.
    encoder
        The encoder.
    field_of_view
        ``"tile"`` or ``"encoder"``.

    Returns
    -------
    Such as ``"112 um"`` or ``"224 px"``.
    """
    if field_of_view == ENCODER_FIELD and encoder.card.tile_um:
        return f"{encoder.card.tile_um:.6g} um"
    return stated_size(slide.record)
