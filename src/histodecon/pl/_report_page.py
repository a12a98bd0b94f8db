"""HTML by hand: headings, sentences, tables and pictures, everything escaped, nothing from outside."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure, SubFigure

DPI = 90
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .87rem; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #eee; text-align: right; white-space: nowrap; }
th { border-bottom: 1px solid #999; } th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; } img { max-width: 100%; display: block; margin: .8rem 0; }
p.note { color: #555; font-size: .9rem; } li.warning { color: #8a3b00; } code { font-size: .85em; overflow-wrap: anywhere; }
nav { margin: .6rem 0; } nav a { margin-right: 1.1rem; color: #0b5394; text-decoration: none; } nav a:hover { text-decoration: underline; }
tbody tr:nth-child(even) { background: #f7f7f7; } h1 { border-bottom: 3px solid #0072b2; padding-bottom: .4rem; } @media print { h2 { break-after: avoid; } img, table { break-inside: avoid; } }
"""


class Page:
    """A page in the making.

    Parameters
    ----------
    title
        Its heading.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []
        self._sections: list[tuple[str, str]] = []

    def section(self, heading: str) -> None:
        """Begin a section.

        Parameters
        ----------
        heading
            Its heading.
        """
        anchor = f"s{len(self._sections) + 1}"
        self._sections.append((anchor, heading))
        self._parts.append(f'<h2 id="{anchor}">{escape(heading)}</h2>')

    def say(self, text: str) -> None:
        """Add a sentence.

        Parameters
        ----------
        text
            Plain text.
        """
        self._parts.append(f'<p class="note">{escape(text)}</p>')

    def items(self, texts: list[tuple[bool, str]]) -> None:
        """Add a list.

        Parameters
        ----------
        texts
            Whether it is a warning, and the text.
        """
        rows = "".join(f'<li class="{"warning" if bad else "fine"}">{escape(text)}</li>' for bad, text in texts)
        self._parts.append(f"<ul>{rows}</ul>")

    def table(self, table: pd.DataFrame, digits: int = 3) -> None:
        """Add a table.

        Parameters
        ----------
        table
            Its columns; the index is not shown.
        digits
            Decimals of numbers that are not whole.
        """
        head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
        rows = [
            "<tr>" + "".join(_cell(value, digits, first=i == 0) for i, value in enumerate(row)) + "</tr>"
            for row in table.itertuples(index=False)
        ]
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")

    def picture(self, figure: Figure | SubFigure, text: str) -> None:
        """Add a figure and close it.

        Parameters
        ----------
        figure
            The figure.
        text
            What it shows, for those who cannot see it.
        """
        import matplotlib.pyplot as plt

        root = figure.get_figure(root=True)
        buffer = io.BytesIO()
        root.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
        plt.close(root)
        content = base64.b64encode(buffer.getvalue()).decode()
        self._parts.append(f'<img alt="{escape(text, quote=True)}" src="data:image/png;base64,{content}">')

    def html(self) -> str:
        """Put the page together.

        Returns
        -------
        The document.
        """
        links = "".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading in self._sections)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style></head><body>"
            f"<h1>{escape(self.title)}</h1><nav>{links}</nav>{''.join(self._parts)}</body></html>\n"
        )


def _cell(value: Any, digits: int, *, first: bool) -> str:
    import numpy as np

    if isinstance(value, (float, np.floating)):
        whole = np.isfinite(value) and float(value).is_integer()
        text = "–" if not np.isfinite(value) else f"{value:.0f}" if whole else f"{value:.{digits}f}"
        return f"<td>{text}</td>"
    kind = ' class="text"' if isinstance(value, str) and not first else ""
    return f"<td{kind}>{escape(str(value))}</td>"
