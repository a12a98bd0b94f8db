"""The registry of encoders: one card for each, one file for each family."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError, add_card, cards_table, closest_names, find_cards
from histodecon.encoders._card import EncoderCard
from histodecon.encoders._normalization import name_normalization

if TYPE_CHECKING:
    import pandas as pd

_REGISTRY: dict[str, EncoderCard] = {}
_COLUMNS: dict[str, Callable[[EncoderCard], Any]] = {
    "dim": attrgetter("dim"),
    "input_px": attrgetter("input_px"),
    "tile_px": lambda card: card.tile_px or 0,
    "mpp": lambda card: card.mpp or 0.0,
    "tile_um": lambda card: card.tile_um or 0.0,
    "loader": attrgetter("loader"),
    "pooling": attrgetter("pooling"),
    "normalization": lambda card: name_normalization(card.mean, card.std),
    "interpolation": attrgetter("interpolation"),
    "resize_px": lambda card: card.resize_px or card.input_px,
    "safe_dtypes": lambda card: ", ".join(card.safe_dtypes),
    "gated": attrgetter("gated"),
    "license": attrgetter("license"),
    "commercial": attrgetter("commercial"),
    "repo": lambda card: card.repo or "",
    "revision": lambda card: card.revision or "",
    "access_url": lambda card: card.access_url or "",
    "citation": attrgetter("citation"),
    "summary": attrgetter("summary"),
}


def register_encoder(card: EncoderCard) -> EncoderCard:
    """Add an encoder, so that its name can be used wherever an encoder is named.

    Parameters
    ----------
    card
        The card.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        Another encoder has this name.
    """
    return add_card(registered(), card, what="An encoder")


def get_encoder_card(name: str) -> EncoderCard:
    """Look an encoder up.

    Parameters
    ----------
    name
        Name of a registered encoder. :func:`timm_card` makes the card of any other timm model.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        There is none of this name.

    Examples
    --------
    >>> from histodecon.encoders import get_encoder_card
    >>> get_encoder_card("color_stats").summary
    'Stain color, nuclei and texture of a tile; needs no weights.'
    """
    cards = registered()
    if name not in cards:
        raise unknown_encoder(name, cards)
    return cards[name]


def list_encoders() -> pd.DataFrame:
    """List every registered encoder: what it expects, what it answers, and on which terms.

    Returns
    -------
    One row an encoder, index its name, with these columns; texts are empty and numbers 0 where something is not known.

    ``dim``
        width of the embedding
    ``input_px``, ``resize_px``
        side of the tiles that are encoded, and the side they are resampled to before their center is cut out
    ``tile_px``, ``mpp``, ``tile_um``
        side in pixels, µm per pixel, and side in µm of the tiles that the encoder was trained on
    ``loader``
        what builds it, see :class:`EncoderCard`
    ``pooling``, ``normalization``, ``interpolation``
        how its tokens become one row, how it expects colors, and how tiles of another size are resampled
    ``safe_dtypes``
        half precisions that its embeddings may be computed in
    ``gated``, ``access_url``
        whether consent is asked before the weights are given, and the page for that
    ``license``, ``commercial``
        license of the weights, and whether it permits commercial use of what is derived from them
    ``repo``, ``revision``
        repository on the Hugging Face Hub and its pinned commit; the version of a function
    ``citation``, ``summary``
        what to cite, and one sentence

    Examples
    --------
    >>> from histodecon.encoders import list_encoders
    >>> table = list_encoders()
    >>> table.loc["uni", "normalization"], table.loc["uni", "license"]
    ('ImageNet', 'CC-BY-NC-ND-4.0')
    >>> "kaiko_s16" in table.index[~table["gated"]]
    True
    """
    return cards_table(registered(), _COLUMNS, index="encoder")


def registered() -> dict[str, EncoderCard]:
    """Return all cards; our own are those in ``CARDS`` of the files of ``cards``, found once.

    Returns
    -------
    From name to card.
    """
    from histodecon.encoders import cards

    return find_cards(_REGISTRY, cards)


def unknown_encoder(name: str, known: Iterable[str]) -> InputError:
    """Make the error for a name that nobody knows.

    Parameters
    ----------
    name
        The name.
    known
        Names that would do.

    Returns
    -------
    The error, with the closest names.
    """
    msg = f"Unknown encoder {name!r}"
    where = f"registered: {', '.join(sorted(registered()))}; any other name must be a timm model"
    fix = closest_names(name, [*registered(), *known], n=3) or (
        "`histodecon.encoders.list_encoders()` shows all, `timm.list_models()` those of timm"
    )
    return InputError(msg, where=where, fix=fix, code="BI-51")
