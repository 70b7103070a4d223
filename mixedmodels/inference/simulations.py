"""Simulations in pieces, each with its own random number generator: draws depend on the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from mixedmodels.errors import DataWarning, warn
from mixedmodels.inference.refits import Refitter
from mixedmodels.parallel import in_order, is_in_this_process
from mixedmodels.prediction.draws import Seed, generator
from mixedmodels.progress import Progress, Stopped

P = TypeVar("P")
R = TypeVar("R")
#: A random number generator, and how many replicates to draw from it.
Piece = tuple[np.random.Generator, int]

#: Replicates of one piece: many where they are fitted together, few where each takes its time and Ctrl-C
#: shall lose little. Draws depend on it, and on nothing else but the seed.
TOGETHER, ONE_BY_ONE = 1000, 20


def collect(
    task: Callable[[P], R], pieces: Sequence[P], counts: Sequence[int], *, jobs: Any, bar: Progress,
    refitter: Refitter | None = None,
) -> tuple[list[R], int]:  # fmt: skip
    """Return the results of pieces in order, and how much they are of: on Ctrl-C, of what is done.

    Parameters
    ----------
    task : callable
        What is done with a piece.
    pieces : sequence
        The pieces.
    counts : sequence of int
        How much each is.
    jobs : int or Dask Client
        Processes.
    bar : Progress
        What counts.
    refitter : Refitter, optional
        The one that the task refits with, if on Ctrl-C the task returns what of a piece is done.
    """
    results: list[R] = []
    done = 0
    watched = refitter if is_in_this_process(jobs, len(pieces)) else None
    if watched is not None:
        watched.tell = bar.add
    try:
        for result, count in zip(in_order(task, pieces, jobs), counts, strict=True):
            results.append(result)
            done += count
            if watched is None:
                bar.add(count)
    except Stopped as stop:
        if refitter is not None:
            results.append(stop.part)
            done += stop.count
    except KeyboardInterrupt:
        pass
    finally:
        if watched is not None:
            watched.tell = None
    return results, done


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
    refitter: Refitter | None = None,
) -> list[R]:
    """Return the results of all pieces in order; on Ctrl-C, of what is done, with a warning.

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
    refitter : Refitter, optional
        As for :func:`collect`.
    """
    size = size or (TOGETHER if together else ONE_BY_ONE)
    counts = [min(size, nsim - first) for first in range(0, nsim, size)]
    pieces = list(zip(generator(rng).spawn(len(counts)), counts, strict=True))
    with Progress(nsim, progress, label) as bar:
        results, done = collect(task, pieces, counts, jobs=jobs, bar=bar, refitter=refitter)
    if done < nsim:
        warn(
            f"{label} interrupted: {done} of {nsim} replicates are done, and what is returned rests on "
            "these.",
            DataWarning,
        )
    return results
