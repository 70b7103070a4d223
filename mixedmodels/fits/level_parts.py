"""The rows of a generalized model with one grouping factor, put aside by its levels as they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.generalized.equal_rows import LARGEST_SHARE, LINEAR_FAMILIES
from mixedmodels.engines.generalized.parts import PartRows
from mixedmodels.errors import DataError
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
        How tables become arrays; one random-effects term.
    family : Family
        Distribution of the response.
    """

    def __init__(self, design: StreamDesign, family: Family) -> None:
        self._family, self._p, (term,) = family, len(design.fixed.names), design.terms
        self.term = term
        self._spilled = SpilledLevels(LEADING + self._p + term.size)
        self.fixed, self.random = np.zeros((0, self._p)), np.zeros((0, term.size))
        self.response: Response | None = None
        self.range = np.array([np.inf, -np.inf])
        self.largest_offset, self.square, self.n_positive, self.n_rows = 0.0, 0.0, 0, 0
        self.has_ones = True

    def add(self, chunk: FamilyChunk, times: IntArray | None = None) -> None:
        """Add the rows of one table, each so many times, or once."""
        y, weights = initialize(chunk.response, chunk.weights, self._family)
        constant = constant_terms(chunk.response.kind, chunk.weights, y, weights, self._family)
        each = np.ones(len(y), dtype=np.intp) if times is None else times
        weights, constant = each * weights, each * constant
        offset = np.zeros(len(y)) if chunk.offset is None else chunk.offset
        Z = chunk.Z[0]
        leading = np.column_stack([y, weights, offset, constant])
        self._spilled.add(chunk.codes[0], np.concatenate([leading, chunk.X, Z], axis=1))
        self.fixed, self.random = _joined(self.fixed, chunk.X), _joined(self.random, Z)
        self.has_ones = self.has_ones and bool((Z == 1.0).all())
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

    def parts(self, kept: IntArray, n_levels: int) -> LevelParts:
        """Return the rows in parts, with those columns of the fixed effects that are kept.

        Raises
        ------
        DataError
            If there are none.
        """
        if not self.n_rows:
            raise DataError("0 (non-NA) cases: no row of the source is in use")
        ones = self.has_ones and self.term.size == 1
        is_linear = self._family.name in LINEAR_FAMILIES and not self._family.phi_names
        collapse = partial(_collapsed, family=self._family) if is_linear else None
        files = PartFiles(self._spilled, self._spilled.files(), collapse)
        return LevelParts(files, kept, self._p, self.term, n_levels, self.n_rows, ones)


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
class LevelParts:
    """Rows put aside, by parts.

    Attributes
    ----------
    files : PartFiles
        The files.
    kept : ndarray of int, shape (p,)
        Columns of the fixed effects.
    n_fixed : int
        Columns of the fixed effects in the files.
    term : RandomTerm
        The random-effects term, without rows.
    n_levels, n_rows : int
        Number of levels, and of rows, equal ones each by itself.
    has_ones : bool
        Whether its column is constant one.
    """

    files: PartFiles
    kept: IntArray
    n_fixed: int
    term: RandomTerm
    n_levels: int
    n_rows: int
    has_ones: bool

    def __len__(self) -> int:
        return len(self.files.numbers)

    def levels(self) -> IntArray:
        """Return the level that each one of the parts, counted through, is."""
        step = self.files.spilled.n_files
        return np.concatenate([np.arange(k, self.n_levels, step) for k in self.files.numbers])

    def rows(self, k: int) -> PartRows:
        """Return the rows of a part."""
        step = self.files.spilled.n_files
        codes, rows = self.files.rows(k)
        local = (codes // step).astype(np.int32)
        q = len(range(self.files.numbers[k], self.n_levels, step))
        start = LEADING + self.n_fixed
        Z = np.broadcast_to(1.0, (len(rows), 1)) if self.has_ones else np.ascontiguousarray(rows[:, start:])
        y, weights, offset, constant = (np.ascontiguousarray(rows[:, j]) for j in range(LEADING))
        return PartRows(
            y, weights, offset, constant, rows[:, LEADING:start][:, self.kept],
            (replace(self.term, Z=Z, codes=local, levels=("",) * q),),
        )  # fmt: skip
