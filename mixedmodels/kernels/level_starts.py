"""Where the rows of each level begin, where rows are sorted by level."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import CodeArray, IntArray

__all__ = ["level_starts", "level_starts_numpy"]


def level_starts_numpy(codes: CodeArray, q: int) -> IntArray | None:
    """Return the first row of each of q levels, and then n, shape (q + 1,); None unless rows are sorted.

    An empty level begins where the next one does.
    """
    if not bool((codes[1:] >= codes[:-1]).all()):
        return None
    return np.searchsorted(codes, np.arange(q + 1)).astype(np.intp)


try:
    from mixedmodels.kernels._level_starts import level_starts
except ImportError:
    level_starts = level_starts_numpy
