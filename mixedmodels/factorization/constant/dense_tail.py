"""The tail as one dense matrix: crossed random effects and, below them, the fixed effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization import dense
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.kernels.congruence import congruence


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DenseTail:
    """Factored dense tail.

    Attributes
    ----------
    pattern : Pattern
        Order of elimination.
    factors : tuple of ndarray, each (S, S)
        T of each block of the pattern.
    schur : ndarray, shape (n_tail + p, n_tail + p)
        Raw tail after all eliminations, lower triangle.
    L : ndarray, shape (n_tail + p, n_tail + p)
        Lower Cholesky factor of the tail, its random effects scaled by Lambda and increased by I.
    log_det_random, log_det_fixed : float
        Log-determinants of the random and the fixed part.
    """

    pattern: Pattern
    factors: tuple[FloatArray, ...]
    schur: FloatArray
    L: FloatArray
    log_det_random: float
    log_det_fixed: float

    def solve(self, border: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return raw effects (b and gamma) and spherical ones (u and gamma) of a raw right-hand side."""
        z = border.copy()
        self._scale(z, tuple(T.T for T in self.factors))
        z = dense.solve(self.L, z)
        x = z.copy()
        self._scale(x, self.factors)
        return x, z

    def _scale(self, z: FloatArray, factors: Sequence[FloatArray]) -> None:
        for r, block in enumerate(self.pattern.tail):
            where = self.pattern.tail_slice(r)
            z[where] = scale_rows(z[where, None], factors[block])[:, 0]

    def remainder(self, border: FloatArray, x: FloatArray) -> FloatArray:
        """Return what raw effects x leave of the raw right-hand side."""
        return border - dense.multiply(self.schur, x)

    def penalized(self, r: int, u: FloatArray) -> FloatArray:
        """Return the prior precision of the effects of one tail block times them: these are spherical."""
        return u

    def fixed_root(self) -> FloatArray:
        """Return the lower Cholesky factor of the fixed part, shape (p, p)."""
        n_tail = self.pattern.n_tail
        return np.tril(self.L[n_tail:, n_tail:])

    def information(self, r: int) -> FloatArray:
        """Return the mean diagonal of the raw faces of one tail block, shape (S,)."""
        S = self.pattern.blocks[self.pattern.tail[r]].size
        return np.asarray(np.diagonal(self.schur)[self.pattern.tail_slice(r)].reshape(-1, S).mean(axis=0))

    def invert(self, fixed_effects: bool) -> DenseTailInverse:
        """Return ``Lambda Omega^-1 Lambda'`` and the diagonal faces of ``Omega^-1``."""
        order = len(self.L) if fixed_effects else self.pattern.n_tail
        V = dense.inverse(self.L, order)
        spherical = []
        for r, block in enumerate(self.pattern.tail):
            where, T = self.pattern.tail_slice(r), self.factors[block]
            spherical.append(dense.diagonal_faces(V, len(T), where))
            congruence(V, T.T, where.start, where.stop)
        return DenseTailInverse(self, V, tuple(spherical), order)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DenseTailInverse:
    """Inverse of a dense tail.

    Attributes
    ----------
    tail : DenseTail
        What was inverted.
    V : ndarray, shape (order, order)
        ``Lambda Omega^-1 Lambda'``, lower triangle; fixed effects held fixed are left out.
    spherical : tuple of ndarray, each (S, S, q)
        Diagonal faces of ``Omega^-1`` of each tail block.
    order : int
        Rows inverted: with or without the fixed effects.
    """

    tail: DenseTail
    V: FloatArray
    spherical: tuple[FloatArray, ...]
    order: int

    def covariances(self, r: int) -> FloatArray:
        """Return the faces of V of one tail block, shape (q, S, S), known relationships applied."""
        pattern = self.tail.pattern
        block, where = pattern.blocks[pattern.tail[r]], pattern.tail_slice(r)
        if block.relationship is None:
            return dense.diagonal_faces(self.V, block.size, where).transpose(2, 0, 1)
        q, S = block.n_levels, block.size
        V = dense.mirror(self.V)[where, where].reshape(q, S, q, S)
        half = np.einsum("lk,kamb->lamb", block.relationship, V)
        return np.asarray(np.einsum("lamb,lm->lab", half, block.relationship))

    def singular_trace(self, r: int) -> FloatArray:
        """Return ``sum_l [A Lambda Omega^-1]_ll`` of one tail block, without dividing by T."""
        tail, pattern = self.tail, self.tail.pattern
        where, S = pattern.tail_slice(r), pattern.blocks[pattern.tail[r]].size
        columns = np.zeros((len(tail.L), where.stop - where.start))
        columns[where] = np.eye(where.stop - where.start)
        columns[: self.order] = dense.solve(tail.L[: self.order, : self.order], columns[: self.order])
        for s, block in enumerate(pattern.tail):
            rows = pattern.tail_slice(s)
            columns[rows] = scale_rows(columns[rows], tail.factors[block])
        product = dense.mirror(tail.schur)[where] @ columns
        return np.array([[np.einsum("ll->", product[a::S, b::S]) for b in range(S)] for a in range(S)])


def factor_dense_tail(pattern: Pattern, schur: FloatArray, factors: Sequence[FloatArray]) -> DenseTail:
    """Factor ``Lambda' tail Lambda + I`` (identity on random effects only)."""
    scaled = schur.copy()
    for r, block in enumerate(pattern.tail):
        where = pattern.tail_slice(r)
        congruence(scaled, factors[block], where.start, where.stop)
    n_tail = pattern.n_tail
    np.einsum("ii->i", scaled)[:n_tail] += 1.0
    L = dense.cholesky(scaled)
    logs = 2.0 * np.log(np.diagonal(L))
    return DenseTail(
        pattern, tuple(factors), schur, L, float(logs[:n_tail].sum()), float(logs[n_tail:].sum())
    )


def scale_rows(rows: FloatArray, M: FloatArray) -> FloatArray:
    """Multiply each group of S rows by the S x S matrix M; rows of shape (q S, m)."""
    S = len(M)
    if S == 1:
        return np.asarray(rows * M[0, 0])
    return np.asarray(np.matmul(M, rows.reshape(-1, S, rows.shape[1])).reshape(rows.shape))
