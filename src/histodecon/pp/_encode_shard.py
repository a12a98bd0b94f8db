"""Encode one shard in a worker of a cluster."""

from __future__ import annotations

import hashlib
import pickle
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon import images
from histodecon._core import HistodeconError, HistodeconWarning, InputError
from histodecon.encoders import Encoder
from histodecon.pp._passes import Pass
from histodecon.pp._run_passes import encode_finite, stream_shards, tiles_at_once
from histodecon.pp._unreadable import named

if TYPE_CHECKING:
    import pandas as pd

Told = list[tuple[type[HistodeconWarning], str]]

_encoders: dict[str, tuple[str, Encoder]] = {}
_pictures: list[tuple[str, images.SlideImage]] = []
_encoding = threading.Lock()
_lending = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """An image on its way to a worker.

    Parameters
    ----------
    key
        Its name, different for every run.
    digest
        Digest of what the calling process sees in it.
    source
        What it is told apart by in errors.
    """

    key: str
    digest: str
    source: str


def encode_shard(
    run: str,
    plan: Pass,
    names: pd.Index,
    picture: Picture,
    content: Any,
    encoders: Sequence[bytes],
    batch_size: int | None,
) -> tuple[list[np.ndarray], Told]:
    """Encode one shard.

    A process loads every encoder once, and one thread at a time encodes; the others read. An image stays open between shards.

    Parameters
    ----------
    run
        Name of the run. Encoders of earlier runs are dropped when this one brings another.
    plan
        A pass of this shard alone, without its image.
    names
        Barcodes, for errors.
    picture, content
        The image: what it is, and what it is opened from, perhaps pickled.
    encoders
        Pickled encoders.
    batch_size
        Tiles encoded at once; None leaves it to each encoder.

    Returns
    -------
    For each encoder float32 (n, dim); and warnings.

    Raises
    ------
    InputError
        The image is another one here; or as in :func:`histodecon.pp._run_passes.encode_finite`.
    """
    with _encoding, _overheard() as told:
        loaded = [_load(run, one) for one in encoders]
    values = [np.empty((len(plan.rows), one.dim), dtype=np.float32) for one in loaded]
    with _borrowed(picture, content) as image:
        tiles_of = stream_shards(replace(plan, picture=image), [0], streamed=tiles_at_once(loaded, batch_size))
        for _, places, tiles in named(tiles_of, image, plan.centers, plan.box_px, [str(name) for name in names]):
            with _encoding, _overheard() as more:
                for one, out in zip(loaded, values, strict=True):
                    out[places] = encode_finite(one, tiles, batch_size, names[places])
            told += more
    return values, told


def close_pictures(run: str) -> None:
    """Close the images of a run that is over.

    Parameters
    ----------
    run
        Its name.
    """
    with _lending:
        over = [entry for entry in _pictures if entry[0].startswith(run)]
        _pictures[:] = [entry for entry in _pictures if entry not in over]
    for _, image in over:
        image.close()


def _load(run: str, pickled: bytes) -> Encoder:
    key = hashlib.sha256(pickled).hexdigest()
    if key not in _encoders:
        for old in [old for old, (of, _) in _encoders.items() if of != run]:
            del _encoders[old]  # before the new one needs its memory
        _encoders[key] = run, _unpickled(pickled)
    _encoders[key] = run, _encoders[key][1]
    return _encoders[key][1]


def _unpickled(pickled: bytes) -> Encoder:
    """Read what the calling process wrote; it came the way that the code of tasks comes."""
    try:
        encoder: Encoder = pickle.loads(pickled)  # noqa: S301 it comes from the caller, as the task itself does
    except HistodeconError:
        raise
    except (ImportError, AttributeError) as error:
        msg = "A worker cannot import the function that was handed in as encoder"
        fix = "define it in the script or notebook itself, or `cloudpickle.register_pickle_by_value(module)`"
        raise InputError(msg, where=str(error), fix=fix, code="BI-51") from error
    return encoder


@contextmanager
def _borrowed(picture: Picture, content: Any) -> Iterator[images.SlideImage]:
    """Lend an image to one thread; an idle one where there is one, for it knows the chunks that it decoded."""
    with _lending:
        idle = [entry for entry in _pictures if entry[0] == picture.key]
        others = [] if idle else list(_pictures)
        for entry in idle[:1] + others:
            _pictures.remove(entry)
    for _, image in others:
        image.close()
    image = idle[0][1] if idle else _open(picture, content)
    try:
        yield image
    finally:
        with _lending:
            _pictures.append((picture.key, image))


def _open(picture: Picture, content: Any) -> images.SlideImage:
    image = images.open_image(pickle.loads(content) if isinstance(content, bytes) else content)  # noqa: S301 it comes from the caller, as the task itself does
    if image.digest() == picture.digest:
        return image
    image.close()
    msg = f"A worker finds another image than the calling process at {picture.source}"
    fix = "let all machines see the same file under the same path"
    raise InputError(msg, why="tiles would be cut from another slide", fix=fix, code="BI-52")


@contextmanager
def _overheard() -> Iterator[Told]:
    """Collect warnings, which the calling process shall give."""
    told: Told = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", HistodeconWarning)
        yield told
    told += [(one.category, str(one.message)) for one in heard if issubclass(one.category, HistodeconWarning)]
