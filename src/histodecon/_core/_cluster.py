"""Clients of dask.distributed."""

from __future__ import annotations

from typing import Any

from histodecon._core._errors import InputError
from histodecon._core._optional import import_optional


def require_client(client: Any) -> None:
    """Refuse what is not a connected client of dask.distributed.

    Parameters
    ----------
    client
        What was handed in.

    Raises
    ------
    InputError
        It is something else, is asynchronous, or is closed.
    MissingDependencyError
        ``distributed`` is not installed.
    """
    distributed = import_optional("distributed")
    fix = "`from distributed import Client`, then `client=Client(...)`"
    if not isinstance(client, distributed.Client):
        msg = f"`client` is a client of dask.distributed, not a {type(client).__name__}"
        raise InputError(msg, fix=fix, code="BI-72")
    if client.asynchronous or client.status != "running":
        state = "asynchronous" if client.asynchronous else client.status
        msg = f"The client of dask.distributed is {state}: work cannot be handed to it"
        raise InputError(msg, fix=fix, code="BI-72")
