"""Pages made from the package at every build, so that they cannot drift: the journey table, the API, encoders, error ids."""

import importlib
import shutil
import tomllib
from pathlib import Path

from encoder_table import encoders_page
from error_ids import collect_error_ids
from sphinx.util import logging

logger = logging.getLogger(__name__)
HERE = Path(__file__).parent
DOCS = HERE.parent
ROOT = DOCS.parent
ROOMS = {
    "io": "Read files",
    "datasets": "Data to learn on",
    "pp": "From image to embedding",
    "tl": "From embedding to abundance to map",
    "pl": "Pictures",
    "get": "Results as tables of their own",
    "images": "Images and tiles, on plain arrays",
    "encoders": "Encoders: from tile to vector",
    "models": "Learners and the regressor, on plain arrays",
    "stats": "Statistics, on plain arrays",
}


def journey_page() -> str:
    from histodecon._core._journey_table import journey_table

    return journey_table() + "\n"


def _constants(module: str, names: list[str]) -> str:
    """Constants by value: autodoc would show the docstring of their type."""
    lines = ["```{eval-rst}", f".. currentmodule:: {module}", ""]
    for name in names:
        value = getattr(importlib.import_module(module), name)
        lines += [
            f".. py:data:: {name}",
            f"   :value: {list(value) if isinstance(value, (dict, tuple)) else value!r}",
            "",
        ]
    return "\n".join([*lines, "```", ""]) if names else ""


def _listing(module: str, names: list[str]) -> str:
    lines = [
        "```{eval-rst}",
        f".. currentmodule:: {module}",
        "",
        ".. autosummary::",
        "   :toctree: .",
        "   :nosignatures:",
        "",
    ]
    return "\n".join([*lines, *(f"   {name}" for name in names), "```", ""])


def api_pages() -> dict[str, str]:
    import histodecon

    pages = {}
    for room, title in ROOMS.items():
        module = importlib.import_module(f"histodecon.{room}")
        intro = (module.__doc__ or "").partition("\n")[2].strip()
        intro = f"```{{eval-rst}}\n.. currentmodule:: histodecon.{room}\n\n{intro}\n```\n\n" if intro else ""
        text = f"# `{room}`: {title}\n\n{intro}"
        constants = [name for name in module.__all__ if name.isupper()]
        names = [name for name in module.__all__ if name not in constants]
        pages[f"api/{room}.md"] = (
            text + _listing(f"histodecon.{room}", names) + _constants(f"histodecon.{room}", constants)
        )
    warnings = [name for name in histodecon.__all__ if name.endswith("Warning")]
    errors = [name for name in histodecon.__all__ if name not in warnings]
    pages["api/errors_and_warnings.md"] = (
        "# Errors and warnings\n\n"
        "Every error that is raised on purpose is a `HistodeconError` and also the built-in error that people already "
        "catch. Its text says what is wrong, where, why it matters and what to type; its id stands in "
        "[the list of error ids](../../errors.md).\n\n## Errors\n\n"
        + _listing("histodecon", errors)
        + "\n## Warnings\n\n"
        + _listing("histodecon", warnings)
    )
    return pages


def errors_page() -> str:
    explained = tomllib.loads((DOCS / "error_ids.toml").read_text())
    parts = []
    for code, used in collect_error_ids(ROOT / "src" / "histodecon").items():
        if code not in explained:
            logger.warning("docs/error_ids.toml does not explain %s, raised in %s", code, sorted(used.places))
        entry = explained.get(code, {"title": "", "text": ""})
        classes = ", ".join(f"{{class}}`~histodecon.{name}`" for name in sorted(used.classes))
        rooms = ", ".join(f"`{place}`" for place in sorted(used.places))
        label = f"HD-{code}"
        parts.append(
            f"({label.lower()})=\n## {label}: {entry['title']}\n\n{entry['text'].strip()}\n\nAs {classes} in {rooms}.\n"
        )
    return "\n".join(parts)


def answered_page() -> str:
    answered = tomllib.loads((DOCS / "answered.toml").read_text())
    return "\n".join(f"**HD-{code}**\n: {entry['text'].strip()}\n" for code, entry in answered.items())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:  # an unchanged page is not read again
        path.write_text(text)


def generate(app, config) -> None:
    out = DOCS / "generated"
    pages = {
        "journey_table.md": journey_page(),
        "error_ids.md": errors_page(),
        "answered.md": answered_page(),
        "encoders_table.md": encoders_page(),
        **api_pages(),
    }
    for name, text in pages.items():
        _write(out / name, text)
    (out / "tutorials").mkdir(parents=True, exist_ok=True)
    for notebook in sorted((ROOT / "tutorials").glob("*.ipynb")):
        target = out / "tutorials" / notebook.name
        if not target.exists() or target.read_bytes() != notebook.read_bytes():
            shutil.copy(notebook, target)


def setup(app) -> dict[str, bool]:
    app.connect("config-inited", generate)
    return {"parallel_read_safe": True}
