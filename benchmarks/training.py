"""Speed, memory and accuracy of training all folds; writes docs/results/training.md.

    python benchmarks/training.py                              # 100 epochs in both precisions: minutes on two idle cores
    python benchmarks/training.py --epochs 4                   # a short look; times of 100 epochs are extrapolated
    python benchmarks/training.py --device cuda                # folds stacked into one network; prints only
    python benchmarks/training.py --parts accuracy --data ../shared/data

Synthetic data of the size of her2st: 13,620 spots of 8 patients, 1,536 columns, 39 cell types. Each part runs in a process of
its own; finished parts are kept in docs/results/training.json, and `--parts` runs some of them again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "docs" / "results" / "training.md"
SPOTS, COLUMNS, TYPES, PATIENTS = 13_620, 1_536, 39, 8
SOURCE = {"hidden": 512, "n_networks": 1, "start": "random", "dropout": 0.0, "input_dropout": 0.0, "batch_size": 512}
PRECISIONS = ("float32", "bfloat16")
EPOCHS = 100
SEEDS = 5
RIDGES = ("ridge", "ridge, strength given", "ridge, one fit on all patients")
MEMORIES = ("memory float32", "memory bfloat16")
PARTS = ("steps", "mlp float32", "mlp bfloat16", *MEMORIES, *RIDGES, "accuracy")


def cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings with a decaying spectrum, patients apart from each other, skewed abundances."""
    rng = np.random.default_rng(0)
    size = np.arange(1, 201, dtype=np.float32) ** -0.5
    patient = np.sort(rng.integers(0, PATIENTS, SPOTS))
    hidden = rng.normal(size=(SPOTS, 200)).astype(np.float32) * size
    hidden += (0.5 * rng.normal(size=(PATIENTS, 200)).astype(np.float32) * size)[patient]
    X = hidden @ rng.normal(size=(200, COLUMNS)).astype(np.float32)
    X += 0.3 * rng.normal(size=X.shape).astype(np.float32)
    told = hidden[:, :40] @ rng.normal(size=(40, TYPES)) * 0.3
    Y = np.exp(told + 0.5 * rng.normal(size=told.shape) + 0.3 * rng.normal(size=(PATIENTS, TYPES))[patient])
    return X, Y, patient


def memory(*, peak: bool) -> float:
    """Memory of this process in MB, now or at most; a Mac counts in bytes."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024) / 1e6
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def best_ms(*works: Callable[[], Any], repeats: int = 15) -> list[float]:
    """Best CPU milliseconds of some turns, in which all take part one after the other."""
    best = [float("inf")] * len(works)
    for _ in range(repeats):
        for n, work in enumerate(works):
            start = time.process_time()
            work()
            best[n] = min(best[n], (time.process_time() - start) * 1e3)
    return best


def steps() -> dict[str, Any]:
    """A step beside its matrix products alone, in both precisions."""
    import torch

    from histodecon.models import get_learner
    from histodecon.models._networks import build_mlp, layer_widths
    from histodecon.models._steps import Stepper
    from histodecon.models._training import TrainingPlan

    torch.set_num_threads(1)
    found = {}
    standard = dict(get_learner("mlp").defaults)
    for name, params in {"source": {**standard, **SOURCE}, "default": standard}.items():
        rows = params["batch_size"]
        X, Y = torch.randn(rows, COLUMNS), torch.randn(rows, TYPES)
        for precision in PRECISIONS:
            known = {key: value for key, value in params.items() if key in TrainingPlan.__dataclass_fields__}
            plan = TrainingPlan(**{**known, "precision": precision})
            drops = {key: params[key] for key in ("dropout", "input_dropout")}
            stepper = Stepper(build_mlp(COLUMNS, TYPES, hidden=params["hidden"], **drops), plan, 100_000)
            stepper.n_batches = 1
            data = (stepper.inputs(X), Y, None)
            order = np.arange(rows)
            widths = layer_widths(COLUMNS, TYPES, params["hidden"])
            triples = [
                [torch.randn(*s, dtype=stepper.dtype) for s in ((rows, i), (o, i), (rows, o))] for i, o in widths
            ]

            def products(triples: list = triples) -> None:
                for n, (x, weight, gradient) in enumerate(triples):
                    _ = x @ weight.T, gradient.T @ x
                    if n:
                        _ = gradient @ weight

            step, bare = best_ms(lambda s=stepper, d=data, o=order: s.epoch(d, o), products)
            flops = sum(2 * rows * i * o * (3 if n else 2) for n, (i, o) in enumerate(widths))
            case = {"step_ms": step, "products_ms": bare, "gflops": flops / bare / 1e6, "share": bare / step}
            found[f"{name} {precision}"] = {**case, "rows": rows, "hidden": params["hidden"]}
    return found


def folds(learner: str, params: dict[str, Any] | None, *, n_jobs: int = 1, device: str = "cpu") -> dict[str, Any]:
    """Leave every patient out once."""
    import torch  # noqa: F401 its memory is not that of a fit

    from histodecon.models import AbundanceRegressor, fit_folds

    X, Y, patient = cohort()
    training = [np.flatnonzero(patient != one) for one in range(PATIENTS)]
    warm = AbundanceRegressor(
        learner, params={**(params or {}), **({"max_epochs": 1} if learner == "mlp" else {})}, device=device
    )
    fit_folds(warm, X[:400, :8], Y[:400], [np.arange(300), np.arange(100, 400)], groups=np.arange(400) % 2)
    before, cpu, wall = memory(peak=False), time.process_time(), time.perf_counter()
    model = AbundanceRegressor(learner, params=params, device=device)
    fitted = fit_folds(model, X, Y, training, groups=patient, n_jobs=n_jobs)
    took = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    scores = []
    for one, model in enumerate(fitted):
        rows = patient == one
        predicted = model.predict(X[rows])
        scores.append(np.mean([np.corrcoef(predicted[:, k], Y[rows, k])[0, 1] for k in range(TYPES)]))
    grown = memory(peak=True) - before
    return {
        **took,
        "memory_mb": grown,
        "data_mb": (X.nbytes + Y.nbytes) / 1e6,
        "cc": float(np.mean(scores)),
        "n_jobs": n_jobs,
    }


def mlp(precision: str, epochs: int, n_jobs: int, device: str) -> dict[str, Any]:
    """Leave every patient out with the network of the source; a second, shorter run tells what does not grow with epochs."""
    params = {**SOURCE, "precision": precision, "patience": EPOCHS}
    whole = folds("mlp", {**params, "max_epochs": epochs}, n_jobs=n_jobs, device=device)
    if epochs < EPOCHS and device == "cpu":
        once = folds("mlp", {**params, "max_epochs": 1}, n_jobs=n_jobs, device=device)
        for key in ("cpu_s", "wall_s"):
            whole[f"epoch_{key}"] = (whole[key] - once[key]) / max(1, epochs - 1)
    return {**whole, "epochs": epochs}


def one_ridge() -> dict[str, Any]:
    """One fit on all patients, its strength chosen by leaving them out in turn."""
    from histodecon.models import AbundanceRegressor

    X, Y, patient = cohort()
    before, cpu, wall = memory(peak=False), time.process_time(), time.perf_counter()
    AbundanceRegressor("ridge").fit(X, Y, groups=patient)
    took = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    return {**took, "memory_mb": memory(peak=True) - before, "n_jobs": 1}


def accuracy(data: Path, seeds: int) -> dict[str, Any]:
    """CC on sections of her2st that are left out in turn, in both precisions, wide and default networks."""
    sys.path.insert(0, str(ROOT))
    from paper._cohort import her2st

    from histodecon import stats
    from histodecon._core import read_table
    from histodecon.models import AbundanceRegressor, fit_folds

    adata = her2st(data, Path(os.environ["HISTODECON_CACHE"]) if "HISTODECON_CACHE" in os.environ else None)
    X, Y = np.asarray(adata.obsm["X_mobilenetv2"]), read_table(adata, "cell_abundance").to_numpy()
    section = adata.obs["library_id"].astype(str).to_numpy()
    names = np.unique(section).tolist()
    training = [np.flatnonzero(section != name) for name in names]
    found: dict[str, Any] = {}
    for network, params in {"default": {}, "wide": {"hidden": 512, "n_networks": 3}}.items():
        for precision in PRECISIONS:
            own = found[f"{network} {precision}"] = {name: [] for name in names}
            for seed in range(seeds):
                model = AbundanceRegressor(
                    "mlp", params={**params, "precision": precision}, random_state=seed, device="cpu"
                )
                fitted = fit_folds(model, X, Y, training, groups=section, kind="proportion")
                for name, one in zip(names, fitted, strict=True):
                    rows = section == name
                    own[name].append(float(np.nanmean(stats.pearson_per_type(Y[rows], one.predict(X[rows])))))
                print(network, precision, seed, [own[n][-1] for n in names], file=sys.stderr, flush=True)
    return found


def run_part(part: str, arguments: argparse.Namespace) -> dict[str, Any]:
    if part == "steps":
        return steps()
    if part in RIDGES:
        return one_ridge() if part == RIDGES[2] else folds("ridge", {"strength": 1.0} if part == RIDGES[1] else None)
    if part in MEMORIES:
        return folds("mlp", {**SOURCE, "precision": part.removeprefix("memory "), "max_epochs": 1})
    if part == "accuracy":
        return accuracy(arguments.data, arguments.seeds)
    return mlp(part.removeprefix("mlp "), arguments.epochs, arguments.jobs, arguments.device)


def memory_of(name: str, found: dict[str, Any]) -> float:
    """Peak of one process in MB."""
    return float(found.get(name.replace("mlp", "memory"), found[name])["memory_mb"])


def page(found: dict[str, Any]) -> str:
    """Write the page from what has been measured."""
    parts = [
        "# Training\n\n```bash\npython benchmarks/training.py\n```\n",
        f"Synthetic data of the size of her2st: {SPOTS:,} spots of {PATIENTS} patients, {COLUMNS:,} columns, {TYPES} cell types; "
        "one thread a process. Rows of other runs (`--parts`, `--epochs`) stay until they are measured again.\n",
    ]
    if "steps" in found:
        parts.append(
            "## A step beside its matrix products\n\n| network | precision | rows | step, ms | products, ms | GFLOP/s | share |\n|---|---|---|---|---|---|---|"
        )
        for name, case in found["steps"].items():
            network, precision = name.split()
            parts[-1] += (
                f"\n| {network}, {case['hidden']} wide | {precision} | {case['rows']} | {case['step_ms']:.1f} | "
                f"{case['products_ms']:.1f} | {case['gflops']:.0f} | {case['share']:.0%} |"
            )
        parts.append(
            "\nCPU time of one thread; the products are those of the seven layers, forward and back, on their own. The source's "
            "network has no dropout here; the default one draws its masks in the step.\n"
        )
    runs = [name for name in ("mlp float32", "mlp bfloat16", *RIDGES) if name in found]
    if runs:
        parts.append(
            "## Leave one patient out, all eight folds\n\n| learner | epochs | processes | wall, s | CPU, s | CPU of 100 epochs, s | "
            "memory beyond the data, MB | CC |\n|---|---|---|---|---|---|---|---|"
        )
        for name in runs:
            one = found[name]
            cpu, full, cc = "–", "–", f"{one['cc']:.3f}" if "cc" in one else "–"
            if one["n_jobs"] == 1:  # the time of other processes is not known
                cpu = f"{one['cpu_s']:.1f}"
                if "epoch_cpu_s" in one:
                    full = f"{one['cpu_s'] + (EPOCHS - one['epochs']) * one['epoch_cpu_s']:.0f} (extrapolated)"
                elif "epochs" in one:
                    full = cpu
            parts[-1] += (
                f"\n| {name} | {one.get('epochs', '–')} | {one['n_jobs']} | {one['wall_s']:.1f} | {cpu} | {full} | "
                f"{memory_of(name, found):.0f} | {cc} |"
            )
        parts.append(
            "\nThe network is that of the source: seven layers, 512 wide, one a fold, batches of 512. Wall time says something only "
            "on an idle machine; two processes on two idle cores take half the CPU time. Memory is the peak "
            "of one process that works on all folds over what it held with the data loaded; of the network in a run of one epoch. "
            "CC is that of the left-out patients, and only says that all learn the same. Ridge chooses its strength for every "
            "fold by leaving each of its training patients out; with the strength given there is nothing to choose.\n"
        )
    if "accuracy" in found:
        tasks = list(next(iter(found["accuracy"].values())))
        parts.append(
            "## Does bfloat16 cost accuracy?\n\n| network | precision | "
            + " | ".join(tasks)
            + " | mean |\n|---|---|"
            + "---|" * (len(tasks) + 1)
        )
        for name, scores in found["accuracy"].items():
            network, precision = name.split()
            means = [float(np.mean(scores[task])) for task in tasks]
            cells = [f"{mean:.3f} ± {np.std(scores[task]):.3f}" for mean, task in zip(means, tasks, strict=True)]
            parts[-1] += f"\n| {network} | {precision} | " + " | ".join(cells) + f" | {np.mean(means):.4f} |"
        seeds = len(next(iter(found["accuracy"].values()))[tasks[0]])
        parts.append(
            f"\nCC of each section of her2st left out in turn (8 cell types, MobileNetV2), mean and standard deviation of {seeds} seeds: "
            '`python benchmarks/training.py --parts accuracy`. `precision="auto"` takes bfloat16 for networks 512 wide or wider '
            "where the processor multiplies it natively, and float32 elsewhere: narrower ones gain little.\n"
        )
    return "\n".join(parts)


def main() -> None:
    """Run parts, or one of them in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = os.environ.get("HISTODECON_SHARED", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--jobs", type=int, default=2, help="processes for the folds of the network")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", type=Path, default=Path(shared), help="folder with her2st/ and weights/")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--alone", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        sys.stdout.write(json.dumps(run_part(arguments.alone, arguments)))
        return
    if arguments.device != "cpu":
        for precision in PRECISIONS:
            sys.stdout.write(f"{precision}: {mlp(precision, arguments.epochs, 1, arguments.device)}\n")
        return
    kept = REPORT.with_suffix(".json")
    found = json.loads(kept.read_text()) if kept.exists() else {}
    for part in arguments.parts:
        options = [f"--{name}={getattr(arguments, name)}" for name in ("epochs", "jobs", "data", "seeds")]
        command = [sys.executable, __file__, f"--alone={part}", *options]
        found[part] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        sys.stdout.write(f"{part}: {found[part]}\n")
        sys.stdout.flush()
        kept.write_text(json.dumps(found, indent=1) + "\n")
    REPORT.write_text(page(found))


if __name__ == "__main__":
    main()
