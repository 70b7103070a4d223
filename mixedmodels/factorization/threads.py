"""Threads of the BLAS: one for small systems, where starting threads costs more than the arithmetic."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

# Order of a dense tail from which a second thread pays. Below it OpenBLAS still starts threads for some
# routines: a fit of two crossed terms with a tail of 136 took ten times as long with two as with one.
WORTH_THREADS = 1000


def threads_for(order: int) -> AbstractContextManager[Any]:
    """Return a context in which BLAS uses one thread if the dense part of a system is small.

    Parameters
    ----------
    order : int
        Order of the dense tail of the factorization.
    """
    return nullcontext() if order >= WORTH_THREADS else _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    """Return the controller of the BLAS libraries that NumPy and SciPy have loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
