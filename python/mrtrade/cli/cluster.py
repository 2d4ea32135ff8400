"""Who does the work: options that commands with many tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from mrtrade.parallel import Backend, Workers

BackendOption = Annotated[
    str, typer.Option(help="loky (processes), threading, dask or ray: docs/scaling.md.")
]
SchedulerOption = Annotated[
    str | None, typer.Option(help="Address of a cluster's scheduler, or Dask's file with it.")
]


def make_workers(jobs: int, backend: str, scheduler: str | None) -> Workers:
    """Return the workers that the options ask for; what cannot be is complained of."""
    from mrtrade.parallel import Workers

    return Workers(jobs, cast("Backend", backend), scheduler)
