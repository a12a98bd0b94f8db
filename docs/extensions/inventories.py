"""Links into other projects, where their inventories can be had; without a network the build works and says so."""

import builtins
import urllib.request
from concurrent.futures import ThreadPoolExecutor

SECONDS = 5
# names that lead into a project, where they do not begin with its name
OTHER_PREFIXES = {
    "python": (
        "abc",
        "collections",
        "os",
        "pathlib",
        "typing",
        "types",
        "numbers",
        *(n for n in dir(builtins) if n[0] != "_"),
    ),
    "numpy": ("np", "ArrayLike", "NDArray", "array_like"),
    "pandas": ("pd",),
}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}objects.inv", timeout=SECONDS) as answer:
            return bool(answer.read(32).startswith(b"# Sphinx inventory"))
    except OSError:
        return False


def reachable(projects: dict[str, str]) -> dict[str, tuple[str, None]]:
    """Keep the projects whose inventory answers, in the form that intersphinx wants."""
    with ThreadPoolExecutor(len(projects)) as pool:
        found = dict(zip(projects, pool.map(_answers, projects.values()), strict=True))
    absent = [name for name, there in found.items() if not there]
    if absent:
        print(f"no links into {', '.join(absent)}: their inventories do not answer")
    reachable.absent = absent
    return {name: (url, None) for name, url in projects.items() if found[name]}


def unresolvable(mapping: dict[str, tuple[str, None]]) -> list[tuple[str, str]]:
    """Patterns of targets in projects without an inventory: the only ones that may stay unresolved."""
    names = [name for project in reachable.absent for name in (project, *OTHER_PREFIXES.get(project, ()))]
    return [(r"py:.*", rf"({'|'.join(names)})(\..*)?")] if names else []
