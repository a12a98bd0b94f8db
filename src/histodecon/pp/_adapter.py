"""A step that adapts an embedding anew for every fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError
from histodecon.encoders import get_adapter
from histodecon.pp._adapt_embedding import adapt_embedding

if TYPE_CHECKING:
    from anndata import AnnData

ALLOWED = ("groupby", "layer", "n_genes", "library_key", "device", "random_state")


@dataclass(frozen=True)
class FoldAdapter:
    """Adapts an embedding without some groups and names the key that it wrote; :func:`adapter` makes it."""

    use_rep: str
    method: str
    params: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, adata: AnnData, held_out: Sequence[str]) -> str:
        """Adapt.

        Parameters
        ----------
        adata
            Where to read and write.
        held_out
            Groups that are not trained on.

        Returns
        -------
        Key of ``obsm`` that was written.
        """
        key = f"{self.use_rep}_{self.method}"
        adapt_embedding(
            adata,
            use_rep=self.use_rep,
            method=self.method,
            leave_out=held_out,
            params=self.params,
            key_added=key,
            overwrite=True,
            show_progress_bar=False,
            **self.options,
        )
        return key


def adapter(
    use_rep: str, *, method: str = "seal", params: Mapping[str, Any] | None = None, **options: Any
) -> FoldAdapter:
    """Prepare an adapter that cross-validation fits anew for every fold, on the patients that the fold trains on.

    Parameters
    ----------
    use_rep
        Key of ``obsm`` that holds one embedding.
    method
        Name of an adapter (:func:`histodecon.encoders.list_adapters`).
    params
        Parameters of the adapter that differ from its defaults.
    **options
        ``groupby``, ``layer``, ``n_genes``, ``library_key``, ``device`` and ``random_state`` of
        :func:`histodecon.pp.adapt_embedding`. ``groupby`` must be that of the cross-validation.

    Returns
    -------
    What :func:`histodecon.tl.cross_validate` and :func:`histodecon.tl.compare_learners` take as ``use_rep``.

    Raises
    ------
    InputError
        The method, a parameter or an option is unknown.

    Examples
    --------
    >>> import histodecon as hd
    >>> hd.pp.adapter("X_uni", method="seal", n_genes=250).method
    'seal'
    """
    get_adapter(method).build(params)
    unknown = [name for name in options if name not in ALLOWED]
    if unknown:
        msg = f"Unknown option {unknown[0]!r} of an adapter"
        raise InputError(msg, where=f"it has: {', '.join(ALLOWED)}", fix="see `pp.adapt_embedding`", code="BI-72")
    return FoldAdapter(use_rep, method, params, dict(options))
