"""The official SEAL encoders, from a file that their authors hand out."""

from __future__ import annotations

import os
from dataclasses import replace

from histodecon._core import InputError
from histodecon.encoders._card import EncoderCard
from histodecon.encoders._registry import get_encoder_card
from histodecon.encoders._weights import sha256_of

BACKBONES = {"conch": "conch", "univ2": "uni2h"}
"""Backbone as the authors call it, and the encoder whose network it is."""
ACCESS_URL = "https://huggingface.co/MahmoodLab/SEAL"
WHERE_IN_FILE = "encoder.base_model.model."
SCALE = 1.0
TILE_PX, MPP = 224, 0.5


def seal_card(backbone: str, *, weights: str | os.PathLike[str], name: str | None = None) -> EncoderCard:
    """Describe an official SEAL encoder: CONCH or UNI2-h, tuned by its authors against the genes of 700,000 spots.

    Parameters
    ----------
    backbone
        ``"conch"`` or ``"univ2"``, as in the name of the file.
    weights
        Path of ``seal_conch_vision.pth`` or ``seal_univ2_vision.pth``, which its authors give away behind consent.
    name
        What to call the encoder, default ``"seal_conch"`` or ``"seal_uni2h"``; it becomes the key ``obsm["X_<name>"]``.

    Returns
    -------
    The card, for :func:`load_encoder`, :func:`register_encoder` or ``pp.embed_tiles``; the digest of the file is part of it.

    Raises
    ------
    InputError
        There is no such backbone.
    MissingKeyError
        There is no such file.
    IntegrityError
        It is empty, or a page of a web site.

    Notes
    -----
    The file holds the whole network in the layout of peft, with low-rank factors (r = 8, alpha = 8) beside the linear layers of
    the last blocks. They are added to the weights, and the result is loaded strictly into this project's own network: neither peft nor the
    authors' code is needed, and a file of another layout is refused. Embeddings are what their code returns as such, not
    normalized: tiles of 224 pixels at 0.5 µm per pixel, for CONCH without its enlargement to 448.

    These cards are not listed. A listed card names commit, digest and license of its file, and none of them can be read without
    consent: read the license on the page, until then it counts as that of the backbone, which forbids commercial use. Their layout
    is tested with files of random numbers; the published files were not at hand.

    References
    ----------
    Hemker, Song, Almagro-Pérez et al. 2026, Towards spatial transcriptomics-driven pathology foundation models, arXiv:2602.14177.
    """
    if backbone not in BACKBONES:
        known = ", ".join(f'"{one}"' for one in BACKBONES)
        msg = f"There is no official SEAL encoder of {backbone!r}"
        raise InputError(msg, where=f"known: {known}", fix='`seal_card("conch", weights=path)`', code="BI-72")
    base = get_encoder_card(BACKBONES[backbone])
    return replace(
        base,
        name=name or f"seal_{base.name}",
        input_px=TILE_PX,
        tile_px=TILE_PX,
        mpp=MPP,
        tile_um=None,
        safe_dtypes=(),
        repo=None,
        revision=None,
        weights_file=os.fspath(weights),
        weights_sha256=sha256_of(weights),
        prefix=WHERE_IN_FILE,
        low_rank_scale=SCALE,
        gated=True,
        access_url=ACCESS_URL,
        commercial=False,
        citation=(
            "Hemker, Song, Almagro-Pérez et al. 2026, Towards spatial transcriptomics-driven pathology foundation models, "
            f"arXiv:2602.14177; {base.citation}"
        ),
        summary=f"SEAL: {base.name} tuned against the genes of 700,000 spots of 14 organs.",
    )
