"""The tail as a block-tridiagonal matrix with the fixed effects as border: scalar terms only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dtrsm

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization import dense
from mixedmodels.factorization.banded import BandedMatrix
from mixedmodels.factorization.pattern import Pattern


@dataclass(frozen=True, slots=True)
class BandedTail:
    """Factored block-tridiagonal tail.

    Attributes
    ----------
    pattern : Pattern
        Order of elimination.
    scale : ndarray, shape (n_tail,)
        The scalar T of each row, by position.
    raw : BandedMatrix
        Raw tail after all eliminations.
    diagonal, below : tuple of ndarray
        Blocks of the lower Cholesky factor.
    across : tuple of ndarray, each (p, b)
        Rows of the factor that belong to the fixed effects.
    root : ndarray, shape (p, p)
        Cholesky factor of the fixed part.
    log_det_random, log_det_fixed : float
        Log-determinants of the random and the fixed part.
    """

    pattern: Pattern
    scale: FloatArray
    raw: BandedMatrix
    diagonal: tuple[FloatArray, ...]
    below: tuple[FloatArray, ...]
    across: tuple[FloatArray, ...]
    root: FloatArray
    log_det_random: float
    log_det_fixed: float

    def solve(self, border: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return raw effects (b and gamma) and spherical ones (u and gamma) of a raw right-hand side."""
        layout, n = self.raw.layout, len(self.scale)
        z = border[:n][layout.order] * self.scale
        fixed = border[n:].copy()
        pieces = np.split(z, layout.starts[1:-1])
        for k, L in enumerate(self.diagonal):
            if k:
                pieces[k] = pieces[k] - self.below[k - 1] @ pieces[k - 1]
            pieces[k] = _forward(L, pieces[k])
            fixed -= self.across[k] @ pieces[k]
        fixed = dense.solve(self.root, fixed)
        for k in reversed(range(len(pieces))):
            piece = pieces[k] - self.across[k].T @ fixed
            if k + 1 < len(pieces):
                piece -= self.below[k].T @ pieces[k + 1]
            pieces[k] = _backward(self.diagonal[k], piece)
        u = np.concatenate(pieces)
        return (
            np.concatenate(((self.scale * u)[layout.position], fixed)),
            np.concatenate((u[layout.position], fixed)),
        )

    def remainder(self, border: FloatArray, x: FloatArray) -> FloatArray:
        """Return what raw effects x leave of the raw right-hand side."""
        layout, n = self.raw.layout, len(self.scale)
        fitted = self.raw.multiply(np.concatenate((x[:n][layout.order], x[n:])))
        return border - np.concatenate((fitted[:n][layout.position], fitted[n:]))

    def fixed_root(self) -> FloatArray:
        """Return the lower Cholesky factor of the fixed part, shape (p, p)."""
        return np.tril(self.root)

    def information(self, r: int) -> FloatArray:
        """Return the mean diagonal of the raw tail over one tail block, shape (1,)."""
        diagonal = self.raw.diagonal()[self.raw.layout.position]
        return np.array([diagonal[self.pattern.tail_slice(r)].mean()])

    def invert(self, fixed_effects: bool) -> BandedTailInverse:
        """Return ``Lambda Omega^-1 Lambda'`` on the blocks, by Takahashi's recursion."""
        layout, p = self.raw.layout, len(self.root)
        buffer, across = np.zeros(layout.size), np.zeros((p, len(self.scale)))
        fixed = dense.mirror(dense.inverse(self.root, p)) if fixed_effects else np.zeros((p, p))
        omega = np.empty(len(self.scale))
        V_next = fixed
        for k in reversed(range(layout.n_blocks)):
            here = slice(int(layout.starts[k]), int(layout.starts[k + 1]))
            rows = [self.across[k]] if k + 1 == layout.n_blocks else [self.below[k], self.across[k]]
            L = self.diagonal[k]
            H = np.asarray(dtrsm(1.0, L.T, np.vstack(rows).T, side=0, lower=0)).T
            VH = V_next @ H
            V = dense.mirror(dense.inverse(L, len(L))) + H.T @ VH
            t = self.scale[here]
            omega[here] = np.diagonal(V)
            layout.diagonal(buffer, k)[:] = V * np.multiply.outer(t, t)
            across[:, here] = -VH[len(VH) - p :] * t
            if k + 1 < layout.n_blocks:
                t_next = self.scale[here.stop : int(layout.starts[k + 2])]
                layout.below(buffer, k)[:] = -VH[: len(VH) - p] * np.multiply.outer(t_next, t)
            border = -VH[len(VH) - p :]
            V_next = np.block([[V, border.T], [border, fixed]])
        V_all = BandedMatrix(layout, buffer, across, fixed)
        by_row = omega[layout.position]
        slices = [self.pattern.tail_slice(r) for r in range(len(self.pattern.tail))]
        return BandedTailInverse(self, V_all, tuple(by_row[None, None, where] for where in slices))


@dataclass(frozen=True, slots=True)
class BandedTailInverse:
    """Inverse of a block-tridiagonal tail, on its blocks.

    Attributes
    ----------
    tail : BandedTail
        What was inverted.
    V : BandedMatrix
        ``Lambda Omega^-1 Lambda'``; the border is zero where fixed effects are held fixed.
    spherical : tuple of ndarray, each (1, 1, q)
        Diagonal of ``Omega^-1`` of each tail block.
    """

    tail: BandedTail
    V: BandedMatrix
    spherical: tuple[FloatArray, ...]

    def covariances(self, r: int) -> FloatArray:
        """Return the diagonal of V of one tail block, shape (q, 1, 1)."""
        by_row = self.V.diagonal()[self.V.layout.position]
        return np.asarray(by_row[self.tail.pattern.tail_slice(r)][:, None, None])

    def singular_trace(self, r: int) -> FloatArray:
        """Return ``sum_l [A Lambda Omega^-1]_ll``: ``(q - sum_l Omega^-1_ll) / t``, and 0 at t = 0."""
        t = float(self.tail.scale[self.tail.raw.layout.position[self.tail.pattern.offsets[r]]])
        omega = self.spherical[r]
        return np.array([[0.0 if t == 0.0 else float((1.0 - omega).sum()) / t]])


def factor_banded_tail(pattern: Pattern, raw: BandedMatrix, factors: Sequence[FloatArray]) -> BandedTail:
    """Factor ``Lambda' tail Lambda + I`` (identity on random effects only)."""
    layout, p = raw.layout, len(raw.fixed)
    by_row = np.empty(pattern.n_tail)
    for r, block in enumerate(pattern.tail):
        by_row[pattern.tail_slice(r)] = factors[block][0, 0]
    t = by_row[layout.order]
    diagonal: list[FloatArray] = []
    below: list[FloatArray] = []
    across: list[FloatArray] = []
    fixed, log_det = raw.fixed.copy(), 0.0
    for k in range(layout.n_blocks):
        here = slice(int(layout.starts[k]), int(layout.starts[k + 1]))
        D = layout.diagonal(raw.buffer, k) * np.multiply.outer(t[here], t[here])
        np.einsum("ii->i", D)[:] += 1.0
        border = raw.across[:, here] * t[here]
        if k:
            D -= below[-1] @ below[-1].T
            border = border - across[-1] @ below[-1].T
        L = np.tril(dense.cholesky(D))
        log_det += 2.0 * float(np.log(np.diagonal(L)).sum())
        diagonal.append(L)
        across.append(_right_solve(L, border) if p else border)
        fixed -= across[-1] @ across[-1].T
        if k + 1 < layout.n_blocks:
            t_next = t[here.stop : int(layout.starts[k + 2])]
            C = layout.below(raw.buffer, k) * np.multiply.outer(t_next, t[here])
            below.append(_right_solve(L, C))
    root = dense.cholesky(fixed)
    log_det_fixed = 2.0 * float(np.log(np.diagonal(root)).sum())
    return BandedTail(
        pattern, t, raw, tuple(diagonal), tuple(below), tuple(across), root, log_det, log_det_fixed
    )


def _right_solve(L: FloatArray, rows: FloatArray) -> FloatArray:
    """Return ``rows L^-T``."""
    return np.asarray(dtrsm(1.0, L.T, rows.T, side=0, lower=0, trans_a=1)).T


def _forward(L: FloatArray, v: FloatArray) -> FloatArray:
    """Return ``L^-1 v``."""
    return np.asarray(dtrsm(1.0, L.T, v[:, None], side=0, lower=0, trans_a=1))[:, 0]


def _backward(L: FloatArray, v: FloatArray) -> FloatArray:
    """Return ``L^-T v``."""
    return np.asarray(dtrsm(1.0, L.T, v[:, None], side=0, lower=0))[:, 0]
