"""Docstrings say what a caller needs: numpydoc's own checks, examples that run, one wording for shared parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest
from numpydoc.validate import validate

import histodecon as hd
from histodecon._core import _docs

THIN = ("io", "datasets", "pp", "tl", "pl", "get")
CHECKED = {
    "GL03": "no double blank lines",
    "GL05": "no tabs",
    "GL06": "only sections that numpydoc knows",
    "GL07": "sections in their order",
    "GL08": "there is a docstring",
    "GL09": "deprecation at its place",
    "SS01": "a summary",
    "SS02": "it begins with a capital letter",
    "SS03": "it ends with a period",
    "SS04": "no spaces before it",
    "SS06": "it fits one line",
    "PR01": "every parameter is documented",
    "PR02": "and no other",
    "PR03": "in the order of the signature",
    "PR07": "each has a description",
    "PR09": "which ends with a period",
    "PR10": "no stray colons",
    "RT01": "what returns says so",
    "YD01": "what yields says so",
}
"""Not checked: PR04, PR06, RT02 (types stand in the signature), RT03 to RT05 (Returns is prose), SS05 (a thing may be named
by a noun), PR08 (a description may begin with a value), SA, ES and GL01, GL02 (form only), EX01 (see below)."""


def public_things() -> Iterator[tuple[str, object]]:
    """Every public function and class of every room, and the public methods of the classes, by full name."""
    for room in hd._ROOMS:
        module = getattr(hd, room)
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing):
                yield f"histodecon.{room}.{name}", thing
    for name in hd.__all__:
        yield f"histodecon.{name}", getattr(hd, name)


def documented_names() -> list[str]:
    names = []
    for full, thing in public_things():
        names.append(full)
        if inspect.isclass(thing) and not issubclass(thing, BaseException | Warning):
            own = [key for key, value in vars(thing).items() if not key.startswith("_") and _is_own(value)]
            names += [f"{full}.{key}" for key in own]
    return names


def _is_own(value: object) -> bool:
    """Functions and properties written here; scikit-learn adds descriptors of its own."""
    value = getattr(value, "__func__", value)
    if isinstance(value, property):
        value = value.fget
    return inspect.isfunction(value) and value.__module__.startswith("histodecon")


def _named(full: str) -> object:
    thing: object = hd
    for part in full.split(".")[1:]:
        thing = getattr(thing, part)
    return thing


def simple(full: str) -> bool:
    """Error classes share the constructor of their base, which is documented there."""
    thing = getattr(hd, full.removeprefix("histodecon."), None)
    return inspect.isclass(thing) and issubclass(thing, Exception) and thing is not hd.HistodeconError


@pytest.mark.parametrize("full", documented_names())
def test_docstring_is_whole(full: str) -> None:
    skip = {"PR01"} if simple(full) else set()
    if re.search(r"^ *Yields$", inspect.getdoc(_named(full)) or "", re.M):
        skip.add("RT01")  # a function that hands back a generator says what it yields
    faults = [(code, text) for code, text in validate(full)["errors"] if code in CHECKED and code not in skip]
    assert not faults


def test_checked_codes_are_codes_of_numpydoc() -> None:
    from numpydoc.validate import ERROR_MSGS

    assert set(CHECKED) <= set(ERROR_MSGS)


@pytest.mark.parametrize("full", [f"histodecon.{room}.{name}" for room in THIN for name in getattr(hd, room).__all__])
def test_user_verbs_have_an_example(full: str) -> None:
    doc = inspect.getdoc(_named(full)) or ""
    assert re.search(r"^Examples\n-{8}\n", doc, re.M)
    assert ">>> " in doc.partition("Examples\n")[2]


@pytest.mark.parametrize("full", documented_names())
def test_no_placeholder_is_left(full: str) -> None:
    assert "%(" not in (_named(full).__doc__ or "")


@pytest.mark.parametrize("full", [f"histodecon.{room}.{name}" for room in THIN for name in getattr(hd, room).__all__])
def test_types_stand_in_the_signature_alone(full: str) -> None:
    from numpydoc.docscrape import NumpyDocString

    function = _named(full)
    signature = inspect.signature(function)
    bare = [key for key, value in signature.parameters.items() if value.annotation is inspect.Parameter.empty]
    assert not bare
    assert signature.return_annotation is not inspect.Signature.empty
    typed = [row.name for row in NumpyDocString(inspect.getdoc(function) or "")["Parameters"] if row.type]
    assert not typed


@pytest.mark.parametrize("full", [f"histodecon.{room}.{name}" for room in THIN for name in getattr(hd, room).__all__])
def test_only_the_data_comes_by_position(full: str) -> None:
    parameters = list(inspect.signature(_named(full)).parameters.values())
    by_position = [p for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert len(by_position) <= 3
    assert all(p.default in (inspect.Parameter.empty, None) or isinstance(p.default, str) for p in by_position)


def test_shared_wording_is_used() -> None:
    texts = [inspect.getdoc(thing) or "" for _, thing in public_things()]
    for name, wording in _docs._PARAMETERS.items():
        second = wording.splitlines()[1].strip()
        assert any(second in text for text in texts), f"nobody uses the shared wording of {name!r}"
