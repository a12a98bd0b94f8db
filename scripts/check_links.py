"""Check every link inside the built documentation, with its anchor, and that search knows the words: no network is needed.

python scripts/check_links.py docs/_build/html

Links to other sites are checked by a workflow once a week, `sphinx -b linkcheck`.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

SEARCHED = ("colocalization", "tile_spots", "predict_abundance", "mpp")


class Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points at and what it is called."""
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.links += [found[name] for name in ("href", "src") if name in found]


@cache
def read(path: Path) -> Page:
    """Parse one page."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def broken(root: Path) -> list[str]:
    """Links that lead nowhere, as ``page: link``."""
    faults = []
    for path in sorted(root.rglob("*.html")):
        if "_static" in path.relative_to(root).parts:
            continue
        for link in sorted(set(read(path).links)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            file, anchor = urldefrag(link)
            target = (path.parent / unquote(urlsplit(file).path)).resolve() if file else path
            if target.is_dir():
                target = target / "index.html"
            there = target.is_file()
            if there and anchor and target.suffix == ".html":
                there = unquote(anchor) in read(target).anchors
            if not there:
                faults.append(f"{path.relative_to(root)}: {link}")
    return faults


def unknown_to_search(root: Path) -> list[str]:
    """Words that search should find and does not."""
    text = (root / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\);?\s*", text, re.DOTALL)[1])
    known = " ".join([*index["terms"], *index["titleterms"], *map(str, index["objects"].values())]).lower()
    return [word for word in SEARCHED if word not in known and word.replace("_", "") not in known]


def main() -> None:
    """Print what is wrong; exit with 1 then."""
    root = Path(sys.argv[1]).resolve()
    faults = broken(root) + [f"search does not know {word}" for word in unknown_to_search(root)]
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    pages = len(list(root.rglob("*.html")))
    sys.stdout.write(f"{pages} pages, {len(faults)} broken links\n")
    sys.exit(bool(faults) or not pages)


if __name__ == "__main__":
    main()
