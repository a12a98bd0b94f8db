"""The page that a stranger reads: what a model predicts, from what, how well, and what may be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import UNITS, UNRECORDED
from histodecon.models._find_model import is_repository
from histodecon.models._learners import get_learner
from histodecon.models._license import license_notice
from histodecon.models._records import recipe_entries

if TYPE_CHECKING:
    from histodecon.models._records import EncoderRecord
    from histodecon.models._regressor import AbundanceRegressor

TAGS = ("histodecon", "histopathology", "spatial-transcriptomics", "cell-type-deconvolution")
_SHOWN = 12


def model_card(model: AbundanceRegressor, repo_id: str | None = None) -> str:
    """Write the page of a model from its facts.

    Parameters
    ----------
    model
        The regressor.
    repo_id
        Where it will be found, for the lines that load it.

    Returns
    -------
    Markdown with the header that the Hub reads.
    """
    sections = (
        _header(model),
        _what(model, repo_id),
        _inputs(model),
        _usage(model, repo_id),
        _training(model),
        _scores(model),
        _license(model),
        _limits(model),
    )
    return "\n\n".join(sections) + "\n"


def _header(model: AbundanceRegressor) -> str:
    repos = _repos(model)
    lines = ["---", "library_name: histodecon", "license: other", "license_name: inherited-from-encoders"]
    lines += ["base_model:", *(f"  - {repo}" for repo in repos)] if repos else []
    lines += ["tags:", *(f"  - {tag}" for tag in TAGS)]
    return "\n".join([*lines, "---"])


def _repos(model: AbundanceRegressor) -> list[str]:
    found = [record.repo for record in model.encoders_ if record.repo and is_repository(record.repo)]
    return list(dict.fromkeys(found))


def _what(model: AbundanceRegressor, repo_id: str | None) -> str:
    unit = UNITS[model.kind_]
    count = f"{len(model.cell_types_)} cell type" + ("s" if len(model.cell_types_) > 1 else "")
    names = " · ".join(_plain(name) for name in model.cell_types_)
    each = "proportions, which sum to 1 in every spot" if model.kind_ == "proportion" else f"abundances ({unit})"
    return (
        f"# {_plain(repo_id or 'Cell types from H&E')}\n\n"
        f"Predicts the {each} of {count} in each spot or tile of an H&E slide, from embeddings of its image alone.\n\n{names}"
    )


def _inputs(model: AbundanceRegressor) -> str:
    rows = [(_origin(record), record.width, *_recipe(record), record.license) for record in model.encoders_]
    table = _table(("encoder", "columns", "tile", "precision", "fingerprint", "license"), rows)
    text = (
        "## What it reads\n\nEmbeddings of these encoders, side by side in this order. Embeddings of another recipe are refused, "
        "also when they are as wide."
    )
    rings = model.learner_.n_rings
    if rings:
        text += f" It reads the mean embedding of {rings} ring{'s' if rings > 1 else ''} of neighboring spots, too."
    return f"{text}\n\n{table}"


def _origin(record: EncoderRecord) -> str:
    if record.repo is None:
        return record.name
    return f"{record.name}, {record.repo}" + (f" at {record.revision[:12]}" if record.revision else "")


def _recipe(record: EncoderRecord) -> tuple[str, str, str]:
    """Tile, precision and fingerprint, as far as they are recorded."""
    entries = recipe_entries(record.recipe)
    tile = entries.get("field_of_view") or "not recorded"
    if record.mpp is not None:
        low, high = record.mpp
        tile += f" at {low:.4g}" + ("" if low == high else f" to {high:.4g}") + " µm/px"
    known = record.fingerprint != UNRECORDED
    return tile, record.precision or "not recorded", record.fingerprint[:16] if known else "not recorded"


def _usage(model: AbundanceRegressor, repo_id: str | None) -> str:
    name = repo_id or "owner/name"
    encoders = [record.name for record in model.encoders_]
    keys = [record.key for record in model.encoders_]
    return f"""## How to use it

```python
import histodecon as hd

hd.pp.tile_spots(data)
hd.pp.embed_tiles(data, {encoders if len(encoders) > 1 else encoders[0]!r})  # gives obsm {", ".join(map(repr, keys))}
hd.tl.predict_abundance(data, "{_plain(name)}@<commit>")
hd.pl.abundance(data)
```

Put the commit of this repository that you mean for `<commit>`: with it the model stays the same for good, without it you get
whatever the main branch holds that day. `hd.models.AbundanceRegressor.from_pretrained("{_plain(name)}", revision="<commit>")` gives the model
itself. It is one safetensors file; no code in it is run."""


def _training(model: AbundanceRegressor) -> str:
    facts = model.training_
    groups = facts.get("groups") or []
    rows = [
        ("spots", f"{facts['n_rows']:,}"),
        ("independent groups (patients)", str(len(groups)) if groups else "not told"),
    ]
    chosen = {name: value for name, value in model.learner_.params.items() if value != _defaults(model).get(name)}
    rows.append(("learner", model.learner + (f" with {_some(chosen)}" if chosen else ", with its defaults")))
    rows.append(("targets learned as", model.transform))
    rows.append(("seed", str(model.random_state)))
    if facts.get("constant_types"):
        rows.append(("constant in training", _names(facts["constant_types"])))
    if "data_sha256" in facts:
        rows.append(("sha256 of embeddings and targets", facts["data_sha256"]))
    return "## What it learned from\n\n" + _table(("", ""), rows)


def _defaults(model: AbundanceRegressor) -> dict[str, Any]:
    return dict(get_learner(model.learner).defaults)


def _scores(model: AbundanceRegressor) -> str:
    if model.reliability_ is None:
        return (
            "## How well\n\nNo scores of held-out patients are stored: nobody can tell from this file how good it is on a patient it "
            "never saw. Score it on slides of your own before you use it: `hd.tl.evaluate`."
        )
    card = model.reliability_
    frame = card.to_frame()
    rows = [
        (name, _number(row["cc"]), f"{_number(row['cc_low'])} to {_number(row['cc_high'])}", f"{row['l1']:.3g}",
         f"{row['coverage']:.0%}", row["verdict"], row["reason"])
        for name, row in frame.iterrows()
    ]  # fmt: skip
    head = (
        "cell type",
        "CC",
        "95 % interval",
        "mean abs. error",
        f"coverage of {card.nominal:.0%} intervals",
        "verdict",
        "why",
    )
    text = (
        f"## How well\n\nIn {len(card.n_spots)} groups (patients) that were left out in turn, {int(card.n_spots.sum()):,} spots. CC is the "
        "Pearson correlation over the spots of a group, averaged over groups."
    )
    return f"{text}\n\n{_table(head, rows)}"


def _license(model: AbundanceRegressor) -> str:
    links = [f"https://huggingface.co/{repo}" for repo in _repos(model)]
    where = f" Their terms: {', '.join(links)}." if links else ""
    return (
        f"## License\n\n{_plain(license_notice(model.encoders_))}{where} Some of these terms count what is trained on embeddings as derived "
        "from the encoder, and limit who may be given it. Whoever shares or uses this model answers for keeping them."
    )


def _limits(model: AbundanceRegressor) -> str:
    known = [
        "- Predictions are estimates from morphology. They are not a count of cells, and not for diagnosis.",
        "- It knows the tissue, stain and scanner it was trained on."
        + (" `obs[\"out_of_distribution\"]` tells spots that are unlike those." if model.novelty_ else
           " It does not know how to tell spots that are unlike those."),
        "- Its cell types, and their errors, are those of the deconvolution that made the targets.",
    ]  # fmt: skip
    if model.calibration_ is not None:
        known.append(
            "- Bounds (`predicted_abundance_lower`, `_upper`) hold the stated share on average over patients like those of training, "
            "not in every patient."
        )
    return "## Limits\n\n" + "\n".join(known)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_plain(str(cell)) for cell in line) + " |" for line in lines)


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "none"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _some(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}"[:60] for name, value in params.items())


def _plain(text: str) -> str:
    """Text that is not markup: names are the user's, and some hold what Markdown or HTML would read."""
    one_line = " ".join(text.split())
    for sign, shown in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("`", "&#96;"), ("[", "&#91;")):
        one_line = one_line.replace(sign, shown)
    return one_line
