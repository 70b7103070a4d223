"""Cross-products ``Z'WZ``, ``X'WZ`` and ``X'WX``, formed from the rows once and from integer codes only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.factorization.constant.rest import Rest

with on_first_use():
    pass

if TYPE_CHECKING:
    from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CrossProducts:
    """Blocks of ``[Z X]'W[Z X]`` on the user's coefficients (no Lambda in them).

    Attributes
    ----------
    faces : tuple of ndarray, each (S, S, q)
        Diagonal blocks, one for each block of the pattern.
    links : dict
        ``links[j, k]``, shape (S_k, S_j, q_j): chain block k against the levels of chain block j, j < k.
    rests : tuple of Rest
        The tail's random effects and the fixed effects against each chain block.
    tail : ndarray, shape (n_tail, n_tail), or SparseMatrix
        Symmetric, both halves filled; or sparse with the fixed effects as border.
    XZ : tuple of ndarray, each (p, S, q)
        Fixed effects against each block.
    XX : ndarray, shape (p, p)
        Fixed effects.
    """

    faces: tuple[FloatArray, ...]
    links: dict[tuple[int, int], FloatArray]
    rests: tuple[Rest, ...]
    tail: FloatArray | SparseMatrix
    XZ: tuple[FloatArray, ...]
    XX: FloatArray

    @property
    def dense_order(self) -> int:
        """Order of the matrices LAPACK spends its time on: the tail and X, or the fronts of a sparse tail."""
        if isinstance(self.tail, np.ndarray):
            return len(self.tail) + len(self.XX)
        return self.tail.layout.fronts.typical


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RightHandSide:
    """Cross-products of one column with Z and X.

    Attributes
    ----------
    Z : tuple of ndarray, each (S, q)
        One for each block of the pattern.
    X : ndarray, shape (p,)
        Fixed effects.
    """

    Z: tuple[FloatArray, ...]
    X: FloatArray
