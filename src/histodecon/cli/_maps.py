"""Which cell types sit together: ``colocalize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from histodecon.cli._app import Json, command, tell
from histodecon.cli._stores import Output, Store, keep, open_store


@command("colocalize")
def colocalize(
    store: Store,
    output: Output = None,
    abundance: Annotated[str, typer.Option(help="Key of obsm.")] = "predicted_abundance",
    length_um: Annotated[float | None, typer.Option(help="Length scale in µm; by default the pitch.")] = None,
    null: Annotated[
        Literal["shuffled", "shuffled_one", "smooth"], typer.Option(help="What the p values compare with.")
    ] = "shuffled",
    permutations: Annotated[int, typer.Option(help="Permutations; 0 for p values in closed form.")] = 0,
    key_added: Annotated[str, typer.Option(help="Key of uns to write.")] = "colocalization",
    pairs: Annotated[Path | None, typer.Option(help="CSV to write: a row each pair, pooled over slides.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Compute bivariate Moran's R of all pairs of cell types, slide by slide and pooled."""
    import numpy as np
    import pandas as pd

    import histodecon as hd
    from histodecon._core import table_of

    data = open_store(store)
    adata = table_of(data)
    hd.tl.colocalization(
        adata, abundance, length_um=length_um, null=null, permutations=permutations, key_added=key_added
    )
    found = adata.uns[key_added]
    names, pooled = [str(name) for name in found["names"]], found["pooled"]
    upper = np.triu_indices(len(names), 1)
    table = pd.DataFrame({"a": np.array(names)[upper[0]], "b": np.array(names)[upper[1]]})
    for name in ("R", "z", "p", "q"):
        if name in pooled:
            table[name] = np.asarray(pooled[name])[upper]
    table = table.sort_values("R", ascending=False, ignore_index=True)
    if pairs is not None:
        table.to_csv(pairs, index=False)
    tell({"store": str(keep(data, store, output)), "key": key_added, "pairs": table}, as_json=as_json)
