"""Threads of the BLAS: one for small systems, where starting threads costs more than the arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# Order of a dense tail from which a second thread pays. Below it OpenBLAS still starts threads for some
# routines: a fit of two crossed terms with a tail of 136 took ten times as long with two as with one.
WORTH_THREADS = 1000


@contextmanager
def threads_for(order: int) -> Iterator[None]:
    """Let BLAS use one thread, for as long as the context lasts, if the dense part of a system is small.

    Parameters
    ----------
    order : int
        Order of the dense tail of the factorization.
    """
    # threadpoolctl's own context asks every library for all it can tell, 15 microseconds each time.
    several = [] if order >= WORTH_THREADS else [(b, b.get_num_threads()) for b in _blas_libraries()]
    several = [(library, n) for library, n in several if n != 1]
    for library, _ in several:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, n in several:
            library.set_num_threads(n)


@cache
def _blas_libraries() -> list[Any]:
    """Return controllers of the BLAS libraries that NumPy and SciPy have loaded."""
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
