"""Print the blocks of README in a language, as they stand there: python scripts/readme_blocks.py python.

Of ``bash`` only those that install are printed: the others need a checkout.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def blocks(language: str) -> list[str]:
    """Fenced blocks of README in order."""
    page = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    found = blocks(sys.argv[1])
    if sys.argv[1] == "bash":
        found = [block for block in found if block.startswith("pip install")]
    if not found:
        sys.exit(f"README has no block of {sys.argv[1]}")
    sys.stdout.write("\n".join(found))
