"""The penalized system ``Omega = Lambda'Z'WZ Lambda + I`` of a generalized model: pattern, rows, products.

W changes at every step, so the products with the rows of the data are what an evaluation consists of. They
run over ``zeta_i = Lambda'z_i`` restricted to the level of row i: the raw model matrix times T, formed once
for each theta. A column of ones stays a number. A singular T needs no special treatment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray, IndexArray, IntArray
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.chain_and_tail import build_pattern
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.factorization.weighted.coupling import TailCoupling, tail_coupling
from mixedmodels.factorization.weighted.row_sums import RowSums, counted_rows, row_sums, sum_rows
from mixedmodels.factorization.weighted.scalar_system import ScalarSystem, is_scalar, scalar_system

SphericalColumn: TypeAlias = FloatArray | float
"""One coefficient of ``Lambda'z_i`` for every row: shape (n,), or one number for all rows."""

SphericalRows: TypeAlias = tuple[tuple[SphericalColumn, ...], ...]
"""``Lambda'z_i``, S columns for each block."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PenalizedSystem:
    """What never changes: who shares rows with whom.

    Attributes
    ----------
    pattern : Pattern
        Blocks in order of elimination: the chain, eliminated level by level, and the dense tail.
    slices : tuple of slice
        Place of each block's effects, (S, q) in C order, in the flat vector u.
    sums : tuple of RowSums
        Sums of rows by level of each block.
    couplings : tuple of TailCoupling
        The tail against each chain block; empty without a tail.
    parents : dict
        ``parents[i, j]``: the level of chain block j that each level of chain block i lies in, i < j.
    lifts : dict
        ``lifts[i, j]``: the entry of coupling j that each entry of coupling i, nested in it, belongs to.
    tail_pairs : dict
        ``tail_pairs[r, s]``, r > s: sums of rows by pair of levels of two tail blocks.
    scalar : ScalarSystem or None
        Compiled loops over it, None where there are none.
    """

    pattern: Pattern
    slices: tuple[slice, ...]
    sums: tuple[RowSums, ...]
    couplings: tuple[TailCoupling, ...]
    parents: dict[tuple[int, int], RowSums]
    lifts: dict[tuple[int, int], RowSums]
    tail_pairs: dict[tuple[int, int], RowSums]
    scalar: ScalarSystem | None = None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Blocks in order of elimination."""
        return self.pattern.blocks

    def tail_place(self, r: int) -> IntArray:
        """Return the scalar tail row of the first coefficient of the r-th tail block, for each row."""
        block = self.pattern.tail[r]
        return np.asarray(self.pattern.offsets[r] + self.sums[block].index * self.blocks[block].size)


def penalized_system(blocks: Sequence[Block]) -> PenalizedSystem:
    """Choose the order of elimination and number everything that occurs together."""
    pattern = build_pattern(blocks)
    ends = accumulate((block.n_effects for block in pattern.blocks), initial=0)
    slices = tuple(slice(a, b) for a, b in pairwise(ends))
    is_compiled = is_scalar(pattern)
    # The compiled loops need only the numbers of the groups.
    grouped = counted_rows if is_compiled else row_sums
    sums = tuple(grouped(block.codes.astype(np.intp), block.n_levels) for block in pattern.blocks)
    couplings = _couplings(pattern, sums, is_compiled)
    parents = {
        (i, j): grouped(parent, sums[pattern.chain[j]].size) for (i, j), parent in pattern.parents.items()
    }
    lifts = {
        (i, j): grouped(*_lift(couplings[i], couplings[j], pattern.parents[i, j]))
        for i, j in pattern.parents
        if couplings
    }
    tail_pairs = {
        key: grouped(pairs.of_row.astype(np.intp), len(pairs.first))
        for key, pairs in pattern.tail_pairs.items()
    }
    scalar = scalar_system(pattern, slices, sums, couplings, parents, lifts) if is_compiled else None
    return PenalizedSystem(pattern, slices, sums, couplings, parents, lifts, tail_pairs, scalar)


def _couplings(pattern: Pattern, sums: Sequence[RowSums], is_compiled: bool) -> tuple[TailCoupling, ...]:
    """Return the coupling of every chain block with the tail."""
    if not pattern.tail:
        return ()
    tail = [(pattern.blocks[t], sums[t].index, pattern.offsets[r]) for r, t in enumerate(pattern.tail)]
    found: list[TailCoupling] = []
    for c, entries in zip(pattern.chain, pattern.couplings, strict=True):
        dense = any(coupling.is_dense for coupling in found)
        found.append(
            tail_coupling(sums[c].index, sums[c].size, tail, entries, pattern.n_tail, dense, is_compiled)
        )
    return tuple(found)


def _lift(inner: TailCoupling, outer: TailCoupling, parent: IntArray) -> tuple[IntArray, int]:
    """Return the entry of `outer` with the tail row of each entry of `inner`, and how many `outer` has."""
    cells = parent[inner.columns] * outer.n_tail + inner.rows
    if not outer.is_dense:
        cells = np.searchsorted(outer.columns * outer.n_tail + outer.rows, cells)
    return np.asarray(cells), len(outer.rows)


def spherical_rows(system: PenalizedSystem, factors: Sequence[FloatArray]) -> SphericalRows:
    """Return ``Lambda'z_i`` for relative covariance factors T, one for each block."""
    return tuple(_spherical(block, T) for block, T in zip(system.blocks, factors, strict=True))


def _spherical(block: Block, T: FloatArray) -> tuple[SphericalColumn, ...]:
    if block.size == 1 and block.columns[0] is None:
        return (float(T[0, 0]),)
    n = len(block.codes)
    return tuple(T.T @ np.stack([np.ones(n) if column is None else column for column in block.columns]))


def spherical_to_rows(system: PenalizedSystem, zeta: SphericalRows, u: FloatArray) -> FloatArray:
    """Return ``Z Lambda u``, flat u to (n,)."""
    if system.scalar is not None:
        return system.scalar.loops.to_rows(u, system.scalar.scales(zeta))
    total: FloatArray | None = None
    for k, block in enumerate(system.blocks):
        effects = u[system.slices[k]].reshape(block.size, -1)
        if block.relationship is not None:
            effects = effects @ block.relationship.T
        for column, effect in zip(zeta[k], effects, strict=True):
            part = at_rows(system.sums[k], column, effect)
            total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def at_rows(by: RowSums, column: SphericalColumn, values: FloatArray) -> FloatArray:
    """Return ``column_i values[level of row i]``, shape (n,)."""
    if isinstance(column, float):
        return (column * values).take(by.index)
    part = values.take(by.index)
    part *= column
    return part


def rows_to_spherical(system: PenalizedSystem, zeta: SphericalRows, rows: FloatArray) -> FloatArray:
    """Return ``Lambda' Z' r``, shape (..., n) to (..., sum q S)."""
    if system.scalar is not None:
        return system.scalar.sums(rows, system.scalar.scales(zeta))
    parts = []
    for k, block in enumerate(system.blocks):
        for column in zeta[k]:
            parts.append(product_sums(system.sums[k], rows, column))
        if block.relationship is not None:
            parts[-block.size :] = [part @ block.relationship for part in parts[-block.size :]]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def sum_by_level(system: PenalizedSystem, k: int, r: FloatArray) -> FloatArray:
    """Return ``L_K' Z' r`` of block k on the raw columns, shape (n,) to (S, q)."""
    block = system.blocks[k]
    columns = [1.0 if column is None else column for column in block.columns]
    out = _stack([product_sums(system.sums[k], r, column) for column in columns])
    return out if block.relationship is None else out @ block.relationship


def _stack(parts: list[FloatArray]) -> FloatArray:
    """Return arrays along a new first axis, without a copy if there is only one."""
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def product_sums(by: RowSums, rows: FloatArray, *columns: SphericalColumn) -> FloatArray:
    """Return sums by group of rows times columns; numbers multiply the sums instead."""
    scale = 1.0
    for column in columns:
        if isinstance(column, float):
            scale *= column
        else:
            rows = rows * column
    sums = sum_rows(by, rows)
    return sums if scale == 1.0 else scale * sums


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WorkingProducts:
    """Blocks of ``Lambda'Z'WZ Lambda``.

    Attributes
    ----------
    faces : tuple of ndarray, each (S, S, q)
        Diagonal blocks of the chain, in order.
    links : dict
        ``links[j, k]``, shape (S_k, S_j, q_j): chain block k against the levels of chain block j, j < k.
    entries : tuple of ndarray, each (S_j, m_j)
        The tail against each chain block.
    tail : ndarray, shape (n_tail, n_tail)
        Symmetric, both halves filled; column-major.
    """

    faces: tuple[FloatArray, ...]
    links: dict[tuple[int, int], FloatArray]
    entries: tuple[FloatArray, ...]
    tail: FloatArray


def working_products(system: PenalizedSystem, zeta: SphericalRows, W: FloatArray) -> WorkingProducts:
    """Form ``Lambda'Z'WZ Lambda`` for row weights W."""
    chain = system.pattern.chain
    return WorkingProducts(
        tuple(_face(system.sums[c], zeta[c], W) for c in chain),
        {
            (j, k): _cross(system.sums[chain[j]], zeta[chain[k]], zeta[chain[j]], W)
            for j, k in system.pattern.parents
        },
        tuple(
            _entries(system, coupling, zeta, zeta[c], W)
            for c, coupling in zip(chain, system.couplings, strict=False)
        ),
        _tail(system, zeta, W),
    )


def _face(by: RowSums, zeta: tuple[SphericalColumn, ...], W: FloatArray) -> FloatArray:
    """Return the diagonal faces of one block, shape (S, S, q)."""
    if len(zeta) == 1:
        return product_sums(by, W, zeta[0], zeta[0])[None, None]
    columns = np.stack(zeta)
    face = np.empty((len(zeta), len(zeta), by.size))
    for a, column in enumerate(columns):
        face[a, : a + 1] = sum_rows(by, (W * column) * columns[: a + 1])
        face[: a + 1, a] = face[a, : a + 1]
    return face


def _cross(
    by: RowSums, first: tuple[SphericalColumn, ...], second: tuple[SphericalColumn, ...], W: FloatArray
) -> FloatArray:
    """Return sums by group of products of columns, shape (S_first, S_second, groups)."""
    return _stack([_stack([product_sums(by, W, z, v) for v in second]) for z in first])


def _entries(
    system: PenalizedSystem,
    coupling: TailCoupling,
    zeta: SphericalRows,
    leading: tuple[SphericalColumn, ...],
    W: FloatArray,
) -> FloatArray:
    """Return the entries of the tail against one chain block, shape (S, m)."""
    entries: FloatArray | None = None
    for t, places in zip(system.pattern.tail, coupling.places, strict=True):
        for by, column in zip(places, zeta[t], strict=True):
            part = _stack([product_sums(by, W, column, z) for z in leading])
            entries = part if entries is None else entries + part
    assert entries is not None
    return entries


def _tail(system: PenalizedSystem, zeta: SphericalRows, W: FloatArray) -> FloatArray:
    """Return the dense tail, known covariances between levels applied."""
    pattern = system.pattern
    tail = np.zeros((pattern.n_tail, pattern.n_tail), order="F")
    for r, t in enumerate(pattern.tail):
        levels = pattern.offsets[r] + np.arange(system.sums[t].size) * system.blocks[t].size
        _scatter(tail, levels, levels, _face(system.sums[t], zeta[t], W))
    for (r, s), pairs in pattern.tail_pairs.items():
        values = _cross(system.tail_pairs[r, s], zeta[pattern.tail[r]], zeta[pattern.tail[s]], W)
        rows = pattern.offsets[r] + pairs.first * system.blocks[pattern.tail[r]].size
        columns = pattern.offsets[s] + pairs.second * system.blocks[pattern.tail[s]].size
        _scatter(tail, rows, columns, values)
        _scatter(tail, columns, rows, values.transpose(1, 0, 2))
    for r, t in enumerate(pattern.tail):
        L_K = system.blocks[t].relationship
        if L_K is not None:
            _relate(tail, pattern.tail_slice(r), L_K.T)
    return tail


def _scatter(tail: FloatArray, rows: IndexArray, columns: IndexArray, values: FloatArray) -> None:
    """Put the faces of pairs of levels in their place."""
    for a in range(values.shape[0]):
        for b in range(values.shape[1]):
            tail[rows + a, columns + b] = values[a, b]


def _relate(tail: FloatArray, where: slice, M: FloatArray) -> None:
    """Replace rows and columns R of one block by ``(M (x) I) R``, in place."""
    size = (where.stop - where.start) // len(M)
    for view in (tail, tail.T):
        levels = view[where].reshape(len(M), size, -1)
        view[where] = np.tensordot(M, levels, axes=1).reshape(where.stop - where.start, -1)


def related(inverse: FloatArray, system: PenalizedSystem) -> FloatArray:
    """Return the inverse of the tail with known covariances between levels applied on both sides."""
    for r, t in enumerate(system.pattern.tail):
        L_K = system.blocks[t].relationship
        if L_K is not None:
            inverse = inverse.copy()
            _relate(inverse, system.pattern.tail_slice(r), L_K)
    return inverse
