"""The page of the encoders, from their cards."""

import pandas as pd

HUB = "https://huggingface.co"
POOLING = {
    "model": "the model's own",
    "token": "class token",
    "mean": "mean of the patches",
    "token_mean": "class token, mean of the patches",
}


def _table(rows: list[list[str]], head: list[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _tile(row: pd.Series) -> str:
    if row["tile_px"] and row["mpp"]:
        return f"{row['tile_px']} px, {row['mpp']:g} µm/px"
    return f"{row['tile_um']:g} µm" if row["tile_um"] else "any"


def _weights(row: pd.Series) -> str:
    if row["gated"]:
        return f"[ask for access]({row['access_url']})"
    return "free" if row["repo"] else "needs none"


def _terms(table: pd.DataFrame) -> str:
    rows = [
        [f"`{name}`", str(row["dim"]), _tile(row), _weights(row), row["license"], "yes" if row["commercial"] else "no"]
        for name, row in table.iterrows()
    ]
    return _table(rows, ["name", "width", "trained on tiles of", "weights", "license", "commercial use"])


def _recipes(table: pd.DataFrame) -> str:
    rows = []
    for name, row in table.iterrows():
        side = f"{row['input_px']} px"
        if row["resize_px"] != row["input_px"]:
            side = f"{row['resize_px']} px, center of {side}"
        at = f" at `{row['revision'][:12]}`" if row["revision"] else ""
        where = f"[{row['repo']}]({HUB}/{row['repo']}){at}" if row["repo"] else "in the package"
        precisions = f"float32, {row['safe_dtypes']}" if row["safe_dtypes"] else "float32"
        cells = [
            row["pooling"],
            row["normalization"],
            f"{row['interpolation']}, {side}",
            precisions,
            row["loader"],
            where,
        ]
        rows.append([f"`{name}`", *(str(cell) for cell in cells)])
    return _table(rows, ["name", "pooling", "colors", "resampling", "precisions", "loader", "weights from"])


def encoders_page() -> str:
    """Tables of terms, recipes and citations."""
    from histodecon.encoders import list_encoders

    table = list_encoders()
    about = "\n".join(f"- `{name}`: {row['summary']} {row['citation']}." for name, row in table.iterrows())
    return f"## Terms\n\n{_terms(table)}\n\n## Recipes\n\n{_recipes(table)}\n\n## What they are, and what to cite\n\n{about}\n"
