"""Columns of ``V = Lambda Omega^-1 Lambda'``: what the pattern of the inverse does not hold.

Levels of two factors that never met in the data meet in predictions. Their entries of V come from whole
columns, many at once, by one forward and one backward pass through the elimination.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.constant.blocked import Factor
from mixedmodels.factorization.constant.sparse_tail import SparseTail
from mixedmodels.kernels import faces


def solve_tail(factor: Factor, border: FloatArray, tail_inverse: FloatArray | None) -> FloatArray:
    """Return what raw right-hand sides of the tail, shape (m, n_tail + p), give: the same shape.

    Parameters
    ----------
    factor : Factor
        Factorization.
    border : ndarray, shape (m, n_tail + p)
        One right-hand side a row.
    tail_inverse : ndarray, shape (n_tail + p, n_tail + p), or None
        V of a dense tail; None for a sparse one.
    """
    if isinstance(factor.tail, SparseTail):
        return factor.tail.solve_columns(border)
    assert tail_inverse is not None
    return np.asarray(border @ tail_inverse)


def inverse_columns(
    factor: Factor, tail_inverse: FloatArray | None, block: int, levels: IntArray, wanted: int
) -> FloatArray:
    """Return V between some levels of one block and all levels of another, shape (m, S, S_w, q_w).

    Parameters
    ----------
    factor : Factor
        Factorization.
    tail_inverse : ndarray or None
        See :func:`solve_tail`.
    block : int
        The block whose columns are asked for.
    levels : ndarray, shape (m,)
        Its levels.
    wanted : int
        The other block.
    """
    pattern, S = factor.pattern, factor.pattern.blocks[block].size
    level, coefficient = np.repeat(levels, S), np.tile(np.arange(S), len(levels))
    border = np.zeros((len(level), pattern.n_tail + _n_fixed(factor)))
    score: dict[int, FloatArray] = {}
    # 1. The right-hand side, forwards through the chain.
    if block in pattern.tail:
        start = pattern.offsets[pattern.tail.index(block)]
        border[np.arange(len(level)), start + level * S + coefficient] = 1.0
    else:
        first = pattern.chain.index(block)
        score[first] = np.zeros((len(level), S, pattern.blocks[block].n_levels))
        score[first][np.arange(len(level)), coefficient, level] = 1.0
        _forward(factor, score, border)
    # 2. The tail, 3. backwards as far as the block that is wanted.
    x = solve_tail(factor, border, tail_inverse)
    if wanted in pattern.tail:
        b = x[:, pattern.tail_slice(pattern.tail.index(wanted))]
        b = b.reshape(len(x), -1, pattern.blocks[wanted].size).transpose(0, 2, 1)
    else:
        b = _backward(factor, score, x, pattern.chain.index(wanted))
    return b.reshape(len(levels), S, *b.shape[1:])


def _n_fixed(factor: Factor) -> int:
    return len(factor.tail.fixed_root())


def _forward(factor: Factor, score: dict[int, FloatArray], border: FloatArray) -> None:
    """Eliminate the chain from right-hand sides (m, S, q) by chain position and (m, n_tail + p), in place."""
    for j, step in enumerate(factor.steps):
        if j not in score:
            continue
        half = faces.apply(step.P, score[j])
        for k, link in step.links.items():
            q = factor.pattern.blocks[factor.pattern.chain[k]].n_levels
            update = faces.sum_by(faces.apply(link, half), factor.pattern.parents[j, k], q)
            score[k] = score.get(k, 0.0) - update
        border -= step.rest.times(half)


def _backward(factor: Factor, score: dict[int, FloatArray], x: FloatArray, last: int) -> FloatArray:
    """Return the effects of chain block `last`, shape (m, S, q), those after it found on the way."""
    b: dict[int, FloatArray] = {}
    for j in reversed(range(last, len(factor.steps))):
        step = factor.steps[j]
        s = score.get(j, 0.0) - step.rest.transposed_times(x)
        for k, link in step.links.items():
            s = s - faces.apply(faces.transposed(link), b[k][:, :, factor.pattern.parents[j, k]])
        b[j] = faces.apply(step.P, s)
    return b[last]
