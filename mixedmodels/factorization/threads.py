"""Threads of a fit: those of the BLAS in large systems, and of loops over the levels of many rows.

Small systems get one thread, for starting more costs longer than the arithmetic. Loops over levels run in
threads that live as long as the loop: none is left idle, none is missed by a process that forks later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

P = TypeVar("P")
R = TypeVar("R")

# Order of a dense tail from which a second thread pays. Below it OpenBLAS still starts threads for some
# routines: a fit of two crossed terms with a tail of 136 took ten times as long with two as with one.
WORTH_THREADS = 1000
# Order up to which OpenBLAS starts none, whatever the routine (measured up to twice it), and rows from which
# it starts some for so few columns: below both nothing need be asked or changed, and threadpoolctl, which
# takes 30 ms to find the libraries, is not even imported.
WITHOUT_THREADS, MANY_ROWS = 8, 10_000

#: Threads that were asked for; None leaves the BLAS as it is and has loops over levels in one.
_ASKED: ContextVar[int | None] = ContextVar("threads", default=None)


@contextmanager
def at_most(n_threads: int | None) -> Iterator[None]:
    """Let what is computed inside take so many threads where that pays; None leaves the BLAS as it is."""
    if n_threads is None:
        yield
        return
    token = _ASKED.set(n_threads)
    try:
        with _blas_threads(n_threads):
            yield
    finally:
        _ASKED.reset(token)


def in_threads(task: Callable[[P], R], pieces: Sequence[P]) -> list[R]:
    """Return ``task(piece)`` of every piece, in order, in as many threads as were asked for.

    A task that does not let go of Python's lock gains nothing. The result does not depend on the threads.
    """
    n = min(_ASKED.get() or 1, len(pieces))
    if n == 1:
        return [task(piece) for piece in pieces]
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(task, pieces))


def threads_for(order: int, n_rows: int = 0) -> AbstractContextManager[None]:
    """Return a context in which BLAS uses one thread if the dense part of a system is small.

    Parameters
    ----------
    order : int
        Order of the largest dense matrix of the fit: the tail of the factorization, or a Hessian.
    n_rows : int
        Rows of the data that are multiplied at each evaluation.
    """
    is_tiny = order <= WITHOUT_THREADS and n_rows < MANY_ROWS and _ASKED.get() is None
    if is_tiny or order >= WORTH_THREADS:
        return nullcontext()
    # threadpoolctl's own context asks every library for all it can tell, 15 microseconds each time.
    if all(library.get_num_threads() == 1 for library in _blas_libraries()):
        return nullcontext()
    return _blas_threads(1)


@contextmanager
def _blas_threads(n_threads: int) -> Iterator[None]:
    before = [(library, library.get_num_threads()) for library in _blas_libraries()]
    for library, _ in before:
        library.set_num_threads(n_threads)
    try:
        yield
    finally:
        for library, n in before:
            library.set_num_threads(n)


@cache
def _blas_libraries() -> list[Any]:
    """Return controllers of the BLAS libraries that NumPy and SciPy have loaded."""
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
