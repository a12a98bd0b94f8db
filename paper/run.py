"""Tables and figures of the source (Sun, Zhu and Qiu 2025), on the cohorts and encoders that a configuration names.

    python -m paper.run --config paper/configs/at_hand.toml --experiment all --out docs/results/paper

What is finished is kept in the folder `cache` of the configuration and not done again. What is named and not there is
told, and the rest is done.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from paper._bench import Bench
from paper._config import read_config
from paper._page import write_page

EXPERIMENTS = ("leave_one_out", "ablation", "cross_dataset", "colocalization", "cost", "maps")


def run(config_path: Path, experiments: tuple[str, ...], out: Path, cache: Path | None = None) -> Bench:
    """Do the experiments and write the page beside their folder."""
    config = read_config(config_path, cache)
    bench = Bench(config, out, config_path)
    out.mkdir(parents=True, exist_ok=True)
    kept = config.cache / "page"
    kept.mkdir(parents=True, exist_ok=True)
    for name in experiments:
        text = import_module(f"paper.experiments.{name}").run(bench)
        (kept / f"{name}.md").write_text(text, encoding="utf-8")
        print(f"{name}: {'done' if text else 'not run, see below'}", flush=True)
    write_page(bench, EXPERIMENTS, kept)
    return bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="such as paper/configs/at_hand.toml")
    parser.add_argument("--experiment", choices=(*EXPERIMENTS, "all"), default="all")
    parser.add_argument("--out", type=Path, default=Path("docs/results/paper"))
    parser.add_argument("--cache", type=Path, help="another folder than that of the configuration")
    arguments = parser.parse_args()
    names = EXPERIMENTS if arguments.experiment == "all" else (arguments.experiment,)
    bench = run(arguments.config, names, arguments.out, arguments.cache)
    for what, why in bench.missing.items():
        print(f"missing: {what}: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
