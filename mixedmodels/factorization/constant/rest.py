"""The rows below an eliminated block: the tail's random effects E and the fixed effects X against its levels.

An evaluation needs ``[E; X] P [E; X]'`` to eliminate the block and ``[E; X]_l' V [E; X]_l`` to differentiate.
Four representations do the same, each where it is cheapest:

* :class:`FixedRest`   no random effects in the tail;
* :class:`~mixedmodels.factorization.constant.dense_rest.DenseRest`   most of E is not zero: dense rows;
* :class:`~mixedmodels.factorization.constant.sparse_rest.SparseRest`   most of E is zero;
* :class:`~mixedmodels.factorization.constant.sparse_tail_rest.SparseTailRest`   the tail is sparse too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization import dense
from mixedmodels.kernels import faces


class Rest(Protocol):
    """Rows of the tail and of the fixed effects against the levels of one eliminated block.

    V, where it is a dense array, leaves out fixed effects that are held fixed.

    The tail, and V on it, is a dense array or a
    :class:`~mixedmodels.factorization.constant.sparse_tail_matrix.SparseMatrix`, whichever the rows were made
    for.
    """

    def subtract_schur(self, tail: Any, Y: FloatArray, P: FloatArray) -> None:
        """Subtract ``[E; X] P [E; X]'``, ``P = Y'Y``, from the lower triangle of the tail, in place."""

    def sandwich(self, V: Any) -> FloatArray:
        """Return ``[E; X]_l' V [E; X]_l`` for every level, shape (S, S, q), from the lower triangle of V."""

    def times(self, v: FloatArray) -> FloatArray:
        """Return ``[E; X] v``, shape (m, n_tail + p), for m columns v of shape (m, S, q)."""

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """Return ``[E; X]'x``, shape (m, S, q), for m columns x of shape (m, n_tail + p)."""

    def sampled_product(self, V: Any) -> tuple[FloatArray, FloatArray]:
        """Return ``[E; X]'V`` at the entries of E, shape (S, nnz), and at X, shape (p, S, q)."""

    def lifted(self, inner: Any, link_P: FloatArray, parent: IntArray, lift: IntArray) -> Self:
        """Return the rows after the elimination of a block nested in this one.

        Parameters
        ----------
        inner : Rest
            Rows below the eliminated block, of the same kind.
        link_P : ndarray, shape (S, S_inner, q_inner)
            This block against the eliminated one, times P.
        parent : ndarray, shape (q_inner,)
            Level of this block each level of the eliminated one lies in.
        lift : ndarray, shape (nnz_inner,)
            Entry here of each entry there.
        """

    def along(self, at_entries: FloatArray, at_X: FloatArray) -> FloatArray:
        """Return ``V_l [E; X]_l`` for rows V known only where E and X are, shape (K, S, q).

        Parameters
        ----------
        at_entries : ndarray, shape (K, nnz)
            K rows of V at each entry of E.
        at_X : ndarray, shape (p, K, q)
            The same at the fixed effects, level by level.
        """

    def entry_values(self) -> FloatArray:
        """Return the entries of E, shape (S, nnz)."""

    def with_fixed(self, XZ: FloatArray) -> Self:
        """Return the rows with other fixed effects, shape (p, S, q)."""

    @property
    def kind(self) -> str:
        """How the rows are kept, for people."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FixedRest:
    """Fixed effects only.

    Attributes
    ----------
    XZ : ndarray, shape (p, S, q)
        Fixed effects against the levels.
    """

    XZ: FloatArray

    def subtract_schur(self, tail: FloatArray, Y: FloatArray, P: FloatArray) -> None:
        """See :class:`Rest`."""
        p = len(self.XZ)
        if p:
            tail -= faces.right_product(self.XZ, P).reshape(p, -1) @ self.XZ.reshape(p, -1).T

    def sandwich(self, V: FloatArray) -> FloatArray:
        """See :class:`Rest`."""
        _, S, q = self.XZ.shape
        return faces.cross_gram(self._times(V), self.XZ) if len(V) else np.zeros((S, S, q))

    def times(self, v: FloatArray) -> FloatArray:
        """See :class:`Rest`."""
        return np.asarray(v.reshape(len(v), -1) @ self.XZ.reshape(len(self.XZ), v[0].size).T)

    def transposed_times(self, x: FloatArray) -> FloatArray:
        """See :class:`Rest`."""
        p, S, q = self.XZ.shape
        return np.asarray((x @ self.XZ.reshape(p, S * q)).reshape(len(x), S, q))

    def sampled_product(self, V: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``[E; X]'V`` at the entries of E (none here) and at X, shape (p, S, q)."""
        at_X = self._times(V) if len(V) else np.zeros(self.XZ.shape)
        return np.empty((self.XZ.shape[1], 0)), at_X

    def _times(self, V: FloatArray) -> FloatArray:
        """Return ``V X``, shape (p, S, q)."""
        return np.asarray((dense.mirror(V) @ self.XZ.reshape(len(V), -1)).reshape(self.XZ.shape))

    def lifted(self, inner: Self, link_P: FloatArray, parent: IntArray, lift: IntArray) -> FixedRest:
        """See :class:`Rest`."""
        return FixedRest(lifted_fixed(self.XZ, inner.XZ, link_P, parent))

    def along(self, at_entries: FloatArray, at_X: FloatArray) -> FloatArray:
        """See :class:`Rest`."""
        return along_fixed(self.XZ, at_X)

    def entry_values(self) -> FloatArray:
        """Return the entries of E, of which there are none."""
        return np.empty((self.XZ.shape[1], 0))

    def with_fixed(self, XZ: FloatArray) -> FixedRest:
        """See :class:`Rest`."""
        return FixedRest(XZ)

    @property
    def kind(self) -> str:
        """How the rows are kept, for people."""
        return "nothing crosses it"


def lifted_fixed(XZ: FloatArray, inner: FloatArray, link_P: FloatArray, parent: IntArray) -> FloatArray:
    """Return fixed effects against the levels of a block after eliminating one nested in it."""
    update = faces.right_product(inner, faces.transposed(link_P))
    return np.asarray(XZ - faces.sum_by(update, parent, XZ.shape[2]))


def along_fixed(XZ: FloatArray, at_X: FloatArray) -> FloatArray:
    """Return what fixed effects add to ``V_l [E; X]_l``, shape (K, S, q)."""
    return np.asarray(np.einsum("pkl,pjl->kjl", at_X, XZ))
