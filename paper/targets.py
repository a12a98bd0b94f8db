"""Targets of the cohorts of a configuration: cell2location over all sections of each, with the reference that it names.

    python -m paper.targets --config paper/configs/source.toml

Writes the `targets_file` of every cohort that has none yet. Hours on a CPU; a GPU is used where there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import histodecon as hd
from paper._config import Cohort, Config, read_config, unset_variable
from paper._sections import Absent, read_section, section_names


def counts_of(cohort: Cohort) -> ad.AnnData:
    """Counts of all sections that are there; a gene that a section lacks has none."""
    parts = []
    for section in section_names(cohort):
        try:
            table = read_section(cohort, section)["table"]
        except Absent as gap:
            print(f"missing: {gap}", flush=True)
            continue
        table = table[(table.obs["library_id"] == section).to_numpy()].copy()
        table.obs_names = [f"{name.removesuffix(f'-{section}')}-{section}" for name in table.obs_names]
        table.uns.pop("spatial", None)
        parts.append(table)
    if not parts:
        msg = f"{cohort.name}: none of its sections is there"
        raise Absent(msg)
    return ad.concat(parts, join="outer", merge="same", uns_merge="unique", fill_value=0)


def with_symbols(adata: ad.AnnData, symbols: pd.Series) -> ad.AnnData:
    """Genes under their symbols, index of `symbols` = ids; counts of one symbol are added, genes without one left out."""
    names = symbols.reindex([name.split(".")[0] for name in adata.var_names])
    known = names.notna().to_numpy()
    codes, unique = pd.factorize(names[known])
    adding = sp.csr_matrix((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=(len(codes), len(unique)))
    out = ad.AnnData(
        sp.csr_matrix(adata.X)[:, known] @ adding, obs=adata.obs, var=pd.DataFrame(index=pd.Index(unique, dtype=object))
    )
    out.obsm, out.uns = dict(adata.obsm), adata.uns
    return out


def make(cohort: Cohort, config: Config, *, method: str) -> Path | None:
    path = Path(str(cohort.targets_file))
    if cohort.targets_file is None or path.exists():
        return None
    unset = unset_variable(str(path)) or unset_variable(config.reference["file"])
    if unset or not Path(config.reference["file"]).exists():
        what = f"the variable {unset} is not set" if unset else f"there is no {config.reference['file']}"
        msg = f"Targets of {cohort.name}: {what}"
        raise Absent(msg)
    adata, reference = counts_of(cohort), ad.read_h5ad(config.reference["file"])
    if not adata.var_names.isin(reference.var_names).any():
        table = pd.read_csv(config.reference["gene_symbols"], sep=None, engine="python")
        adata = with_symbols(adata, table.drop_duplicates("gene_id").set_index("gene_id")["symbol"])
    hd.tl.deconvolve(adata, reference, labels_key=config.reference["labels_key"], method=method, device=config.device)
    path.parent.mkdir(parents=True, exist_ok=True)
    adata.write_h5ad(path.with_suffix(".part"))
    return path.with_suffix(".part").replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--method", default="cell2location")
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    for cohort in config.cohorts.values():
        try:
            made = make(cohort, config, method=arguments.method)
            print(f"{cohort.name}: {made or 'targets are there'}", flush=True)
        except Absent as gap:
            print(f"missing: {gap}", flush=True)


if __name__ == "__main__":
    main()
