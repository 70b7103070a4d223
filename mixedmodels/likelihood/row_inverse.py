"""The inverse of Omega as the rows of the data see it: leverages and the gradient of log|Omega|.

Only entries of Omega^-1 between levels that occur in a row together are needed. They come from the Takahashi
recursion (Takahashi, Fagan & Chin 1973), run through the blocks in reverse order of elimination: with V the
coupling of an eliminated level to what comes later and L its own factor,
``G_later,l = -G_later,later V L^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotri

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization import faces
from mixedmodels.factorization.blocks import Block
from mixedmodels.likelihood.generalized_system import PenalizedFactor
from mixedmodels.likelihood.tail_coupling import inverse_product
from mixedmodels.likelihood.working_products import related


@dataclass(frozen=True, slots=True)
class RowInverse:
    """The inverse of Omega as the rows of the data see it.

    Attributes
    ----------
    leverage : ndarray, shape (n,)
        ``(Z Lambda Omega^-1 Lambda'Z')_ii``.
    effects : tuple of ndarray, each (S, n)
        ``Omega^-1 Lambda'z_i`` at the level of row i, one array per block.
    """

    leverage: FloatArray
    effects: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True)
class PatternInverse:
    """Entries of Omega^-1 on the pattern of Z'Z.

    Attributes
    ----------
    faces : dict
        ``faces[j, k]``, shape (S_j, S_k, q_j), j <= k: chain block j against the level of chain block k
        that each of its levels lies in.
    entries : tuple of ndarray, each (S_j, nnz_j)
        Chain block j against the tail, on the pattern of their coupling.
    tail : ndarray, shape (n_tail, n_tail)
        The tail.
    """

    faces: dict[tuple[int, int], FloatArray]
    entries: tuple[FloatArray, ...]
    tail: FloatArray


def row_inverse(factor: PenalizedFactor) -> RowInverse:
    """Return leverages and effects of every row."""
    return gather_rows(factor, pattern_inverse(factor))


def pattern_inverse(factor: PenalizedFactor) -> PatternInverse:
    """Return the inverse on the pattern of Z'Z."""
    pattern = factor.system.pattern
    found: dict[tuple[int, int], FloatArray] = {}
    entries: list[FloatArray] = [np.empty((0, 0))] * len(pattern.chain)
    tail = _tail_inverse(factor)
    for j in reversed(range(len(pattern.chain))):
        step = factor.chain[j]
        by_link = {k: _times_links(factor, found, entries, j, k) for k in step.links}
        within = np.zeros_like(step.L)
        for k, product in by_link.items():
            found[j, k] = -faces.transposed(faces.product(product, step.L_inverse))
            within += faces.product(faces.transposed(step.links[k]), product)
        if pattern.tail:
            product = _times_entries(factor, entries, tail, j)
            entries[j] = -_transposed_by_column(step.L_inverse, product, factor, j)
            within += _sum_products(step.entries, product, factor, j)
        faces.add_identity(within)
        half = faces.product(within, step.L_inverse)
        found[j, j] = faces.product(faces.transposed(step.L_inverse), half)
    return PatternInverse(found, tuple(entries), tail)


def diagonal_faces(factor: PenalizedFactor) -> tuple[FloatArray, ...]:
    """Return the diagonal blocks of the inverse, each (S, S, q), one for each block.

    Known covariances between levels are applied: times T on both sides they give Var(b | y).
    """
    pattern, inverse = factor.system.pattern, pattern_inverse(factor)
    found = {c: inverse.faces[j, j] for j, c in enumerate(pattern.chain)}
    tail = related(inverse.tail, pattern)
    for r, t in enumerate(pattern.tail):
        S, q = pattern.blocks[t].size, pattern.blocks[t].n_levels
        where = pattern.tail_slice(r)
        found[t] = np.einsum("lalb->abl", tail[where, where].reshape(q, S, q, S))
    return tuple(found[k] for k in range(len(pattern.blocks)))


def _tail_inverse(factor: PenalizedFactor) -> FloatArray:
    """Return the inverse of the tail, both halves."""
    if not len(factor.tail):
        return factor.tail
    lower, _ = dpotri(factor.tail, lower=1)
    full = np.tril(lower)
    return np.asarray(full + np.tril(full, -1).T)


def _times_links(
    factor: PenalizedFactor,
    found: dict[tuple[int, int], FloatArray],
    entries: list[FloatArray],
    j: int,
    k: int,
) -> FloatArray:
    """Return ``G_k,later V`` for the levels of chain block j, shape (S_k, S_j, q_j)."""
    pattern, step = factor.system.pattern, factor.chain[j]
    total = np.zeros_like(step.links[k])
    for m, link in step.links.items():
        at = found[min(k, m), max(k, m)][:, :, pattern.parents[j, min(k, m)]]
        total += faces.product(at if k <= m else faces.transposed(at), link)
    if pattern.tail:
        lifted = entries[k][:, pattern.lifts[j, k]]
        q = step.L.shape[2]
        columns = factor.system.couplings[j].columns
        for a, outer in enumerate(lifted):
            for b, inner in enumerate(step.entries):
                total[a, b] += np.bincount(columns, weights=outer * inner, minlength=q)
    return total


def _times_entries(
    factor: PenalizedFactor, entries: list[FloatArray], tail: FloatArray, j: int
) -> FloatArray:
    """Return ``G_tail,later V`` on the pattern of the coupling of chain block j, shape (S_j, nnz_j)."""
    pattern, step, coupling = factor.system.pattern, factor.chain[j], factor.system.couplings[j]
    product = inverse_product(coupling, tail, step.entries)
    for k, link in step.links.items():
        lifted = entries[k][:, pattern.lifts[j, k]]
        product += np.einsum("ask,ak->sk", link[:, :, coupling.columns], lifted)
    return product


def _transposed_by_column(M: FloatArray, entries: FloatArray, factor: PenalizedFactor, j: int) -> FloatArray:
    """Return ``M_l' E`` for every entry of level l of chain block j."""
    columns = factor.system.couplings[j].columns
    if len(M) == 1:
        return M[0, 0].take(columns) * entries
    return np.einsum("bak,bk->ak", M[:, :, columns], entries)


def _sum_products(first: FloatArray, second: FloatArray, factor: PenalizedFactor, j: int) -> FloatArray:
    """Return the sums by level of products of entries, shape (S, S, q)."""
    coupling = factor.system.couplings[j]
    S, q = len(first), coupling.n_levels
    out = np.empty((S, S, q))
    for a in range(S):
        for b in range(S):
            out[a, b] = np.bincount(coupling.columns, weights=first[a] * second[b], minlength=q)
    return out


def gather_rows(factor: PenalizedFactor, inverse: PatternInverse) -> RowInverse:
    """Return leverages and effects from the inverse on the pattern."""
    system, pattern = factor.system, factor.system.pattern
    z = [scaled_columns(block, T) for block, T in zip(system.blocks, factor.factors, strict=True)]
    n = len(system.codes[0])
    effects = [np.zeros((block.size, n)) for block in system.blocks]
    for (j, k), G in inverse.faces.items():
        _add_face(
            effects, z, pattern.chain[j], pattern.chain[k], G.take(system.codes[pattern.chain[j]], axis=2)
        )
    for j, E in enumerate(inverse.entries):
        for t, pairs, slots in zip(
            pattern.tail, pattern.couplings[j].pairs, pattern.couplings[j].slots, strict=True
        ):
            G = E[:, slots[:, pairs.of_row]]
            _add_face(effects, z, pattern.chain[j], t, G)
    _add_tail(effects, z, factor, inverse.tail)
    leverage = sum(
        np.einsum("sn,sn->n", np.broadcast_to(zk, e.shape), e) for zk, e in zip(z, effects, strict=True)
    )
    return RowInverse(np.asarray(leverage), tuple(effects))


def scaled_columns(block: Block, T: FloatArray) -> FloatArray:
    """Return ``T'z_i``, shape (S, n), or (1, 1) for a single column of ones."""
    if block.columns == (None,):
        return T
    n = len(block.codes)
    return np.asarray(T.T @ np.stack([np.ones(n) if z is None else z for z in block.columns]))


def _add_face(effects: list[FloatArray], z: list[FloatArray], j: int, k: int, G: FloatArray) -> None:
    """Add ``G z`` for blocks j and k of every row; G of shape (S_j, S_k, n)."""
    for a in range(G.shape[0]):
        for b in range(G.shape[1]):
            effects[j][a] += G[a, b] * z[k][b]
            if j != k:
                effects[k][b] += G[a, b] * z[j][a]


def _add_tail(
    effects: list[FloatArray], z: list[FloatArray], factor: PenalizedFactor, tail: FloatArray
) -> None:
    """Add the products within the tail, known covariances between levels applied to both sides."""
    system, pattern = factor.system, factor.system.pattern
    tail = related(tail, pattern)
    places = [
        pattern.offsets[r] + system.codes[t] * system.blocks[t].size for r, t in enumerate(pattern.tail)
    ]
    for r, t in enumerate(pattern.tail):
        for s in range(r + 1):
            rows = places[r] + np.arange(system.blocks[t].size)[:, None]
            columns = places[s] + np.arange(system.blocks[pattern.tail[s]].size)[:, None]
            _add_face(effects, z, t, pattern.tail[s], tail[rows[:, None], columns[None]])
