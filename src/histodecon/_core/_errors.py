"""Errors and warnings: what is wrong, where, why it matters, what to type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

DOCS_ERRORS = "errors.html"


class HistodeconError(Exception):
    """Base of every error that histodecon raises on purpose.

    Parameters
    ----------
    what
        What is wrong, as one clause.
    where
        The key, the count, the first names.
    why
        Why it matters.
    fix
        What to type.
    code
        Stable id such as ``BI-45``; the errors page of the documentation explains it.
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "", code: str = "") -> None:
        sentences = [_sentence(part) for part in (what, where, why) if part]
        if fix:
            sentences.append(f"To fix it: {_sentence(fix)}")
        prefix = f"[HD-{code}] " if code else ""
        self.code = code
        super().__init__(prefix + " ".join(sentences))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], self.code)

    def __str__(self) -> str:  # KeyError would show the repr
        return str(self.args[0])


def _rebuild(cls: type[HistodeconError], message: str, code: str) -> HistodeconError:
    error = cls("", code=code)
    error.args = (message,)
    return error


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":", "`", ")")) and not text.endswith("`)") else f"{text}."


class InputError(HistodeconError, ValueError):
    """Something handed in is not usable."""


class MissingKeyError(InputError, KeyError):
    """A key, column or element that is needed is absent."""


class AlignmentError(InputError):
    """Barcodes or names of two things do not match."""


class ImageError(InputError):
    """An image cannot be read as H&E."""


class ResolutionError(InputError):
    """The physical size of a pixel is unknown or contradictory."""


class NamingError(InputError):
    """A name cannot be stored or is ambiguous."""


class TargetError(InputError):
    """Abundances or counts are not usable as targets."""


class GeometryError(InputError):
    """Coordinates do not fit the image or each other."""


class ModelError(HistodeconError, RuntimeError):
    """A model cannot be trained, read or used."""


class ModelVersionError(ModelError):
    """A model file was written by a newer format."""


class ModelMismatchError(ModelError):
    """A model and the data it is asked to read do not belong together."""


class IntegrityError(ModelError):
    """A file is damaged."""


class UnsafeFileError(ModelError):
    """A file could run code when opened."""


class HubError(HistodeconError, OSError):
    """A download failed."""


class GatedError(HubError):
    """The authors ask for consent before they give something away."""


class OfflineError(HubError):
    """Something must be fetched and there is no network."""


class StoreError(HistodeconError, OSError):
    """A file could not be written or read; what was there before is intact."""


class IncompleteStoreError(StoreError):
    """A table that was read lacks parts of what was written."""


class LockedError(StoreError):
    """A file that should be replaced is open in another program."""


class ResourceError(HistodeconError, MemoryError):
    """There is not enough memory or device."""


class MissingDependencyError(HistodeconError, ImportError):
    """An optional package is needed and absent."""


class HistodeconWarning(UserWarning):
    """Base of every warning; the result is still right."""


class ResolutionWarning(HistodeconWarning):
    """Sources of the pixel size disagree."""


class DroppedSpotsWarning(HistodeconWarning):
    """Some spots take no part in a step."""


class UndefinedMetricWarning(HistodeconWarning):
    """A score has no value for some cell types."""


class FallbackWarning(HistodeconWarning):
    """A slower or plainer way was taken."""


def first_names(names: Iterable[object], n: int = 3) -> str:
    """Show the first names of a list and how many more there are.

    Parameters
    ----------
    names
        Names of any kind; shown with their quotes, so that ``'1'`` and ``1`` differ.
    n
        How many to show.

    Returns
    -------
    The text.
    """
    listed = list(names)
    shown = ", ".join(repr(str(name)) if not isinstance(name, int) else repr(name) for name in listed[:n])
    more = len(listed) - n
    return f"{shown} and {more} more" if more > 0 else shown or "none"


def raise_together(faults: Sequence[HistodeconError]) -> None:
    """Raise several faults as one error, so that a user mends them in one go.

    Parameters
    ----------
    faults
        Errors collected while checking; nothing happens when there are none.

    Raises
    ------
    HistodeconError
        The fault itself when there is one, else their nearest common class with all texts.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise faults[0]
    shared = [cls for cls in type(faults[0]).__mro__ if all(isinstance(fault, cls) for fault in faults)]
    cls = next(cls for cls in shared if issubclass(cls, HistodeconError))
    text = f"{len(faults)} problems:\n" + "\n".join(f"  {i}. {fault}" for i, fault in enumerate(faults, start=1))
    raise _rebuild(cls, text, faults[0].code)
