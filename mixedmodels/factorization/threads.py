"""Threads of the BLAS: one for small systems, where starting threads costs more than the arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

# Order of a dense tail from which a second thread pays. Below it OpenBLAS still starts threads for some
# routines: a fit of two crossed terms with a tail of 136 took ten times as long with two as with one.
WORTH_THREADS = 1000
# Order up to which OpenBLAS starts none, whatever the routine (measured up to twice it): nothing need be
# asked or changed, and threadpoolctl, which takes 30 ms to find the libraries, is not even imported.
WITHOUT_THREADS = 8


def threads_for(order: int) -> AbstractContextManager[None]:
    """Return a context in which BLAS uses one thread if the dense part of a system is small.

    Parameters
    ----------
    order : int
        Order of the largest dense matrix of the fit: the tail of the factorization, or a Hessian.
    """
    if order <= WITHOUT_THREADS or order >= WORTH_THREADS:
        return nullcontext()
    # threadpoolctl's own context asks every library for all it can tell, 15 microseconds each time.
    if all(library.get_num_threads() == 1 for library in _blas_libraries()):
        return nullcontext()
    return _one_thread()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = [(library, library.get_num_threads()) for library in _blas_libraries()]
    for library, _ in before:
        library.set_num_threads(1)
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
