"""Encoders: from tiles to embeddings, with a card for each that says where its numbers come from.

A pure room: arrays in, arrays out.
"""

from typing import TYPE_CHECKING

from histodecon._core._lazy import lazy_attributes

if TYPE_CHECKING:
    from histodecon.encoders._adapter_card import AdapterCard
    from histodecon.encoders._adapters import Adapter, AdapterData, get_adapter, list_adapters, register_adapter
    from histodecon.encoders._card import EncoderCard
    from histodecon.encoders._color_stats import color_stats_names
    from histodecon.encoders._doctor import doctor
    from histodecon.encoders._embedding_adapter import EmbeddingAdapter
    from histodecon.encoders._encoder import Encoder
    from histodecon.encoders._load import load_encoder
    from histodecon.encoders._registry import get_encoder_card, list_encoders, register_encoder
    from histodecon.encoders._seal import seal_card
    from histodecon.encoders._timm import timm_card

_WHERE = {
    "Adapter": "_adapters",
    "AdapterCard": "_adapter_card",
    "AdapterData": "_adapters",
    "EmbeddingAdapter": "_embedding_adapter",
    "Encoder": "_encoder",
    "EncoderCard": "_card",
    "color_stats_names": "_color_stats",
    "doctor": "_doctor",
    "get_adapter": "_adapters",
    "get_encoder_card": "_registry",
    "list_adapters": "_adapters",
    "list_encoders": "_registry",
    "load_encoder": "_load",
    "register_adapter": "_adapters",
    "register_encoder": "_registry",
    "seal_card": "_seal",
    "timm_card": "_timm",
}

__all__ = [
    "Adapter",
    "AdapterCard",
    "AdapterData",
    "EmbeddingAdapter",
    "Encoder",
    "EncoderCard",
    "color_stats_names",
    "doctor",
    "get_adapter",
    "get_encoder_card",
    "list_adapters",
    "list_encoders",
    "load_encoder",
    "register_adapter",
    "register_encoder",
    "seal_card",
    "timm_card",
]

__getattr__, __dir__ = lazy_attributes(__name__, _WHERE)
