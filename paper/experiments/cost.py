"""Table 3: time and peak memory of leave-one-out and of training on one cohort for another.

Each task runs in a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from paper._bench import Bench, facts
from paper._published import published
from paper._report import markdown_table

TITLE = "Time and memory"


def memory_mb(entry: str) -> float:
    """`VmHWM` is the peak of this process, `VmRSS` what it holds now."""
    status = Path("/proc/self/status")
    if not status.exists():  # not Linux: the peak alone, which a parent's may hide
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    line = next(line for line in status.read_text().splitlines() if line.startswith(entry))
    return float(line.split()[1]) / 2**10


def task(bench: Bench, cohort: str, target: str | None, encoders: str) -> dict[str, Any]:
    """Do one task once to load what it needs, then measure it."""
    import torch

    import histodecon as hd
    from paper.experiments.leave_one_out import predict_out_of_fold

    config = bench.config
    adata, test = (None if name is None else bench.cohort(name, encoders) for name in (cohort, target))
    params, learner = dict(config.params), config.learner
    use_rep = [f"X_{name}" for name in config.encoder_sets[encoders]]
    options = {"use_rep": use_rep, "groupby": config.leave_out, "device": config.device, "show_progress_bar": False}
    small = adata[:: max(1, adata.n_obs // 64)].copy()
    hd.tl.train_regressor(small, learner=learner, params=params or None, **{**options, "groupby": None})
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    before, start, computed = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    if target is None:
        predict_out_of_fold(adata, bench, encoders, learner, config.seeds[0], params)
    else:
        model = hd.tl.train_regressor(
            adata, learner=learner, params=params or None, random_state=config.seeds[0], **options
        )
        hd.tl.predict_abundance(test, model, background="keep")
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - computed
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": memory_mb("VmHWM"),
        "beyond_mb": max(0.0, memory_mb("VmHWM") - before),
        "cuda_mb": torch.cuda.max_memory_allocated() / 2**20 if cuda else float("nan"),
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "threads": torch.get_num_threads(),
    }


def measured(bench: Bench, config_path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    paths = [str(config_path), str(bench.out), str(bench.cache)]
    command = [sys.executable, "-m", "paper.experiments.cost", *paths, json.dumps(arguments)]
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in places if place)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(bench: Bench) -> str:
    config, rows = bench.config, []
    tasks = [(name, None) for name in config.cohorts] + [(name, name) for name in config.cohorts] + list(config.cross)
    for cohort, target in tasks:
        for encoders in config.encoder_sets:
            adata = bench.cohort(cohort, encoders)
            if adata is None or (target is not None and bench.cohort(target, encoders) is None):
                continue
            if target is None and adata.obs[config.leave_out].nunique() < 2:
                continue
            words = "leave-one-out" if target is None else "training" if target == cohort else f"→ {target}"
            common = {"cohort": cohort, "task": words, "encoders": encoders, "learner": config.learner}
            arguments = {"cohort": cohort, "target": target, "encoders": encoders}
            spec = {"what": "cost", **common, "params": dict(config.params), **facts(adata)}
            unit = bench.unit(
                {**spec, "threads": os.environ.get("OMP_NUM_THREADS", "all")},
                lambda common=common, arguments=arguments, adata=adata: (
                    [{**common, "n_spots": adata.n_obs, **measured(bench, bench.config_path, arguments)}],
                    {},
                ),
            )
            rows += unit.rows
    table = pd.DataFrame(rows)
    if table.empty:
        return ""
    table.to_csv(bench.out / "cost.csv", index=False, float_format="%.2f")
    devices = ", ".join(dict.fromkeys(table["device"]))
    shown = table.drop(columns=["device", "cuda_mb"] if table["cuda_mb"].isna().all() else ["device"])
    digits = {"seconds": 1, "cpu_seconds": 1, "peak_mb": 0, "beyond_mb": 0, "cuda_mb": 0}
    text = f"""Of embeddings that are there; one run on {devices}, each in a process of its own after a small warm-up. `seconds` are those of the clock,
and the machine may have been shared; `cpu_seconds` those this process computed. `training` is on the whole cohort, with its prediction. `peak_mb` is the peak of the whole process with Python, torch and data, `beyond_mb` what the task added.

{markdown_table(shown, {key: value for key, value in digits.items() if key in shown})}
"""
    return text + published(config, "cost")


def main(config_path: str, out: str, cache: str, arguments: str) -> None:
    from paper._config import read_config

    bench = Bench(read_config(Path(config_path), Path(cache)), Path(out), Path(config_path))
    print(json.dumps(task(bench, **json.loads(arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
