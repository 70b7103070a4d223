"""The rows of a generalized model, put aside as they are read by the levels of its outermost grouping factor.

Other grouping factors are nested in it: all rows of one of their levels are in one part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.generalized.equal_rows import LARGEST_SHARE, LINEAR_FAMILIES
from mixedmodels.engines.generalized.parts import PartRows
from mixedmodels.errors import DataError
from mixedmodels.factorization.blocks import amalgamate
from mixedmodels.families import initialize
from mixedmodels.families.family import Family
from mixedmodels.families.response import constant_terms
from mixedmodels.fits.spilled_levels import SpilledLevels
from mixedmodels.formula.design.chunks import FamilyChunk, StreamDesign
from mixedmodels.formula.design.design import RandomTerm, Response

#: What each row begins with: response, weight, offset and the constant of its log-likelihood.
LEADING = 4


class LevelRows:
    """Rows as they come, put aside until the end of a ``with``, and what is to be known of all.

    Parameters
    ----------
    design : StreamDesign
        How tables become arrays.
    family : Family
        Distribution of the response.
    outer : int
        The grouping factor that all others are nested in.
    """

    def __init__(self, design: StreamDesign, family: Family, outer: int = 0) -> None:
        self._family, self._p, self.terms = family, len(design.fixed.names), design.terms
        self.groups, self.outer = tuple(g for g, _ in design.of_term), outer
        self._inner = [g for g in range(len(design.groups)) if g != outer]
        sizes = [term.size for term in self.terms]
        self._spilled = SpilledLevels(LEADING + len(self._inner) + self._p + sum(sizes))
        self.fixed, self.random = np.zeros((0, self._p)), [np.zeros((0, size)) for size in sizes]
        self.response: Response | None = None
        self.range = np.array([np.inf, -np.inf])
        self.largest_offset, self.square, self.n_positive, self.n_rows = 0.0, 0.0, 0, 0
        self._has_ones = [True] * len(sizes)

    def add(self, chunk: FamilyChunk, times: IntArray | None = None) -> None:
        """Add the rows of one table, each so many times, or once."""
        y, weights = initialize(chunk.response, chunk.weights, self._family)
        constant = constant_terms(chunk.response.kind, chunk.weights, y, weights, self._family)
        each = np.ones(len(y), dtype=np.intp) if times is None else times
        weights, constant = each * weights, each * constant
        offset = np.zeros(len(y)) if chunk.offset is None else chunk.offset
        leading = np.column_stack([y, weights, offset, constant, *(chunk.codes[g] for g in self._inner)])
        self._spilled.add(chunk.codes[self.outer], np.concatenate([leading, chunk.X, *chunk.Z], axis=1))
        self.fixed = _joined(self.fixed, chunk.X)
        self.random = [_joined(own, Z) for own, Z in zip(self.random, chunk.Z, strict=True)]
        self._has_ones = [
            own and bool((Z == 1.0).all()) for own, Z in zip(self._has_ones, chunk.Z, strict=True)
        ]
        self.range = np.array([min(self.range[0], y.min()), max(self.range[1], y.max())])
        self.largest_offset = max(self.largest_offset, float(np.abs(offset).max()))
        self.square += float(weights @ (y * y))
        self.n_positive += int(each[weights > 0.0].sum())
        self.n_rows += int(each.sum())
        if self.response is None:
            self.response = chunk.response

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._spilled.give_up()

    def parts(self, kept: IntArray, n_levels: Sequence[int], order: Sequence[int]) -> LevelParts:
        """Return the rows in parts, with those columns of the fixed effects that are kept.

        Parameters
        ----------
        kept : ndarray of int
            These columns.
        n_levels : sequence of int
            Number of levels of each grouping factor.
        order : sequence of int
            The terms, as the design has them.

        Raises
        ------
        DataError
            If there are none.
        """
        if not self.n_rows:
            raise DataError("0 (non-NA) cases: no row of the source is in use")
        is_linear = self._family.name in LINEAR_FAMILIES and not self._family.phi_names
        collapse = partial(_collapsed, family=self._family) if is_linear else None
        files = PartFiles(self._spilled, self._spilled.files(), collapse)
        ends = LEADING + len(self._inner) + self._p + np.cumsum([0, *(term.size for term in self.terms)])
        terms = tuple(
            PartTerm(
                self.terms[t],
                None if self.groups[t] == self.outer else self._inner.index(self.groups[t]),
                slice(int(ends[t]), int(ends[t + 1])),
                self._has_ones[t] and self.terms[t].size == 1,
            )
            for t in order
        )
        start = LEADING + len(self._inner)
        first = n_levels[self.groups[order[0]]]
        return LevelParts(
            files, kept, slice(start, start + self._p), terms, n_levels[self.outer], first, self.n_rows
        )


def _joined(triangle: FloatArray, X: FloatArray) -> FloatArray:
    """Return a triangle with the products of the rows of both."""
    return np.asarray(np.linalg.qr(np.concatenate([triangle, X]), mode="r"))


def _collapsed(rows: FloatArray, family: Family) -> tuple[FloatArray, float]:
    """Return rows of equal levels, predictors and offset as one, and the deviance that is within them.

    The likelihood stays the same for families whose log-likelihood is linear in (w, w y) at given eta.
    """
    others = rows[:, 1 + LEADING :]
    order = np.lexsort([*others.T, rows[:, 3], rows[:, 0]])
    rows, others = rows[order], others[order]
    same = np.column_stack([rows[:, [0, 3]], others])
    first = np.flatnonzero(np.append(True, (same[1:] != same[:-1]).any(axis=1)))
    if len(first) > LARGEST_SHARE * len(rows):
        return rows, 0.0
    y, w = rows[:, 1], rows[:, 2]
    found = rows[first]
    found[:, 2] = np.add.reduceat(w, first)
    total = np.add.reduceat(w * y, first)
    found[:, 1] = np.divide(total, found[:, 2], out=y[first].copy(), where=found[:, 2] > 0.0)
    found[:, 4] = np.add.reduceat(rows[:, 4], first)
    mean = np.full(len(rows), np.average(y, weights=w)) if w.any() else np.full(len(rows), 0.5)
    within = family.deviance(y, mean, w, np.empty(0)).sum()
    within -= family.deviance(found[:, 1], mean[first], found[:, 2], np.empty(0)).sum()
    return found, float(within)


class PartFiles:
    """The files of rows, each put in order when it is read first.

    Parameters
    ----------
    spilled : SpilledLevels
        The files.
    numbers : tuple of int
        Those that have rows.
    collapse : callable, optional
        Makes equal rows one, and tells what deviance is within them.
    """

    def __init__(
        self,
        spilled: SpilledLevels,
        numbers: tuple[int, ...],
        collapse: Callable[[FloatArray], tuple[FloatArray, float]] | None,
    ) -> None:
        self.spilled, self.numbers, self._collapse = spilled, numbers, collapse
        self._within: dict[int, float] = {}

    def rows(self, k: int) -> tuple[IntArray, FloatArray]:
        """Return the levels of the rows of a file, ascending, and the rows."""
        number = self.numbers[k]
        rows = self.spilled.rows(number)
        if number not in self._within:
            # By the other columns too: the order then does not depend on that of the source.
            rows = rows[np.lexsort(rows.T[::-1])]
            self._within[number] = 0.0
            if self._collapse is not None:
                rows, self._within[number] = self._collapse(rows)
            self.spilled.replace(number, rows)
        return rows[:, 0].astype(np.intp), rows[:, 1:]

    @property
    def deviance_within(self) -> float:
        """What the deviance of all rows has beyond that of the rows in the files, whatever the means."""
        return sum(self._within.values())


@dataclass(frozen=True, slots=True)
class PartTerm:
    """A random-effects term, and where the rows of the files have it.

    Attributes
    ----------
    term : RandomTerm
        The term, without rows.
    inner : int or None
        Which of the nested grouping factors it varies over; None for the outermost.
    columns : slice
        Its columns.
    has_ones : bool
        Whether its one column is constant one.
    """

    term: RandomTerm
    inner: int | None
    columns: slice
    has_ones: bool


@dataclass(frozen=True, slots=True)
class LevelParts:
    """Rows put aside, by parts.

    Attributes
    ----------
    files : PartFiles
        The files.
    kept : ndarray of int, shape (p,)
        Columns of the fixed effects.
    fixed : slice
        Columns of the fixed effects in the files.
    terms : tuple of PartTerm
        The random-effects terms.
    n_outer, n_levels, n_rows : int
        Number of levels of the outermost grouping factor and of that of the first term, and of rows, equal
        ones each by itself.
    """

    files: PartFiles
    kept: IntArray
    fixed: slice
    terms: tuple[PartTerm, ...]
    n_outer: int
    n_levels: int
    n_rows: int

    def __len__(self) -> int:
        return len(self.files.numbers)

    def levels(self, place: int) -> IntArray:
        """Return the level that each one of a term's in the parts, counted through, is."""
        step, inner = self.files.spilled.n_files, self.terms[place].inner
        if inner is None:
            return np.concatenate([np.arange(k, self.n_outer, step) for k in self.files.numbers])
        found = [np.unique(self.files.rows(k)[1][:, LEADING + inner]) for k in range(len(self))]
        return np.concatenate(found).astype(np.intp)

    def rows(self, k: int) -> PartRows:
        """Return the rows of a part."""
        step = self.files.spilled.n_files
        outer, rows = self.files.rows(k)
        q = len(range(self.files.numbers[k], self.n_outer, step))
        inner = [np.empty(0)] * (self.fixed.start - LEADING)
        codes: list[IntArray] = [outer // step]
        for j in range(len(inner)):
            inner[j], local = np.unique(rows[:, LEADING + j], return_inverse=True)
            codes.append(local)
        terms = []
        for own in self.terms:
            Z = np.ascontiguousarray(rows[:, own.columns])
            Z = np.broadcast_to(1.0, Z.shape) if own.has_ones else Z
            at = 0 if own.inner is None else own.inner + 1
            n_levels = q if own.inner is None else len(inner[own.inner])
            terms.append(replace(own.term, Z=Z, codes=codes[at].astype(np.int32), levels=("",) * n_levels))
        y, weights, offset, constant = (np.ascontiguousarray(rows[:, j]) for j in range(LEADING))
        X = rows[:, self.fixed][:, self.kept]
        return _in_order_of_first_block(PartRows(y, weights, offset, constant, X, tuple(terms)))


def _in_order_of_first_block(rows: PartRows) -> PartRows:
    """Return rows sorted by the levels that are eliminated first."""
    if len(rows.terms) == 1:
        return rows
    order = np.argsort(amalgamate(rows.terms)[0].codes, kind="stable")
    terms = tuple(
        replace(t, Z=t.Z if t.Z.strides[0] == 0 else t.Z[order], codes=t.codes[order]) for t in rows.terms
    )
    return PartRows(
        rows.y[order], rows.weights[order], rows.offset[order], rows.constant[order], rows.X[order], terms
    )
