"""The penalized system of random intercepts, for the compiled loops of kernels/scalar_factors.py.

Models of intercepts alone (persons by items, pupils in classes in schools) have one number for each level
and each pair of levels. What the functions of this package do with arrays of faces takes one pass there over
the rows, the levels or the pairs; they give the same numbers, and serve where nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.factorization.weighted.coupling import TailCoupling
from mixedmodels.factorization.weighted.row_sums import RowSums
from mixedmodels.kernels import scalar_factors
from mixedmodels.kernels.scalar_factors import DenseFactor, EliminatedFactor

if TYPE_CHECKING:
    from mixedmodels.kernels._scalar_factors import ScalarFactors

Values = tuple[FloatArray, dict[int, FloatArray], FloatArray]
"""Values of one eliminated factor: pivots (1, 1, q), links to outer ones, each (1, 1, q), entries (1, m)."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScalarSystem:
    """The compiled loops over one system, and where its blocks are in what they return.

    Attributes
    ----------
    loops : ScalarFactors
        The loops.
    order : tuple of int
        Blocks in their order: the chain, the tail.
    sizes : tuple of (int, int)
        Levels and entries of each eliminated factor.
    """

    loops: ScalarFactors
    order: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]

    def scales(self, zeta: Sequence[Sequence[FloatArray | float]]) -> FloatArray:
        """Return the deviations of the factors, in the order of the loops."""
        return np.array([zeta[block][0] for block in self.order], dtype=np.float64)

    def sums(self, rows: FloatArray, scales: FloatArray) -> FloatArray:
        """Return sums of rows by level times scales, shape (..., n) to (..., sum q)."""
        # The loops take the last axis first: that is how products with columns of X are laid out.
        by_row = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]).T)
        found = self.loops.sums(by_row, scales)
        return found.T.reshape(*rows.shape[:-1], len(found))

    def split(self, values: FloatArray) -> tuple[Values, ...]:
        """Return views of the values of each eliminated factor."""
        found, at = [], 0
        for j, (q, m) in enumerate(self.sizes):
            faces = values[at : at + q * (len(self.sizes) - j)].reshape(-1, 1, 1, q)
            at += faces.size
            links = {j + k: faces[k] for k in range(1, len(faces))}
            found.append((faces[0], links, values[at : at + m].reshape(1, m)))
            at += m
        return tuple(found)


def is_scalar(pattern: Pattern) -> bool:
    """Tell whether compiled loops know a system: intercepts, levels independent of one another."""
    return (
        scalar_factors.COMPILED
        and 0 < len(pattern.chain) <= scalar_factors.MOST_FACTORS
        and len(pattern.tail) <= scalar_factors.MOST_FACTORS
        and all(
            block.size == 1
            and block.columns[0] is None
            and block.relationship is None
            and block.rotation is None
            and block.precision is None
            and block.present is None
            for block in pattern.blocks
        )
    )


def scalar_system(
    pattern: Pattern,
    places: Sequence[slice],
    sums: Sequence[RowSums],
    couplings: Sequence[TailCoupling],
    parents: Mapping[tuple[int, int], RowSums],
    lifts: Mapping[tuple[int, int], RowSums],
) -> ScalarSystem:
    """Return the compiled loops over a system that :func:`is_scalar`; arguments as in PenalizedSystem."""
    chain = tuple(
        _eliminated(pattern.blocks[c].n_levels, places[c].start, couplings[j] if couplings else None)
        for j, c in enumerate(pattern.chain)
    )
    dense = tuple(
        DenseFactor(
            pattern.blocks[t].n_levels,
            places[t].start,
            _codes(pattern.offsets[r] + sums[t].index),
            _codes(couplings[0].places[r][0].index),
        )
        for r, t in enumerate(pattern.tail)
    )
    loops = scalar_factors.ScalarFactors(
        _codes(sums[pattern.chain[0]].index),
        chain,
        {key: _codes(by.index) for key, by in parents.items()},
        {key: _codes(by.index) for key, by in lifts.items()},
        dense,
    )
    sizes = tuple((factor.size, len(factor.rows)) for factor in chain)
    return ScalarSystem(loops, pattern.chain + pattern.tail, sizes)


def _eliminated(size: int, place: int, coupling: TailCoupling | None) -> EliminatedFactor:
    """Return one eliminated factor, its entries sorted by tail row as well if they are listed."""
    none = np.zeros(0, dtype=np.int32)
    if coupling is None:
        return EliminatedFactor(size, place, none, none, none, none, none)
    starts = _starts(coupling.columns, size)
    if coupling.is_dense:
        return EliminatedFactor(size, place, starts, _codes(coupling.rows), none, none, none)
    order = np.argsort(coupling.rows, kind="stable")
    row_starts = _starts(coupling.rows, coupling.n_tail)
    levels = _codes(coupling.columns[order])
    return EliminatedFactor(size, place, starts, _codes(coupling.rows), row_starts, _codes(order), levels)


def _starts(groups: IntArray, size: int) -> CodeArray:
    """Return where each of the groups, sorted, begins, and where the last ends."""
    return _codes(np.concatenate(([0], np.cumsum(np.bincount(groups, minlength=size)))))


def _codes(numbers: IntArray) -> CodeArray:
    return np.ascontiguousarray(numbers, dtype=np.int32)
