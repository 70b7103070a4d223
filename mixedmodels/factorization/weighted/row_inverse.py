"""The inverse of Omega as the rows of the data see it: leverages and the gradient of log|Omega|.

Only entries of Omega^-1 between levels that occur in a row together are needed. They come from the Takahashi
recursion (Takahashi, Fagan & Chin 1973), run through the blocks in reverse order of elimination: with V the
coupling of an eliminated level to what comes later and L its own factor,
``G_later,l = -G_later,later V L^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization.weighted.coupling import apply_by_level, inverse_product, products_by_level
from mixedmodels.factorization.weighted.penalized_factor import PenalizedFactor, inverse_of
from mixedmodels.factorization.weighted.penalized_system import SphericalColumn, SphericalRows, related
from mixedmodels.factorization.weighted.scalar_system import ScalarSystem
from mixedmodels.kernels import faces


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowInverse:
    """The inverse of Omega as the rows of the data see it.

    Attributes
    ----------
    leverage : ndarray, shape (n,)
        ``(Z Lambda Omega^-1 Lambda'Z')_ii``.
    effects : tuple of list of ndarray, each (n,)
        ``Omega^-1 Lambda'z_i`` at the level of row i, S columns for each block.
    """

    leverage: FloatArray
    effects: tuple[list[FloatArray], ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PatternInverse:
    """Entries of Omega^-1 on the pattern of Z'Z.

    Attributes
    ----------
    faces : dict
        ``faces[j, k]``, shape (S_j, S_k, q_j), j <= k: chain block j against the level of chain block k
        that each of its levels lies in.
    entries : tuple of ndarray, each (S_j, m_j)
        Chain block j against the tail, on the pattern of their coupling.
    tail : ndarray, shape (n_tail, n_tail)
        The tail.
    values : ndarray or None
        All but the tail, as the compiled loops have it.
    """

    faces: dict[tuple[int, int], FloatArray]
    entries: tuple[FloatArray, ...]
    tail: FloatArray
    values: FloatArray | None = None


def row_inverse(factor: PenalizedFactor) -> RowInverse:
    """Return leverages and effects of every row."""
    return gather_rows(factor, pattern_inverse(factor))


def leverages(factor: PenalizedFactor) -> FloatArray:
    """Return the leverages alone."""
    scalar, inverse = factor.system.scalar, pattern_inverse(factor)
    if scalar is None or inverse.values is None:
        return gather_rows(factor, inverse).leverage
    return scalar.loops.leverages(inverse.values, inverse.tail, scalar.scales(factor.zeta))


def pattern_inverse(factor: PenalizedFactor) -> PatternInverse:
    """Return the inverse on the pattern of Z'Z."""
    system, pattern = factor.system, factor.system.pattern
    if system.scalar is not None and factor.values is not None:
        return _scalar_inverse(factor, system.scalar, factor.values)
    found: dict[tuple[int, int], FloatArray] = {}
    entries: list[FloatArray] = [np.empty((0, 0))] * len(pattern.chain)
    tail = inverse_of(factor.tail) if pattern.tail else factor.tail
    for j in reversed(range(len(pattern.chain))):
        step = factor.chain[j]
        L_inverse_transposed = faces.transposed(step.L_inverse)
        within = faces.product(L_inverse_transposed, step.L_inverse)
        products = {k: _times_links(factor, found, entries, j, k) for k in step.links}
        for k, product in products.items():
            half = faces.product(product, step.L_inverse)
            found[j, k] = -faces.transposed(half)
            inner = faces.product(faces.transposed(step.links[k]), half)
            within = within + faces.product(L_inverse_transposed, inner)
        if pattern.tail:
            coupling = system.couplings[j]
            product = _times_entries(factor, entries, tail, j)
            entries[j] = -apply_by_level(coupling, L_inverse_transposed, product)
            inner = products_by_level(coupling, step.entries, entries[j])
            within = within - faces.product(L_inverse_transposed, inner)
        found[j, j] = within
    return PatternInverse(found, tuple(entries), tail)


def _scalar_inverse(factor: PenalizedFactor, scalar: ScalarSystem, values: FloatArray) -> PatternInverse:
    """Return the inverse on the pattern by the compiled loops."""
    found = np.zeros_like(values)
    tail = np.ascontiguousarray(inverse_of(factor.tail)) if len(factor.tail) else factor.tail
    parts = scalar.split(found)
    for j in reversed(range(len(parts))):
        if factor.system.couplings and factor.system.couplings[j].is_dense:
            parts[j][2][...] = inverse_product(factor.system.couplings[j], tail, factor.chain[j].entries)
        scalar.loops.invert(values, found, j, tail)
    faces_found = {(j, j): part[0] for j, part in enumerate(parts)}
    faces_found |= {(j, k): link for j, part in enumerate(parts) for k, link in part[1].items()}
    return PatternInverse(faces_found, tuple(part[2] for part in parts), tail, found)


def _times_links(
    factor: PenalizedFactor,
    found: dict[tuple[int, int], FloatArray],
    entries: list[FloatArray],
    j: int,
    k: int,
) -> FloatArray:
    """Return ``G_k,later V`` for the levels of chain block j, shape (S_k, S_j, q_j)."""
    system, step = factor.system, factor.chain[j]
    total: FloatArray | None = None
    for m, link in step.links.items():
        at = found[min(k, m), max(k, m)][:, :, system.parents[j, min(k, m)].index]
        part = faces.product(at if k <= m else faces.transposed(at), link)
        total = part if total is None else total + part
    assert total is not None
    if system.couplings:
        lifted = entries[k][:, system.lifts[j, k].index]
        total = total + products_by_level(system.couplings[j], lifted, step.entries)
    return total


def _times_entries(
    factor: PenalizedFactor, entries: list[FloatArray], tail: FloatArray, j: int
) -> FloatArray:
    """Return ``G_tail,later V`` on the pattern of the coupling of chain block j, shape (S_j, m_j)."""
    system, step, coupling = factor.system, factor.chain[j], factor.system.couplings[j]
    product = inverse_product(coupling, tail, step.entries)
    for k, link in step.links.items():
        lifted = entries[k][:, system.lifts[j, k].index]
        product = product + apply_by_level(coupling, faces.transposed(link), lifted)
    return product


def gather_rows(factor: PenalizedFactor, inverse: PatternInverse) -> RowInverse:
    """Return leverages and effects from the inverse on the pattern."""
    system, zeta = factor.system, factor.zeta
    if system.scalar is not None and inverse.values is not None:
        return _gather_scalar(system.scalar, inverse.values, inverse.tail, zeta)
    return _gather_blocks(factor, inverse)


def _gather_blocks(factor: PenalizedFactor, inverse: PatternInverse) -> RowInverse:
    """Return leverages and effects for blocks of any size."""
    system, pattern, zeta = factor.system, factor.system.pattern, factor.zeta
    n = len(system.sums[0].index)
    effects = tuple([np.zeros(n) for _ in range(block.size)] for block in system.blocks)
    # 1. The chain: each pair of blocks adds its part of G z to the effects of both.
    for (j, k), G in inverse.faces.items():
        first, second = pattern.chain[j], pattern.chain[k]
        index = system.sums[first].index
        for a in range(G.shape[0]):
            for b in range(a + 1 if j == k else G.shape[1]):
                twice = j != k or a != b
                _add(
                    effects[first][a],
                    effects[second][b],
                    G[a, b].take(index),
                    zeta[first][a],
                    zeta[second][b],
                    twice,
                )
    # 2. The chain with the tail, 3. the tail itself.
    for j, coupling in enumerate(system.couplings):
        c, E = pattern.chain[j], inverse.entries[j]
        for t, places in zip(pattern.tail, coupling.places, strict=True):
            for b, place in enumerate(places):
                for a, row in enumerate(E):
                    _add(effects[c][a], effects[t][b], row.take(place.index), zeta[c][a], zeta[t][b], True)
    _add_tail(effects, factor, related(inverse.tail, system))
    # 4. Leverage z'G z of every row.
    leverage = np.zeros(n)
    for columns, parts in zip(zeta, effects, strict=True):
        for column, part in zip(columns, parts, strict=True):
            leverage += column * part
    return RowInverse(leverage, effects)


def _gather_scalar(
    scalar: ScalarSystem, values: FloatArray, tail: FloatArray, zeta: SphericalRows
) -> RowInverse:
    """Return leverages and effects by the compiled loops."""
    leverage, found = scalar.loops.gather(values, np.ascontiguousarray(tail), scalar.scales(zeta))
    by_block = dict(zip(scalar.order, found, strict=True))
    return RowInverse(leverage, tuple([by_block[k]] for k in range(len(by_block))))


def _add(
    first: FloatArray, second: FloatArray, G: FloatArray, z: SphericalColumn, v: SphericalColumn, twice: bool
) -> None:
    """Add ``G v`` to the first effect and, for a pair of different effects, ``G z`` to the second."""
    first += G * v
    if twice:
        second += G * z


def _add_tail(effects: tuple[list[FloatArray], ...], factor: PenalizedFactor, tail: FloatArray) -> None:
    """Add the products within the tail."""
    system, zeta = factor.system, factor.zeta
    flat = tail.ravel()
    for r, t in enumerate(system.pattern.tail):
        rows = system.tail_place(r) * len(tail)
        for s in range(r + 1):
            other, columns = system.pattern.tail[s], system.tail_place(s)
            for a in range(system.blocks[t].size):
                for b in range(a + 1 if r == s else system.blocks[other].size):
                    G = flat.take(rows + columns + (a * len(tail) + b))
                    twice = r != s or a != b
                    _add(effects[t][a], effects[other][b], G, zeta[t][a], zeta[other][b], twice)


def diagonal_faces(factor: PenalizedFactor) -> tuple[FloatArray, ...]:
    """Return the diagonal blocks of the inverse, each (S, S, q), one for each block.

    Known covariances between levels are applied: times T on both sides they give Var(b | y).
    """
    system, pattern, inverse = factor.system, factor.system.pattern, pattern_inverse(factor)
    found = {c: inverse.faces[j, j] for j, c in enumerate(pattern.chain)}
    tail = related(inverse.tail, system)
    for r, t in enumerate(pattern.tail):
        S, q = system.blocks[t].size, system.blocks[t].n_levels
        where = pattern.tail_slice(r)
        found[t] = np.einsum("lalb->abl", tail[where, where].reshape(q, S, q, S))
    return tuple(found[k] for k in range(len(system.blocks)))
