"""Half precision where the card and the device allow it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_networks import tiny_card

from histodecon import InputError
from histodecon.encoders import _precision, load_encoder
from histodecon.encoders._precision import choose_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_precision_by_device_and_card(tmp_path, monkeypatch):
    card = tiny_card("torch", tmp_path)
    plain = replace(card, safe_dtypes=())
    monkeypatch.setattr(_precision, "_is_native", lambda _: True)
    assert choose_dtype(card, CUDA) == "bfloat16"
    assert choose_dtype(plain, CUDA) == choose_dtype(card, CPU) == choose_dtype(card, torch.device("mps")) == "float32"
    monkeypatch.setattr(_precision, "_is_native", lambda dtype: dtype != "bfloat16")
    assert choose_dtype(card, CUDA) == "float16"
    assert choose_dtype(replace(card, safe_dtypes=("bfloat16",)), CUDA) == "float32"
    assert choose_dtype(card, CUDA, "float32") == "float32"
    with pytest.raises(InputError, match=r"BI-51.*not computed in float16.*allows float32\b"):
        load_encoder(plain, precision="float16")
    with pytest.raises(InputError, match=r"BI-51.*precision 'fp16' is unknown"):
        load_encoder(card, precision="fp16")
    with pytest.raises(InputError, match=r"BI-51.*is a function"):
        load_encoder("color_stats", precision="bfloat16")
