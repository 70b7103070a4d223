"""Simulations in pieces, each with its own random number generator: draws depend on the seed alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from mixedmodels.errors import DataWarning, warn
from mixedmodels.parallel import in_order
from mixedmodels.prediction.draws import Seed, generator
from mixedmodels.progress import Progress

R = TypeVar("R")
#: A random number generator, and how many replicates to draw from it.
Piece = tuple[np.random.Generator, int]

#: Replicates of one piece: many where they are fitted together, few where each takes its time and Ctrl-C
#: shall lose little. Draws depend on it, and on nothing else but the seed.
TOGETHER, ONE_BY_ONE = 1000, 20


def simulate_in_pieces(
    task: Callable[[Piece], R],
    nsim: int,
    rng: Seed,
    *,
    together: bool = False,
    size: int | None = None,
    jobs: Any,
    progress: bool | None,
    label: str,
) -> list[R]:
    """Return the results of all pieces in order; on Ctrl-C, of those that are done, with a warning.

    Parameters
    ----------
    task : callable
        Makes the replicates of a piece.
    nsim : int
        Replicates.
    rng : int or numpy Generator, optional
        Seed.
    together : bool
        Whether the replicates of a piece are fitted together.
    size : int, optional
        Replicates of one piece; by default that of `together`.
    jobs : int or Dask Client
        Processes.
    progress : bool, optional
        Whether to draw a bar.
    label : str
        What is being done.
    """
    size = size or (TOGETHER if together else ONE_BY_ONE)
    counts = [min(size, nsim - first) for first in range(0, nsim, size)]
    pieces = list(zip(generator(rng).spawn(len(counts)), counts, strict=True))
    results: list[R] = []
    with Progress(nsim, progress, label) as bar:
        try:
            for result, count in zip(in_order(task, pieces, jobs), counts, strict=True):
                results.append(result)
                bar.add(count)
        except KeyboardInterrupt:
            warn(
                f"{label} interrupted: {bar.done} of {nsim} replicates are done, and what is returned rests "
                "on these.",
                DataWarning,
            )
    return results
