"""The page of a run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from paper._bench import Bench

NOT_RUN = "Not run: what it needs is not there, see the end of this page."


def write_page(bench: Bench, experiments: tuple[str, ...], kept: Path) -> None:
    """Join the parts that were written so far; the page lies beside the folder of its figures."""
    parts = []
    for name in experiments:
        path = kept / f"{name}.md"
        if path.exists():
            text = path.read_text(encoding="utf-8") or NOT_RUN
            parts.append(f"## {import_module(f'paper.experiments.{name}').TITLE}\n\n{text}\n")
    gaps = "\n".join(f"- {what}: {' '.join(why.split())}" for what, why in bench.missing.items())
    page = f"""# The experiments of the source: {bench.config.title[0].lower() + bench.config.title[1:]}

```bash
OMP_NUM_THREADS=1 python -m paper.run --config {shown(bench.config_path)} --out {shown(bench.out)}
```

{cohorts(bench)}

What a run does stands in its configuration: `paper/configs/at_hand.toml` is for data and encoders that need no consent,
`paper/configs/source.toml` for those of the source (Sun, Zhu and Qiu 2025, arXiv:2507.07013) and says what to have before.

{"".join(f"{part}{chr(10)}" for part in parts)}"""
    if gaps:
        page += f"## What was not there\n\n{gaps}\n"
    bench.out.with_suffix(".md").write_text(page.rstrip() + "\n", encoding="utf-8")


def shown(path: Path) -> str:
    return path.as_posix() if not path.is_absolute() else path.name


def cohorts(bench: Bench) -> str:
    """What was there, in one sentence a cohort."""
    lines = []
    for name in bench.config.cohorts:
        for encoders in bench.config.encoder_sets:
            adata = bench.cohort(name, encoders)
            if adata is None:
                continue
            sections = sorted(set(adata.obs["library_id"].astype(str)))
            listed = f" ({', '.join(sections)})" if len(sections) <= 8 else ""
            record = adata.uns["histodecon"]["tables"]["cell_abundance"]
            lines.append(
                f"{name}: {adata.n_obs} spots of {len(sections)} sections{listed} of {adata.obs['patient'].nunique()} patients; "
                f"targets `{bench.config.cohorts[name].targets or 'from a file'}`, {record['kind']} of {len(record['names'])} cell types."
            )
            break
    return "\n".join(lines)
