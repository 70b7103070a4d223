"""A tall matrix kept by pieces of its columns: those of a factor by its codes, one table row a level.

A factor of L levels has L columns or so, of which each row knows all from its level. Sums over the rows of a
level, formed once, give every product with them: nothing of size rows times columns is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
from scipy.linalg.lapack import dpotrf

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IntArray
from mixedmodels.kernels.level_products import MAX_FIXED, unit_cholesky
from mixedmodels.level_sums import level_sums

#: Columns from which codes are made NumPy's own integers once, not once for each.
MANY_COLUMNS = 20


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CodedColumns:
    """Columns ``diag(v) T[codes]``: those of a term with factors.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Level, or combination of levels, of each row.
    table : ndarray, shape (L, k)
        T, the columns at each level.
    values : ndarray, shape (n,), or None
        v, the product of the term's numbers; None means 1.
    """

    codes: CodeArray | IntArray
    table: FloatArray
    values: FloatArray | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.codes), self.table.shape[1]

    @property
    def n_levels(self) -> int:
        """Rows of the table, L."""
        return len(self.table)

    def dense(self) -> FloatArray:
        """Return the columns, shape (n, k)."""
        columns = np.empty(self.shape, order="F")
        for j, column in enumerate(self.table.T):
            np.take(column, self.codes, out=columns[:, j])
            if self.values is not None:
                columns[:, j] *= self.values
        return columns

    def largest(self) -> FloatArray:
        """Return for each column a number that no absolute value in it exceeds."""
        values = np.ones(1) if self.values is None else self.values
        largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
        return np.asarray(largest * np.abs(self.table).max(axis=0, initial=0.0))

    def times(self, beta: FloatArray) -> FloatArray:
        """Return the product with a vector or matrix."""
        found = np.take(self.table @ beta, self.codes, axis=0)
        if self.values is not None:
            found *= _beside(self.values, found)
        return np.asarray(found)

    def sums(self, column: FloatArray | None) -> FloatArray:
        """Return the sums of ``v column`` over the rows of each level, shape (L,)."""
        return level_sums(self.codes, _product(self.values, column), self.n_levels)

    def sums_by(self, codes: CodeArray | IntArray, n_levels: int, column: FloatArray | None) -> FloatArray:
        """Return the sums of ``v column`` over the rows of each pair of levels, shape (L, n_levels)."""
        both = self.codes * np.intp(n_levels)
        both += codes
        found = np.bincount(both, _product(self.values, column), self.n_levels * n_levels)
        return found.astype(np.float64, copy=False).reshape(self.n_levels, n_levels)


Piece: TypeAlias = FloatArray | CodedColumns


@dataclass(frozen=True, eq=False)
class ColumnMatrix:
    """A matrix of n rows and p columns in pieces.

    Attributes
    ----------
    pieces : tuple of ndarray, each (n, k), or CodedColumns
        The columns in their order.
    n_rows : int
        Number of rows, n.
    """

    pieces: tuple[Piece, ...]
    n_rows: int

    @classmethod
    def of(cls, X: FloatArray | ColumnMatrix) -> ColumnMatrix:
        """Return a matrix in pieces: an array as one."""
        return X if isinstance(X, ColumnMatrix) else cls((X,), len(X))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        if len(self.pieces) == 1:
            return self.n_rows, self.pieces[0].shape[1]
        return self.n_rows, sum(piece.shape[1] for piece in self.pieces)

    def __len__(self) -> int:
        return self.n_rows

    @cached_property
    def dense(self) -> FloatArray:
        """The matrix as one array, shape (n, p), columns contiguous."""
        arrays = [_dense(piece) for piece in self.pieces]
        if len(arrays) == 1:
            return arrays[0]
        X = np.empty(self.shape, order="F")
        for where, array in zip(self._places(), arrays, strict=True):
            X[:, where] = array
        return X

    @cached_property
    def gram(self) -> FloatArray:
        """``X'X``, shape (p, p)."""
        if len(self.pieces) == 1 and isinstance(self.pieces[0], np.ndarray):
            return np.asarray(self.pieces[0].T.dot(self.pieces[0]))
        places, p = self._places(), self.shape[1]
        gram = np.empty((p, p))
        for i, first in enumerate(self.pieces):
            for j, second in enumerate(self.pieces[: i + 1]):
                product = _cross(first, second)
                if i == j:  # symmetric to the last digit
                    product = 0.5 * (product + product.T)
                gram[places[i], places[j]] = product
                gram[places[j], places[i]] = product.T
        return gram

    @cached_property
    def unit_cholesky(self) -> tuple[FloatArray, FloatArray | None]:
        """Lengths of the columns, and upper triangular R with ``R'R`` the products of columns of length one.

        R is None where the columns depend on each other, or one is zero.
        """
        if len(self.pieces) == 1 and isinstance(self.pieces[0], np.ndarray) and self.shape[1] <= MAX_FIXED:
            return unit_cholesky(self.pieces[0])
        gram = self.gram
        lengths = np.sqrt(gram.diagonal())
        if not lengths.all():
            return lengths, None
        R, info = dpotrf(gram / (lengths[:, None] * lengths), lower=0, clean=1)
        return lengths, R if info == 0 else None

    def __matmul__(self, beta: FloatArray) -> FloatArray:
        """Return ``X beta``, shape (n,) or (n, k)."""
        if len(self.pieces) == 1 and isinstance(self.pieces[0], np.ndarray):
            return np.asarray(self.pieces[0].dot(beta))
        total = np.zeros((self.n_rows, *beta.shape[1:]))
        for where, piece in zip(self._places(), self.pieces, strict=True):
            part = beta[where]
            total += piece.dot(part) if isinstance(piece, np.ndarray) else piece.times(part)
        return total

    def transposed_times(self, e: FloatArray) -> FloatArray:
        """Return ``X'e``, shape (p,)."""
        if len(self.pieces) == 1 and isinstance(self.pieces[0], np.ndarray):
            return np.asarray(self.pieces[0].T.dot(e))
        return np.concatenate([np.empty(0), *(_against(piece, e) for piece in self.pieces)])

    def sums_by(self, codes: CodeArray | IntArray, n_levels: int, column: FloatArray | None) -> FloatArray:
        """Return ``X'z`` by level, shape (p, n_levels); z is `column`, None means 1."""
        sums = np.empty((self.shape[1], n_levels))
        if self.shape[1] > MANY_COLUMNS:
            codes = codes.astype(np.intp, copy=False)
        for where, piece in zip(self._places(), self.pieces, strict=True):
            if isinstance(piece, CodedColumns):
                sums[where] = piece.table.T @ piece.sums_by(codes, n_levels, column)
            else:
                for row, x in zip(sums[where], piece.T, strict=True):
                    row[:] = level_sums(codes, _product(x, column), n_levels)
        return sums

    def scaled(self, weights: FloatArray) -> ColumnMatrix:
        """Return ``diag(weights) X``."""
        pieces: list[Piece] = []
        for piece in self.pieces:
            if isinstance(piece, CodedColumns):
                pieces.append(CodedColumns(piece.codes, piece.table, _product(piece.values, weights)))
            else:
                pieces.append(piece * weights[:, None])
        return ColumnMatrix(tuple(pieces), self.n_rows)

    def take(self, columns: Sequence[int] | IntArray) -> ColumnMatrix:
        """Return some of the columns, in increasing order."""
        chosen, pieces = np.asarray(columns, dtype=np.intp), list[Piece]()
        for where, piece in zip(self._places(), self.pieces, strict=True):
            own = chosen[(chosen >= where.start) & (chosen < where.stop)] - where.start
            if len(own) == 0:
                continue
            if isinstance(piece, CodedColumns):
                pieces.append(CodedColumns(piece.codes, piece.table[:, own], piece.values))
            else:
                pieces.append(np.asfortranarray(piece[:, own]))
        return ColumnMatrix(tuple(pieces) or (np.empty((self.n_rows, 0)),), self.n_rows)

    def at(self, rows: IntArray | BoolArray | slice) -> ColumnMatrix:
        """Return some of the rows."""
        pieces: list[Piece] = []
        codings: dict[int, CodeArray | IntArray] = {}  # codes that pieces share, they go on sharing
        for piece in self.pieces:
            if isinstance(piece, CodedColumns):
                codes = codings.setdefault(id(piece.codes), piece.codes[rows])
                values = None if piece.values is None else piece.values[rows]
                pieces.append(CodedColumns(codes, piece.table, values))
            else:
                pieces.append(piece[rows])
        return ColumnMatrix(tuple(pieces), pieces[0].shape[0])

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> FloatArray:
        """Return some of the rows as an array."""
        return self.at(rows).dense

    def _places(self) -> list[slice]:
        """Return the columns of each piece."""
        ends = accumulate((piece.shape[1] for piece in self.pieces), initial=0)
        return [slice(a, b) for a, b in pairwise(ends)]

    def __getstate__(self) -> dict[str, object]:
        """Return the pieces: what follows from them is made again."""
        return {"pieces": self.pieces, "n_rows": self.n_rows}


def _dense(piece: Piece) -> FloatArray:
    """Return a piece as an array."""
    return piece.dense() if isinstance(piece, CodedColumns) else piece


def _product(first: FloatArray | None, second: FloatArray | None) -> FloatArray | None:
    """Return the product of two columns, of which None is all ones."""
    if first is None or second is None:
        return second if first is None else first
    return first * second


def _beside(values: FloatArray, table: FloatArray) -> FloatArray:
    """Return one number a row in the shape that multiplies the rows of a table."""
    return values.reshape(-1, *(1,) * (table.ndim - 1))


def _against(piece: Piece, e: FloatArray) -> FloatArray:
    """Return the products of the columns of a piece with e."""
    return np.asarray(piece.T.dot(e) if isinstance(piece, np.ndarray) else piece.table.T @ piece.sums(e))


def _cross(first: Piece, second: Piece) -> FloatArray:
    """Return ``first' second``."""
    if isinstance(second, CodedColumns):
        if isinstance(first, CodedColumns):
            return _cross_coded(first, second)
        return _cross(second, first).T
    if isinstance(first, CodedColumns):
        sums = np.column_stack([first.sums(column) for column in second.T])
        return np.asarray(first.table.T @ sums)
    return np.asarray(first.T @ second)


def _cross_coded(first: CodedColumns, second: CodedColumns) -> FloatArray:
    """Return the products of two sets of coded columns; of one coding, the sums of each level."""
    if first.codes is second.codes:
        return np.asarray(first.table.T @ (first.sums(second.values)[:, None] * second.table))
    return np.asarray(
        first.table.T @ first.sums_by(second.codes, second.n_levels, second.values) @ second.table
    )
