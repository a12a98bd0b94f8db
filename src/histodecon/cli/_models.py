"""Learning and predicting: ``train``, ``crossval``, ``predict``, ``evaluate``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from histodecon.cli._app import Json, Quiet, command, options_of, show_progress, tell
from histodecon.cli._stores import Output, Store, Stores, keep, open_store, open_tables

UseRep = Annotated[list[str], typer.Option("--use-rep", help="Key of obsm with an embedding; several in their order.")]
Learner = Annotated[str, typer.Option(help="`histodecon learners` lists them.")]
Param = Annotated[list[str] | None, typer.Option(help="Parameter of the learner, name=value; several times.")]
GroupBy = Annotated[str, typer.Option(help="Column of obs with the independent unit.")]
Targets = Annotated[str, typer.Option(help="Key of obsm to learn.")]
Transform = Annotated[str, typer.Option(help="none, log1p, sqrt, proportion.")]
Seed = Annotated[int, typer.Option(help="Seed.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")]
Scores = Annotated[Path | None, typer.Option("--scores", help="CSV to write.")]


@command("train")
def train(
    stores: Stores,
    use_rep: UseRep,
    model: Annotated[Path, typer.Option("--model", "-m", help="File to write, ending in .safetensors.")],
    targets: Targets = "cell_abundance",
    learner: Learner = "mlp",
    param: Param = None,
    groupby: GroupBy = "patient",
    transform: Transform = "none",
    device: Device = "auto",
    random_state: Seed = 0,
    *,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Also leave each group out once: intervals and a reliability card.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Learn to read cell types out of embeddings; write a model file."""
    import histodecon as hd

    regressor = hd.tl.train_regressor(
        open_tables(stores),
        use_rep=use_rep,
        targets=targets,
        learner=learner,
        params=options_of(param or [], "--param"),
        groupby=groupby,
        transform=transform,
        device=device,
        random_state=random_state,
        calibrate=calibrate,
        show_progress_bar=show_progress(quiet=quiet, as_json=as_json),
    )
    path = regressor.save(model)
    facts = {"model": str(path), "learner": learner, "cell_types": list(regressor.cell_types_), "kind": regressor.kind_}
    facts |= {"encoders": [record.name for record in regressor.encoders_], "n_spots": regressor.training_["n_rows"]}
    tell({**facts, "commercial": all(record.commercial for record in regressor.encoders_)}, as_json=as_json)


@command("crossval")
def crossval(
    stores: Stores,
    use_rep: UseRep,
    scores: Scores = None,
    targets: Targets = "cell_abundance",
    learner: Learner = "mlp",
    param: Param = None,
    groupby: GroupBy = "patient",
    transform: Transform = "none",
    n_jobs: Annotated[int, typer.Option(help="Folds at once, a process each.")] = 1,
    device: Device = "auto",
    random_state: Seed = 0,
    *,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Leave each patient out once, and score the predictions beside those of baselines."""
    import histodecon as hd

    table = hd.tl.cross_validate(
        open_tables(stores),
        use_rep=use_rep,
        targets=targets,
        learner=learner,
        params=options_of(param or [], "--param"),
        groupby=groupby,
        transform=transform,
        n_jobs=n_jobs,
        device=device,
        random_state=random_state,
        show_progress_bar=show_progress(quiet=quiet, as_json=as_json),
    )
    if scores is not None:
        table.to_csv(scores, index=False)
    tell({"scores": table}, as_json=as_json)


@command("predict")
def predict(
    store: Store,
    model: Annotated[
        str | None, typer.Argument(help="Model file, or a name on the Hub; by default the one in the store.")
    ] = None,
    output: Output = None,
    key_added: Annotated[str, typer.Option(help="Key of obsm to write.")] = "predicted_abundance",
    *,
    as_json: Json = False,
) -> None:
    """Predict the cell types of every spot or tile."""
    import histodecon as hd
    from histodecon._core import Key, read_table, table_of

    data = open_store(store)
    adata = table_of(data)
    hd.tl.predict_abundance(adata, model, key_added=key_added)
    found = read_table(adata, key_added)
    path = keep(data, store, output)
    facts = {"store": str(path), "key": key_added, "n_spots": int(found.notna().all(axis=1).sum())}
    facts |= {"unit": adata.uns[Key.uns.ROOT][Key.uns.TABLES][key_added]["unit"]}
    tell({**facts, "means": {str(name): float(one) for name, one in found.mean().items()}}, as_json=as_json)


@command("evaluate")
def evaluate(
    store: Store,
    scores: Scores = None,
    truth: Annotated[str, typer.Option(help="Key of obsm with what was measured.")] = "cell_abundance",
    predicted: Annotated[str, typer.Option(help="Key of obsm with what was predicted.")] = "predicted_abundance",
    groupby: Annotated[str | None, typer.Option(help="Column of obs: scores of each group.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Score predictions, cell type by cell type."""
    import histodecon as hd
    from histodecon._core import table_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if as_json else "default", hd.UndefinedMetricWarning)
        table = hd.tl.evaluate(table_of(open_store(store)), truth=truth, predicted=predicted, groupby=groupby)
    table = table.reset_index()
    if scores is not None:
        table.to_csv(scores, index=False)
    tell({"scores": table}, as_json=as_json)
