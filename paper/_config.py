"""A run of the paper as a TOML file names it: cohorts, encoders, targets, splits, seeds."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

DATASETS = ("her2st", "stnet", "toy")


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Sections of one data set, how they are tiled, and where their targets come from."""

    name: str
    dataset: str
    folder: str | None = None
    sections: tuple[str, ...] | None = None
    tile_px: int | None = None
    tile_um: float | None = None
    targets: str | None = None
    targets_file: str | None = None
    shown_section: str | None = None
    random_state: int = 0
    n_rows: int = 10

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            msg = f"cohorts.{self.name}: dataset is one of {', '.join(DATASETS)}, not {self.dataset!r}"
            raise ValueError(msg)
        if (self.targets is None) == (self.targets_file is None):
            msg = f"cohorts.{self.name}: give either `targets`, a key of obsm, or `targets_file`"
            raise ValueError(msg)
        if (self.tile_px is None) == (self.tile_um is None):
            msg = f"cohorts.{self.name}: give either `tile_px` or `tile_um`"
            raise ValueError(msg)

    @property
    def tiling(self) -> dict[str, float]:
        return {"size_px": self.tile_px} if self.tile_px is not None else {"size_um": self.tile_um}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a run."""

    title: str
    cache: Path
    cohorts: Mapping[str, Cohort]
    encoders: Mapping[str, Mapping[str, Any]]
    encoder_sets: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...] = (0,)
    learner: str = "mlp"
    params: Mapping[str, Any] = field(default_factory=dict)
    baselines: tuple[str, ...] = ("mean", "ridge")
    leave_out: str = "patient"
    cross: tuple[tuple[str, str], ...] = ()
    shown_types: tuple[str, ...] = ()
    device: str = "auto"
    published: bool = False
    reference: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = {one for names in self.encoder_sets.values() for one in names} - set(self.encoders)
        unknown |= {name for pair in self.cross for name in pair} - set(self.cohorts)
        if unknown:
            msg = f"named but not described under [encoders] or [cohorts]: {', '.join(sorted(unknown))}"
            raise ValueError(msg)


def expanded(value: Any) -> Any:
    """Replace variables of the environment in every text."""
    if isinstance(value, str):
        return os.path.expandvars(value)
    if isinstance(value, dict):
        return {key: expanded(one) for key, one in value.items()}
    return tuple(expanded(one) for one in value) if isinstance(value, list) else value


def unset_variable(path: str) -> str | None:
    """Name of the variable that a path still holds, because the environment has none of that name."""
    match = re.search(r"\$\{?(\w+)", path)
    return match[1] if match else None


def read_config(path: Path, cache: Path | None = None) -> Config:
    """Read and check a configuration; `cache` takes the place of its own."""
    content = expanded(tomllib.loads(path.read_text(encoding="utf-8")))
    unknown = set(content) - {one.name for one in fields(Config)}
    if unknown:
        msg = f"{path}: unknown entries {', '.join(sorted(unknown))}"
        raise ValueError(msg)
    content["cohorts"] = {name: Cohort(name=name, **entry) for name, entry in content["cohorts"].items()}
    content["cache"] = cache or Path(content["cache"])
    return Config(**content)
