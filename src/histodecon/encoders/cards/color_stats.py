"""A descriptor that needs no weights."""

from histodecon.encoders._card import EncoderCard

CARDS = (
    EncoderCard(
        name="color_stats",
        loader="function",
        model="histodecon.encoders._color_stats:color_stats",
        dim=119,
        input_px=224,
        interpolation="bilinear",
        tile_um=112.0,
        revision="1",  # of the function: a change of its numbers changes this
        license="BSD-3-Clause",
        commercial=True,
        citation="Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23:291 (stain separation)",
        summary="Stain color, nuclei and texture of a tile; needs no weights.",
    ),
)
