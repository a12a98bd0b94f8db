"""Figures of the source, as printed there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd

from paper._config import Config
from paper._report import markdown_table


def published(config: Config, table: str) -> str:
    """Part of a page with a table of the source; empty where the configuration is of other data."""
    if not config.published:
        return ""
    entry = tomllib.loads((Path(__file__).parent / "published.toml").read_text(encoding="utf-8"))[table]
    return f"\nThe source reports:\n\n{markdown_table(pd.DataFrame(entry['rows'], columns=entry['columns']), {})}\n"
