"""The rows below an eliminated block where most are nonzero: one dense array."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization import dense
from mixedmodels.factorization.constant.rest import along_fixed
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.kernels import faces


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DenseRest:
    """All rows as one dense array.

    Attributes
    ----------
    rows : ndarray, shape (q, S, n_tail + p)
        ``[E; X]'`` level by level.
    coupling : Coupling
        Pattern of E, to sample products on.
    n_tail : int
        Random effects in the tail.
    """

    rows: FloatArray
    coupling: Coupling
    n_tail: int

    def subtract_schur(self, tail: FloatArray, Y: FloatArray, P: FloatArray) -> None:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        half = np.matmul(Y.transpose(2, 0, 1), self.rows).reshape(-1, len(tail))
        tail -= half.T @ half

    def sandwich(self, V: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        half = self._times(V)
        rows = self.rows[:, :, : len(V)]
        return np.ascontiguousarray(np.matmul(half, rows.transpose(0, 2, 1)).transpose(1, 2, 0))

    def times(self, v: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return np.asarray(
            v.transpose(0, 2, 1).reshape(len(v), -1) @ self.rows.reshape(-1, self.rows.shape[2])
        )

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        q, S, width = self.rows.shape
        return np.asarray((x @ self.rows.reshape(-1, width).T).reshape(len(x), q, S).transpose(0, 2, 1))

    def sampled_product(self, V: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``[E; X]'V`` at the entries of E, shape (S, nnz), and at X, shape (p, S, q)."""
        product = np.zeros(self.rows.shape)
        product[:, :, : len(V)] = self._times(V)
        at_entries = product[self.coupling.columns, :, self.coupling.rows].T
        return at_entries, product[:, :, self.n_tail :].transpose(2, 1, 0)

    def _times(self, V: FloatArray) -> FloatArray:
        """Return ``[E; X]'V``, shape (q, S, len(V)), as one product of matrices."""
        q, S, width = self.rows.shape
        rows = self.rows.reshape(q * S, width)[:, : len(V)]
        return np.asarray((rows @ dense.mirror(V)).reshape(q, S, len(V)))

    def lifted(self, inner: Self, link_P: FloatArray, parent: IntArray, lift: IntArray) -> DenseRest:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        rows = self.rows.copy()
        np.subtract.at(rows, parent, np.matmul(link_P.transpose(2, 0, 1), inner.rows))
        return DenseRest(rows, self.coupling, self.n_tail)

    def along(self, at_entries: FloatArray, at_X: FloatArray) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        q, S, _ = self.rows.shape
        products = at_entries[:, None] * self.entry_values()
        sums = faces.sum_by(products.reshape(len(at_entries), S, -1), self.coupling.columns, q)
        return sums + along_fixed(self.rows[:, :, self.n_tail :].transpose(2, 1, 0), at_X)

    def entry_values(self) -> FloatArray:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        return np.ascontiguousarray(self.rows[self.coupling.columns, :, self.coupling.rows].T)

    def with_fixed(self, XZ: FloatArray) -> DenseRest:
        """See :class:`~mixedmodels.factorization.constant.rest.Rest`."""
        rows = np.concatenate([self.rows[:, :, : self.n_tail], XZ.transpose(2, 1, 0)], axis=2)
        return replace(self, rows=rows)

    @property
    def kind(self) -> str:
        """How the rows are kept, for people."""
        return "dense rows"
