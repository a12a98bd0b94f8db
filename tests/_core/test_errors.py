from __future__ import annotations

import pickle

import pytest

import histodecon as hd
from histodecon._core import first_names, raise_together

CLASSES = [getattr(hd, name) for name in hd.__all__ if issubclass(getattr(hd, name), Exception)]


def test_message_says_what_where_why_and_what_to_type() -> None:
    error = hd.MissingKeyError(
        'obsm["X"] is absent', where="keys present: 'a'", why="it is needed", fix="`f()`", code="BI-87"
    )
    assert str(error) == "[HD-BI-87] obsm[\"X\"] is absent. keys present: 'a'. it is needed. To fix it: `f()`"
    assert error.code == "BI-87"


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (hd.InputError, ValueError),
        (hd.MissingKeyError, KeyError),
        (hd.MissingKeyError, ValueError),
        (hd.ModelError, RuntimeError),
        (hd.StoreError, OSError),
        (hd.HubError, OSError),
        (hd.ResourceError, MemoryError),
        (hd.MissingDependencyError, ImportError),
    ],
)
def test_classes_are_caught_by_the_builtin_people_know(cls: type, builtin: type) -> None:
    assert issubclass(cls, builtin)
    assert issubclass(cls, hd.HistodeconError)


@pytest.mark.parametrize("cls", [c for c in CLASSES if issubclass(c, hd.HistodeconError)], ids=lambda c: c.__name__)
def test_errors_survive_pickling_and_print_plainly(cls: type[hd.HistodeconError]) -> None:
    error = cls("it's broken", code="BI-01")
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.code) == (cls, "[HD-BI-01] it's broken.", "BI-01")


def test_faults_are_raised_together_under_their_common_class() -> None:
    faults = [hd.MissingKeyError("first"), hd.TargetError("second")]
    with pytest.raises(hd.InputError, match="2 problems") as caught:
        raise_together(faults)
    assert type(caught.value) is hd.InputError
    assert "first" in str(caught.value)
    assert "second" in str(caught.value)
    with pytest.raises(hd.MissingKeyError, match="first"):
        raise_together(faults[:1])
    raise_together([])


def test_first_names_tells_strings_from_numbers_and_counts_the_rest() -> None:
    assert first_names(["1", "b", "c", "d"]) == "'1', 'b', 'c' and 1 more"
    assert first_names([1, 2]) == "1, 2"
    assert first_names([]) == "none"
