"""The inverse on the pattern of ``Z'WZ``: conditional variances, leverages and the trace terms of gradients.

All of it is ``V = Lambda Omega^-1 Lambda'``, the conditional covariance of b over sigma^2, computed backwards
through the steps of the elimination (Takahashi's recursion),

    N_l = A_l,rest V_rest A_rest,l,   V_l,rest = -P_l A_l,rest V_rest,   V_ll = P_l + P_l N_l P_l,

so that only entries on the pattern are ever needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization.constant.blocked import Factor
from mixedmodels.factorization.constant.rest import FixedRest
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.kernels import faces

if TYPE_CHECKING:
    from mixedmodels.factorization.constant.dense_tail import DenseTailInverse
    from mixedmodels.factorization.constant.sparse_tail import SparseTailInverse


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ChainInverse:
    """Inverse of one eliminated block.

    Attributes
    ----------
    N : ndarray, shape (S, S, q)
        ``A_l,rest V_rest A_rest,l``.
    faces : ndarray, shape (S, S, q)
        ``V_ll``.
    entries : ndarray, shape (S, nnz), or None
        V against the tail's random effects, at the entries of the coupling.
    links : dict
        ``links[k]``, shape (S_k, S, q): V against a later chain block, at the level each level lies in.
    XZ : ndarray, shape (p, S, q), or None
        V against the fixed effects.
    """

    N: FloatArray
    faces: FloatArray
    entries: FloatArray | None
    links: dict[int, FloatArray]
    XZ: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Inverse:
    """``V`` on the pattern.

    Attributes
    ----------
    tail : DenseTailInverse or SparseTailInverse
        Part of the tail and the fixed effects.
    chain : tuple of ChainInverse
        One for each step.
    """

    tail: DenseTailInverse | SparseTailInverse
    chain: tuple[ChainInverse, ...]


def invert_on_pattern(factor: Factor, *, fixed_effects: bool, cross: bool) -> Inverse:
    """Compute the inverse on the pattern.

    Parameters
    ----------
    factor : Factor
        From :func:`~mixedmodels.factorization.constant.blocked.factorize`.
    fixed_effects : bool
        Include the uncertainty of beta (REML); otherwise beta is known (ML).
    cross : bool
        Also compute V between the leading block and the rest; later chain blocks always have it.
    """
    tail = factor.tail.invert(fixed_effects)
    chain: dict[int, ChainInverse] = {}
    for j in reversed(range(len(factor.steps))):
        chain[j] = _invert_step(factor, j, tail, chain, cross or j > 0)
    return Inverse(tail, tuple(chain[j] for j in range(len(factor.steps))))


def level_faces(factor: Factor, inverse: Inverse, j: int, fixed: FloatArray | None) -> FloatArray:
    """Return V of every level of a chain block, shape (S, S, q), also of one on an eigenbasis.

    Parameters
    ----------
    factor : Factor
        Factorization.
    inverse : Inverse
        Its inverse on the pattern.
    j : int
        Place of the block in the chain.
    fixed : ndarray, shape (p, p), or None
        Covariance of the fixed effects over sigma^2; None if they are held fixed.
    """
    block, step = factor.pattern.blocks[factor.pattern.chain[j]], factor.steps[j]
    if block.rotation is None:
        return inverse.chain[j].faces
    assert block.relationship is not None and isinstance(step.rest, FixedRest)
    own = block.relationship**2 @ step.P[0, 0]
    if fixed is not None:
        by_level = (step.rest.XZ[:, 0] * step.P[0, 0]) @ block.relationship.T
        own += np.einsum("pl,pl->l", by_level, fixed @ by_level)
    return np.asarray(own[None, None])


def _invert_step(
    factor: Factor,
    j: int,
    tail: DenseTailInverse | SparseTailInverse,
    chain: dict[int, ChainInverse],
    cross: bool,
) -> ChainInverse:
    step, pattern = factor.steps[j], factor.pattern
    N = step.rest.sandwich(tail.V)
    along = {k: _along_link(factor, j, k, chain) for k in step.links}
    for k, link in step.links.items():
        half = faces.product(faces.transposed(link), along[k])
        N += half + faces.transposed(half)
        for k2, link2 in step.links.items():
            between = _between(pattern, j, k, k2, chain)
            N += faces.product(faces.product(faces.transposed(link), between), link2)
    PN = faces.product(step.P, N)
    V = step.P + faces.product(PN, step.P)
    if not cross:
        return ChainInverse(N, V, None, {}, None)
    return _with_cross(factor, j, tail, chain, N, V, along)


def _along_link(factor: Factor, j: int, k: int, chain: dict[int, ChainInverse]) -> FloatArray:
    """Return ``V_k,tail A_tail,j`` at the level of k each level of j lies in, shape (S_k, S_j, q_j)."""
    rest, parent = factor.steps[j].rest, factor.pattern.parents[j, k]
    V = chain[k]
    assert V.entries is not None and V.XZ is not None
    at_entries = V.entries[:, factor.pattern.lifts[j, k]] if factor.pattern.tail else V.entries
    return rest.along(at_entries, V.XZ[:, :, parent])


def _between(pattern: Pattern, j: int, k: int, k2: int, chain: dict[int, ChainInverse]) -> FloatArray:
    """Return V between chain blocks k and k2 at the levels each level of j lies in, (S_k, S_k2, q_j)."""
    if k == k2:
        return np.asarray(chain[k].faces[:, :, pattern.parents[j, k]])
    if k > k2:
        return np.asarray(chain[k2].links[k][:, :, pattern.parents[j, k2]])
    return faces.transposed(chain[k].links[k2][:, :, pattern.parents[j, k]])


def _with_cross(
    factor: Factor,
    j: int,
    tail: DenseTailInverse | SparseTailInverse,
    chain: dict[int, ChainInverse],
    N: FloatArray,
    V: FloatArray,
    along: dict[int, FloatArray],
) -> ChainInverse:
    step, pattern = factor.steps[j], factor.pattern
    at_entries, at_X = step.rest.sampled_product(tail.V)
    links = {}
    for k, link in step.links.items():
        parent, later = pattern.parents[j, k], chain[k]
        assert later.entries is not None and later.XZ is not None
        at_X += np.einsum("kjl,pkl->pjl", link, later.XZ[:, :, parent])
        if pattern.tail:
            lifted = later.entries[:, pattern.lifts[j, k]]
            at_entries += np.einsum("kjl,kl->jl", link[:, :, pattern.couplings[j].columns], lifted)
        total = along[k]
        for k2, link2 in step.links.items():
            total = total + faces.product(_between(pattern, j, k, k2, chain), link2)
        links[k] = -faces.product(total, step.P)
    return ChainInverse(
        N,
        V,
        -faces.apply(step.P[:, :, pattern.couplings[j].columns], at_entries),
        links,
        -faces.right_product(at_X, step.P),
    )
