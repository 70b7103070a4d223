"""The tail as a sparse matrix: crossed random effects that rarely meet, and below them the fixed effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization.constant.penalty import weighted_trace
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.factorization.sparse.cholesky import (
    factor_fronts,
    invert_fronts,
    solve_fronts,
    solve_fronts_columns,
)
from mixedmodels.factorization.threads import threads_for
from mixedmodels.kernels import faces


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SparseTail:
    """Factored sparse tail.

    Attributes
    ----------
    pattern : Pattern
        Order of elimination.
    factors : tuple of ndarray, each (S, S)
        T of each block of the tail.
    raw : SparseMatrix
        Raw tail after all eliminations.
    panels : ndarray, shape (fronts.size,)
        Cholesky factor, front by front.
    log_det_random, log_det_fixed : float
        Log-determinants of the random and the fixed part.
    """

    pattern: Pattern
    factors: tuple[FloatArray, ...]
    raw: SparseMatrix
    panels: FloatArray
    log_det_random: float
    log_det_fixed: float

    def solve(self, border: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return raw effects (b and gamma) and those before T (u and gamma) of a raw right-hand side."""
        position = self.raw.layout.fronts.position
        z = np.empty_like(border)
        z[position] = self._scaled(border, transposed=True)
        with threads_for(self.raw.layout.fronts.typical):
            u = solve_fronts(self.raw.layout.fronts, self.panels, z)[position]
        return self._scaled(u, transposed=False), u

    def solve_columns(self, borders: FloatArray) -> FloatArray:
        """Return raw effects (b and gamma) of several raw right-hand sides, shape (m, n_tail + p)."""
        position = self.raw.layout.fronts.position
        z = np.empty(borders.shape[::-1])
        z[position] = np.stack([self._scaled(row, transposed=True) for row in borders], axis=1)
        with threads_for(self.raw.layout.fronts.typical):
            u = solve_fronts_columns(self.raw.layout.fronts, self.panels, z)[position]
        return np.stack([self._scaled(column, transposed=False) for column in u.T])

    def _scaled(self, x: FloatArray, *, transposed: bool) -> FloatArray:
        """Return Lambda, or its transpose, times x."""
        out = x.copy()
        for r, T in enumerate(self.factors):
            where = self.pattern.tail_slice(r)
            # Levels lie in rows, so multiplying from the right by T applies T'.
            out[where] = (x[where].reshape(-1, len(T)) @ (T if transposed else T.T)).ravel()
        return out

    def remainder(self, border: FloatArray, x: FloatArray) -> FloatArray:
        """Return what raw effects x leave of the raw right-hand side."""
        return border - self.raw.multiply(x)

    def penalized(self, r: int, u: FloatArray) -> FloatArray:
        """Return the prior precision of the effects of one tail block times them, shape (S, q)."""
        penalty = self.raw.layout.penalty
        return u if penalty is None else penalty.times(r, u)

    def fixed_root(self) -> FloatArray:
        """Return the lower Cholesky factor of the fixed part, shape (p, p)."""
        return np.tril(self.panels[self.raw.layout.fixed_slots])

    def information(self, r: int) -> FloatArray:
        """Return the mean diagonal of the raw faces of one tail block, shape (S,)."""
        return np.asarray(np.einsum("iil->il", self.raw.diagonal_faces(r)).mean(axis=1))

    def invert(self, fixed_effects: bool) -> SparseTailInverse:
        """Return ``Omega^-1`` and ``Lambda Omega^-1 Lambda'`` on the pattern of the tail."""
        layout, p = self.raw.layout, len(self.raw.fixed)
        held = None if fixed_effects or not p else np.zeros((p, p))
        with threads_for(layout.fronts.typical):
            panels = invert_fronts(layout.fronts, self.panels, held)
        omega = SparseMatrix(
            layout, panels[layout.slots], panels[layout.across_slots], panels[layout.fixed_slots]
        )
        return SparseTailInverse(self, omega, omega.scaled([T.T for T in self.factors]))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SparseTailInverse:
    """Inverse of a sparse tail, on its pattern.

    Attributes
    ----------
    tail : SparseTail
        What was inverted.
    omega : SparseMatrix
        ``Omega^-1``; the border is zero where fixed effects are held fixed.
    V : SparseMatrix
        ``Lambda Omega^-1 Lambda'``.
    """

    tail: SparseTail
    omega: SparseMatrix
    V: SparseMatrix

    @property
    def spherical(self) -> tuple[FloatArray, ...]:
        """Conditional variances of the effects over their prior ones, by tail block, each (S, S, q).

        Diagonal faces of ``Omega^-1``, or of ``(Q (x) I) Omega^-1`` where levels are related.
        """
        return tuple(self._over_prior(r) for r in range(len(self.tail.factors)))

    def _over_prior(self, r: int) -> FloatArray:
        layout, faces_of = self.omega.layout, self.omega.faces
        penalty = layout.penalty
        if penalty is None or penalty.precisions[r] is None:
            return self.omega.diagonal_faces(r)
        own = [piece for piece in layout.pieces if piece.blocks == (r, r)]
        where = self.tail.pattern.tail_slice(r)
        S, q = own[0].shape[0], own[0].shape[2]
        pairs = []
        for piece in own:
            Q = penalty.values[piece.where].reshape(piece.shape)[0, 0]
            rows, columns = (
                at[piece.where].reshape(piece.shape)[0, 0] for at in (layout.rows, layout.columns)
            )
            pairs.append((Q, faces_of(piece), (rows - where.start) // S, (columns - where.start) // S))
        return weighted_trace(pairs, q)

    def covariances(self, r: int) -> FloatArray:
        """Return the faces of V of one tail block, shape (q, S, S)."""
        return np.ascontiguousarray(self.V.diagonal_faces(r).transpose(2, 0, 1))

    def singular_trace(self, r: int) -> FloatArray:
        """Return ``sum_l [A Lambda Omega^-1]_ll`` of one tail block, without dividing by T.

        Both A and the selected inverse are on the pattern, so this needs no solve.
        """
        raw, factors, S = self.tail.raw, self.tail.factors, len(self.tail.factors[r])
        where = self.tail.pattern.tail_slice(r)
        across, omega_across = raw.across[:, where], self.omega.across[:, where]
        trace = across.reshape(-1, S).T @ omega_across.reshape(-1, S)
        for piece in raw.layout.pieces:
            A, inverse = raw.faces(piece), self.omega.faces(piece)
            if piece.blocks[0] == r:
                trace += _trace(A, factors[piece.blocks[1]], inverse)
            if piece.blocks[1] == r and not piece.is_diagonal:
                trace += _trace(faces.transposed(A), factors[piece.blocks[0]], faces.transposed(inverse))
        return np.asarray(trace)


def _trace(A: FloatArray, T: FloatArray, inverse: FloatArray) -> FloatArray:
    """Return ``sum_l A_l T inverse_l'``."""
    half = np.tensordot(T.T, inverse, axes=(0, 1)).transpose(1, 0, 2)
    return np.asarray(np.tensordot(A, half, axes=([1, 2], [1, 2])))


def factor_sparse_tail(pattern: Pattern, raw: SparseMatrix, factors: Sequence[FloatArray]) -> SparseTail:
    """Factor ``Lambda' tail Lambda + I`` (on random effects only; Q where levels are related).

    Raises
    ------
    numpy.linalg.LinAlgError
        If the system is not positive definite.
    """
    raw.mirror_faces()
    layout = raw.layout
    T = tuple(factors[block] for block in pattern.tail)
    scaled = raw.scaled(T)
    if layout.penalty is None:
        for r in range(len(T)):
            faces.add_identity(scaled.diagonal_faces(r))
    else:
        np.add(scaled.values, layout.penalty.values, out=scaled.values)
    panels = np.zeros(layout.fronts.size)
    panels[layout.slots] = scaled.values
    panels[layout.across_slots] = scaled.across
    panels[layout.fixed_slots] = scaled.fixed
    with threads_for(layout.fronts.typical):
        factor_fronts(layout.fronts, panels)
    logs = 2.0 * np.log(panels[layout.diagonal_slots])
    n_tail = layout.n_tail
    log_det = float(logs[:n_tail].sum()) - (0.0 if layout.penalty is None else layout.penalty.log_det)
    return SparseTail(pattern, T, raw, panels, log_det, float(logs[n_tail:].sum()))
