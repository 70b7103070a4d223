"""Independent pieces of work in several processes, one BLAS thread each.

Where the system can fork, workers inherit the work as it is, functions typed at a prompt included; elsewhere
it must be something that pickle can send.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import numpy as np
import threadpoolctl

from mixedmodels.control import whole_number
from mixedmodels.errors import ControlError

P = TypeVar("P")
R = TypeVar("R")

#: What a worker works on, set once when it starts.
_task: Callable[[Any], Any] | None = None


def number_of_jobs(n_jobs: object) -> int:
    """Return the number of processes; -1 is one for each processor.

    Raises
    ------
    ControlError
        If it is neither -1 nor a whole number, 1 or more.
    """
    if isinstance(n_jobs, (int, np.integer)) and n_jobs == -1:
        return os.cpu_count() or 1
    try:
        return whole_number("n_jobs", n_jobs, 1)
    except ControlError as error:
        raise ControlError(f"{error} -1 is one process for each processor.") from None


def workers(n_jobs: object) -> Any:
    """Return the number of processes, or the Dask client that was given in its place.

    Raises
    ------
    ControlError
        If it is neither.
    """
    return n_jobs if is_client(n_jobs) else number_of_jobs(n_jobs)


def is_client(n_jobs: object) -> bool:
    """Tell whether something is a client of a Dask cluster."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(n_jobs, distributed.Client)


def is_in_this_process(jobs: Any, n_pieces: int) -> bool:
    """Tell whether that many pieces are worked on in this process, for want of jobs or of pieces."""
    return not is_client(jobs) and min(jobs, n_pieces) <= 1


def _on_cluster(task: Callable[[P], R], pieces: Sequence[P], client: Any) -> Iterator[R]:
    """Yield the results from the workers of a Dask cluster; a stop cancels what has not begun."""
    # The task is sent once, not with every piece; it may draw, and so is never the same call twice.
    shared = client.scatter(task, broadcast=True, hash=False)
    futures = client.map(_run_task, pieces, task=shared, pure=False)
    try:
        for future in futures:
            yield future.result()
    finally:
        client.cancel(futures)


def _run_task(piece: Any, task: Callable[[Any], Any]) -> Any:
    with threadpoolctl.threadpool_limits(1):
        return task(piece)


def in_order(task: Callable[[P], R], pieces: Sequence[P], n_jobs: Any) -> Iterator[R]:
    """Yield ``task(piece)`` of every piece, in order, from up to `n_jobs` processes or a Dask client.

    Raises
    ------
    ControlError
        If the work cannot be sent to other processes.
    """
    if is_client(n_jobs):
        yield from _on_cluster(task, pieces, n_jobs)
        return
    if is_in_this_process(n_jobs, len(pieces)):
        yield from map(task, pieces)
        return
    pool = ProcessPoolExecutor(min(n_jobs, len(pieces)), _context(task), _start, (task,))
    try:
        with warnings.catch_warnings():
            # Python warns of forking beside threads; those of BLAS know of forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            # Libraries that a user has beside us (JAX) warn for themselves; a worker does not touch them.
            warnings.filterwarnings("ignore", r"os\.fork\(\)", RuntimeWarning)
            results = pool.map(_run, pieces)
        yield from results
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _context(task: object) -> multiprocessing.context.BaseContext:
    if sys.platform == "linux":
        return multiprocessing.get_context("fork")
    try:
        pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ControlError(
            f"the work cannot be sent to other processes ({error}): define functions at the top of a module "
            "that can be imported, or leave out n_jobs."
        ) from error
    return multiprocessing.get_context("spawn")


def _start(task: Callable[[Any], Any]) -> None:
    """Prepare a worker: one BLAS thread, and Ctrl-C left to the process that started it."""
    global _task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpoolctl.threadpool_limits(1)


def _run(piece: Any) -> Any:
    assert _task is not None
    return _task(piece)
