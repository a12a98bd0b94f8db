"""What is known of how imported embeddings were made, and what follows from it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from histodecon._core import InputError, digest, first_names, is_safe_key, safe_key
from histodecon.encoders import EncoderCard, get_encoder_card, list_encoders
from histodecon.pp._imported import Imported

PREFIX = "imported-"
"""Begins the fingerprint of every imported embedding; those of ``embed_tiles`` are hexadecimal digits alone."""

UNKNOWN = "unknown"
_OTHER_NAMES = {
    "univ1": "uni",
    "univ2": "uni2h",
    "uni2": "uni2h",
    "conchv1": "conch",
    "kaikovits8": "kaiko_s8",
    "kaikovits16": "kaiko_s16",
    "kaikovitb8": "kaiko_b8",
    "kaikovitb16": "kaiko_b16",
    "kaikovitl14": "kaiko_l14",
}
"""What other tools call encoders, letters and digits alone, where that is not our name."""


def encoder_of(found: Sequence[Imported], encoder: str | None) -> tuple[str, EncoderCard | None]:
    """Find the encoder that the user or the sources name.

    Parameters
    ----------
    found
        The sources.
    encoder
        What the user says.

    Returns
    -------
    Its name, and its card where it is a registered one.

    Raises
    ------
    InputError
        Nobody names it, or two names of registered encoders contradict; or the embeddings are not as wide as the card says.
    """
    if encoder is not None and not is_safe_key(encoder):
        msg = f"The name {encoder!r} of an encoder cannot be stored"
        raise InputError(msg, fix="use letters, digits, '_', '.' and '-' only", code="BI-67")
    named = {_registered(one.encoder) or safe_key(one.encoder) for one in found if one.encoder}
    if encoder is None and len(named) != 1:
        msg = "The sources name different encoders" if named else "It is not known which encoder made the embeddings"
        where = first_names(sorted(named)) if named else f"{found[0].name} does not say"
        fix = '`encoder="uni"`, or the name under which you know it'
        raise InputError(msg, where=where, why="models compare it before they predict", fix=fix, code="BI-51")
    name = next(iter(named)) if encoder is None else _registered(encoder) or encoder
    others = {other for other in named if _registered(other) and _registered(name)} - {name}
    if others:
        msg = f"The embeddings are said to be of {name!r}, the source names {first_names(sorted(others))}"
        raise InputError(msg, where=found[0].name, fix="leave `encoder=` out, or hand in the other file", code="BI-45")
    known = _registered(name)
    card = get_encoder_card(known) if known else None
    _check_width(found, name, card)
    return name, card


def _registered(name: str | None) -> str | None:
    """Our name of an encoder, however it is written elsewhere."""
    bare = re.sub(r"[^a-z0-9]", "", (name or "").lower())
    ours = {re.sub(r"[^a-z0-9]", "", key.lower()): str(key) for key in list_encoders().index}
    wanted = _OTHER_NAMES.get(bare)
    return ours.get(bare) or (wanted if wanted in ours.values() else None)


def _check_width(found: Sequence[Imported], name: str, card: EncoderCard | None) -> None:
    widths = {one.name: one.values.shape[1] for one in found}
    if len(set(widths.values())) > 1:
        msg = "The embeddings of the slides are not equally wide"
        where = ", ".join(f"{source}: {width}" for source, width in list(widths.items())[:3])
        raise InputError(msg, where=where, fix="hand in files of one encoder", code="BI-44")
    width = found[0].values.shape[1]
    if card is not None and card.dim != width:
        msg = f"The embeddings have {width} columns, those of {name!r} have {card.dim}"
        why = "another encoder, or other tokens of this one, made them"
        fix = f"give them a name of their own, `encoder='{name}_{width}'`"
        raise InputError(msg, where=found[0].name, why=why, fix=fix, code="BI-44")


def recipe_of(found: Sequence[Imported], encoder: str, *, tool: str | None, tile_um: float | None) -> dict[str, Any]:
    """Collect what is known of the recipe and does not depend on the slide.

    Parameters
    ----------
    found
        The sources.
    encoder
        Name of the encoder.
    tool
        What the user says made them.
    tile_um
        What the user says a tile shows.

    Returns
    -------
    Texts and numbers.

    Raises
    ------
    InputError
        Sources contradict each other or the user.
    """
    tools = {one.tool for one in found if one.tool} | ({tool} if tool else set())
    recipes = {json.dumps(dict(one.recipe), sort_keys=True) for one in found}
    if len(tools) > 1 or len(recipes) > 1:
        msg = "The embeddings were made in different ways"
        where = first_names(sorted(tools)) if len(tools) > 1 else first_names(sorted(recipes))
        why = "one column of `obsm` holds one recipe"
        fix = "import them under different keys, `key_added=`" if len(tools) <= 1 else "leave `tool=` out"
        raise InputError(msg, where=where, why=why, fix=fix, code="BI-45")
    recipe: dict[str, Any] = {"kind": "imported", "tool": next(iter(tools), UNKNOWN), "encoder": encoder}
    recipe |= {"width": int(found[0].values.shape[1]), **found[0].recipe}
    if tile_um is not None and "tile_px" not in found[0].recipe:
        recipe["tile_um"] = float(tile_um)
    return recipe


def record_of(recipe: dict[str, Any], card: EncoderCard | None) -> dict[str, Any]:
    """Write the record of an imported embedding.

    Parameters
    ----------
    recipe
        As from :func:`recipe_of`.
    card
        Card of the encoder, where it is a registered one.

    Returns
    -------
    Texts, numbers and bools.
    """
    from histodecon import __version__

    text = json.dumps(recipe, sort_keys=True)
    return {
        "encoder": recipe["encoder"],
        "fingerprint": PREFIX + digest(text),
        "recipe": text,
        "verified": False,
        "tool": recipe["tool"],
        "license": UNKNOWN if card is None else card.license,
        "commercial": False if card is None else card.commercial,
        "dtype": "float32",
        "version": __version__,
    }
