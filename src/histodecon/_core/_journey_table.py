"""The journey as a table, for readers."""

from __future__ import annotations

from histodecon._core._journey import JOURNEY


def journey_table() -> str:
    """Write the journey as a Markdown table.

    Returns
    -------
    The table; steps in order.
    """
    rows = ["| step | reads | writes | form, unit |", "|---|---|---|---|"]
    for step in JOURNEY:
        writes = [f"`{slot}`" for slot in step.writes] + [f"(`{slot}`)" for slot in step.optional]
        cells = (
            " ".join(f"`{name}`" for name in step.functions),
            ", ".join(f"`{slot}`" if "[" in slot else slot for slot in step.reads),
            ", ".join(writes) or "–",
            step.form,
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
