"""Cells of a grid of factor levels and the linear function of the fixed effects that each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray

# What a combination leaves of an entry by rounding alone: less than this share of what was added up.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of cells, the first variable varying fastest.

    Attributes
    ----------
    levels : dict
        Variable -> its values: names of levels, truth values or numbers.
    codes : ndarray of int, shape (m, variables)
        Position of each cell among the levels of each variable.
    L : ndarray, shape (m, all columns)
        Linear function of each cell, columns dropped from a rank-deficient fit included; NaN in a cell that
        is an average over nothing.
    offset : ndarray, shape (m,)
        Offset of each cell.
    counts : ndarray, shape (m,)
        Number of observations (sum of their weights) in each cell.
    nesting : dict
        Nested variable -> the variables it is nested in.
    averaged : tuple of str
        Variables that were averaged over.
    """

    levels: dict[str, tuple[Any, ...]]
    codes: IntArray
    L: FloatArray
    offset: FloatArray
    counts: FloatArray
    nesting: dict[str, tuple[str, ...]]
    averaged: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(self.levels)

    def code(self, name: str) -> IntArray:
        """Return the positions of the cells among the levels of one variable."""
        return self.codes[:, self.names.index(name)]

    def cell(self, names: Sequence[str]) -> IntArray:
        """Return the number of each cell in the grid of the variables `names`, the first fastest."""
        sizes = [len(self.levels[name]) for name in names]
        steps = [prod(sizes[:k]) for k in range(len(sizes))]
        found = np.zeros(len(self.codes), dtype=np.intp)
        for name, step in zip(names, steps, strict=True):
            found += step * self.code(name)
        return found

    def take(self, rows: IntArray) -> Grid:
        """Return some of the cells, all levels kept."""
        return replace(
            self,
            codes=self.codes[rows],
            L=self.L[rows],
            offset=self.offset[rows],
            counts=self.counts[rows],
        )


def all_codes(sizes: Sequence[int]) -> IntArray:
    """Return the positions of every combination of levels, the first variable fastest, shape (m, k).

    Examples
    --------
    >>> all_codes([2, 2]).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    m = prod(sizes)
    codes = np.empty((m, len(sizes)), dtype=np.intp)
    step = 1
    for j, size in enumerate(sizes):
        codes[:, j] = np.arange(m) // step % size
        step *= size
    return codes


def combine(K: FloatArray, L: FloatArray) -> FloatArray:
    """Return ``K L`` with entries that only rounding leaves set to zero; NaN where K uses a row of NaN.

    Whether a combination is estimable depends on entries that cancel exactly.
    """
    absent: BoolArray = np.any(np.isnan(L), axis=1)
    known = np.where(absent[:, None], 0.0, L)
    found = K @ known
    found[np.abs(found) <= ROUNDING * (np.abs(K) @ np.abs(known))] = 0.0
    undefined: BoolArray = np.any(K[:, absent] != 0.0, axis=1) | np.any(np.isnan(K), axis=1)
    found[undefined] = np.nan
    return found


def combine_offsets(K: FloatArray, offset: FloatArray) -> FloatArray:
    """Return ``K offset``; zero where K is not a number."""
    return np.asarray(np.nan_to_num(K) @ offset)
