"""What the random effects of the tail have for a prior precision: the identity, or that of related levels.

Where the levels of a block are related, ``b = (I (x) T) v`` with ``Cov(v) = K (x) I``: a sparse tail is
``Lambda'A Lambda + Q (x) I``, with the precision ``Q = K^-1`` in place of the identity (Henderson 1976,
Biometrics 32, 69-83), and ``log|Q|`` is taken off its log-determinant: no square root of K enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import block_diag, csc_array

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.factorization.pattern import Pattern


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Penalty:
    """Prior precision of the rows of a sparse tail.

    Attributes
    ----------
    values : ndarray, shape (n_values,)
        Its elements, where the tail keeps them.
    log_det : float
        Its log-determinant.
    precisions : tuple of csc_array or None
        Q of each block of the tail; None for the identity.
    """

    values: FloatArray
    log_det: float
    precisions: tuple[csc_array | None, ...]

    def times(self, r: int, u: FloatArray) -> FloatArray:
        """Return the precision of one block times its effects, shape (S, q)."""
        Q = self.precisions[r]
        return u if Q is None else np.asarray(u @ Q)


def related_levels(pattern: Pattern) -> csc_array | None:
    """Return which levels of the tail are related a priori, shape (q, q); None if none are."""
    blocks = [pattern.blocks[t] for t in pattern.tail]
    if all(block.precision is None for block in blocks):
        return None
    parts = [
        csc_array((block.n_levels, block.n_levels)) if block.precision is None else block.precision.precision
        for block in blocks
    ]
    return csc_array(block_diag(parts, format="csc")).astype(np.bool_)


def entries_of_precision(pattern: Pattern, r: int) -> tuple[CodeArray, CodeArray, FloatArray]:
    """Return rows, columns and values of the lower triangle of one block's prior precision."""
    block, start = pattern.blocks[pattern.tail[r]], pattern.offsets[r]
    S = np.arange(block.size, dtype=np.int32)
    if block.precision is None:
        rows = np.arange(start, start + block.n_effects, dtype=np.int32)
        return rows, rows, np.ones(len(rows))
    entries = block.precision.precision.tocoo()
    lower = entries.row >= entries.col
    rows = start + entries.row[lower][:, None] * block.size + S
    columns = start + entries.col[lower][:, None] * block.size + S
    values = np.repeat(entries.data[lower], block.size)
    return rows.ravel().astype(np.int32), columns.ravel().astype(np.int32), values


def log_det_precision(pattern: Pattern) -> float:
    """Return the log-determinant of the prior precision of the tail."""
    blocks = [pattern.blocks[t] for t in pattern.tail]
    return sum(block.size * block.precision.log_det for block in blocks if block.precision is not None)


def weighted_trace(
    pieces: Sequence[tuple[FloatArray, FloatArray, CodeArray, CodeArray]], q: int
) -> FloatArray:
    """Return ``sum_m Q_lm V_ml`` of every level l, shape (S, S, q), from pairs of levels on the pattern.

    Parameters
    ----------
    pieces : sequence of (Q, V, first, second)
        Elements of Q, shape (m,), faces of V, shape (S, S, m), and the levels of each pair.
    q : int
        Number of levels.
    """
    S = len(pieces[0][1])
    total = np.zeros((S, S, q))
    for Q, V, first, second in pieces:
        # Each pair counts for both of its levels, a level with itself once.
        product = Q * V * np.where(first == second, 0.5, 1.0)
        for i, j in np.ndindex(S, S):
            total[i, j] += np.bincount(first, product[j, i], q) + np.bincount(second, product[i, j], q)
    return 0.5 * (total + total.transpose(1, 0, 2))
