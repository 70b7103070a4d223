"""Cross-products of crossed factors arranged as an arrow, for an approximation without a large dense matrix.

Blocks of random effects fall into three groups. The *leading* block is eliminated exactly. The *core* are the
small ones, kept dense together with the fixed effects. The *middle* are all others: of what the elimination
leaves of them the approximation keeps the diagonal faces and the rows against the core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization.constant.cross_products import CrossProducts
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix
from mixedmodels.factorization.pattern import Pattern

#: Most random effects in the core, and most doubles that hold it against the leading block.
MOST_CORE, MOST_CORE_DOUBLES = 100, 4_000_000

#: Effects of one block, effects of another and the cross-product of each pair.
Entries = tuple[IntArray, IntArray, FloatArray]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PairSums:
    """Cross-products of two blocks at the pairs of levels that occur.

    Attributes
    ----------
    first, second : ndarray, shape (n_pairs,)
        Levels of either block.
    values : ndarray, shape (S_second, S_first, n_pairs)
        Cross-products.
    """

    first: IntArray
    second: IntArray
    values: FloatArray

    def turned(self) -> PairSums:
        """Return the same pairs, the second block first."""
        return PairSums(self.second, self.first, self.values.transpose(1, 0, 2))

    def entries(self) -> Entries:
        """Return effects of the second block, of the first, and their cross-products."""
        S2, S1, _ = shape = self.values.shape
        rows = np.broadcast_to(self.second * S2 + np.arange(S2)[:, None, None], shape)
        columns = np.broadcast_to(self.first * S1 + np.arange(S1)[:, None], shape)
        return rows.ravel(), columns.ravel(), self.values.ravel()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Group:
    """Blocks whose effects are numbered in one row, level by level.

    Attributes
    ----------
    blocks : tuple of int
        Blocks of the pattern.
    slices : tuple of slice
        Effects of each.
    n_effects : int
        Effects of all.
    """

    blocks: tuple[int, ...]
    slices: tuple[slice, ...]
    n_effects: int

    def __iter__(self) -> Iterator[tuple[int, slice]]:
        return iter(zip(self.blocks, self.slices, strict=True))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Arrow:
    """Cross-products of a problem in three groups.

    Attributes
    ----------
    lead : int
        Block eliminated exactly.
    middle, core : Group
        The other blocks.
    sizes : tuple of (int, int)
        Coefficients per level and levels of each block, (S, q).
    faces : tuple of ndarray, each (S, S, q)
        Diagonal faces of each block.
    lead_pairs : tuple of PairSums
        The leading block with each middle block.
    E : csr_array, shape (n_middle, q_lead S_lead)
        The same as a matrix.
    within : csr_array, shape (n_middle, n_middle)
        Middle effects among themselves.
    core_lead : ndarray, shape (c, S_lead, q_lead)
        Core and fixed effects, c together, against the leading block.
    core_middle : ndarray, shape (c, n_middle)
        The same against the middle.
    core_core : ndarray, shape (c, c)
        The same among themselves.
    """

    lead: int
    middle: Group
    core: Group
    sizes: tuple[tuple[int, int], ...]
    faces: tuple[FloatArray, ...]
    lead_pairs: tuple[PairSums, ...]
    E: csr_array
    within: csr_array
    core_lead: FloatArray
    core_middle: FloatArray
    core_core: FloatArray


def build_arrow(pattern: Pattern, A: CrossProducts) -> Arrow:
    """Arrange the cross-products of a pattern that has a chain and a tail."""
    lead, sizes = pattern.chain[0], tuple((block.size, block.n_levels) for block in pattern.blocks)
    middle, core = _divide(sizes, lead)
    pairs = pair_sums(pattern, A)
    S, q = sizes[lead]
    n, p = core.n_effects, len(A.XX)
    core_lead, core_middle = np.zeros((n + p, q * S)), np.zeros((n + p, middle.n_effects))
    core_lead[n:] = by_level(A.XZ[lead])
    across: list[Entries] = []
    for b, where in middle:
        core_middle[n:, where] = by_level(A.XZ[b])
        rows, columns, values = pairs[lead, b].entries()
        across.append((where.start + rows, columns, values))
    for c, here in core:
        rows, columns, values = pairs[lead, c].entries()
        core_lead[here.start + rows, columns] = values
        for b, where in middle:
            rows, columns, values = pairs[b, c].entries()
            core_middle[here.start + rows, where.start + columns] = values
    return Arrow(
        lead=lead,
        middle=middle,
        core=core,
        sizes=sizes,
        faces=A.faces,
        lead_pairs=tuple(pairs[lead, b] for b in middle.blocks),
        E=_matrix(across, (middle.n_effects, q * S)),
        within=_among(middle, pairs, A.faces),
        core_lead=np.ascontiguousarray(core_lead.reshape(n + p, q, S).transpose(0, 2, 1)),
        core_middle=core_middle,
        core_core=_bordered(core, pairs, A),
    )


def _divide(sizes: Sequence[tuple[int, int]], lead: int) -> tuple[Group, Group]:
    """Return the middle and the core: the smallest blocks, while they are few effects together."""
    n_effects = [S * q for S, q in sizes]
    others = sorted((b for b in range(len(sizes)) if b != lead), key=lambda b: n_effects[b])
    most = min(MOST_CORE, MOST_CORE_DOUBLES // n_effects[lead])
    together = np.cumsum([n_effects[b] for b in others])
    n_core = int((together <= most).sum())
    return _group(others[n_core:], n_effects), _group(others[:n_core], n_effects)


def _group(blocks: Sequence[int], n_effects: Sequence[int]) -> Group:
    ends = np.cumsum([0, *(n_effects[b] for b in blocks)]).tolist()
    return Group(tuple(blocks), tuple(map(slice, ends[:-1], ends[1:])), ends[-1])


def by_level(rows: FloatArray) -> FloatArray:
    """Return rows against one block, shape (m, S, q), with its effects level by level, (m, q S)."""
    m, S, q = rows.shape
    return np.asarray(rows.transpose(0, 2, 1).reshape(m, q * S))


def _among(group: Group, pairs: dict[tuple[int, int], PairSums], faces: Sequence[FloatArray]) -> csr_array:
    """Return the effects of a group among themselves."""
    inside: list[Entries] = []
    for b, where in group:
        levels = np.arange(faces[b].shape[2])
        rows, columns, values = PairSums(levels, levels, faces[b]).entries()
        inside.append((where.start + rows, where.start + columns, values))
    for (b, at), (c, below) in combinations(group, 2):
        rows, columns, values = pairs[b, c].entries()
        inside.append((below.start + rows, at.start + columns, values))
        inside.append((at.start + columns, below.start + rows, values))
    return _matrix(inside, (group.n_effects, group.n_effects))


def _bordered(core: Group, pairs: dict[tuple[int, int], PairSums], A: CrossProducts) -> FloatArray:
    """Return core and fixed effects among themselves."""
    n, p = core.n_effects, len(A.XX)
    K = np.zeros((n + p, n + p))
    K[n:, n:] = A.XX
    if n:
        K[:n, :n] = _among(core, pairs, A.faces).toarray()
    for c, here in core:
        K[n:, here] = by_level(A.XZ[c])
        K[here, n:] = K[n:, here].T
    return K


def _matrix(parts: Sequence[Entries], shape: tuple[int, int]) -> csr_array:
    if not parts:
        return csr_array(shape)
    rows, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return csr_array((values, (rows, columns)), shape=shape)


def pair_sums(pattern: Pattern, A: CrossProducts) -> dict[tuple[int, int], PairSums]:
    """Return the cross-products of every two blocks b and c of the pattern, by (b, c) and by (c, b)."""
    pairs = {}
    for j, c in enumerate(pattern.chain):
        levels = np.arange(pattern.blocks[c].n_levels)
        for k in range(j + 1, len(pattern.chain)):
            pairs[c, pattern.chain[k]] = PairSums(levels, pattern.parents[j, k], A.links[j, k])
        for r, t in enumerate(pattern.tail):
            pairs[c, t] = _chain_pairs(pattern, A, j, r)
    for r, s in combinations(range(len(pattern.tail)), 2):
        pairs[pattern.tail[r], pattern.tail[s]] = _tail_pairs(pattern, A, r, s)
    return pairs | {(c, b): sums.turned() for (b, c), sums in pairs.items()}


def _chain_pairs(pattern: Pattern, A: CrossProducts, j: int, r: int) -> PairSums:
    """Return the cross-products of the j-th chain block and the r-th tail block."""
    coupling, where, S = pattern.couplings[j], pattern.tail_slice(r), pattern.blocks[pattern.tail[r]].size
    # Entries are sorted by level, then row: the coefficients of one pair of levels stand side by side.
    own = np.flatnonzero((coupling.rows >= where.start) & (coupling.rows < where.stop)).reshape(-1, S)
    first, second = coupling.columns[own[:, 0]], (coupling.rows[own[:, 0]] - where.start) // S
    values = A.rests[j].entry_values()
    return PairSums(first.astype(np.intp), second.astype(np.intp), np.stack([values[:, k] for k in own.T]))


def _tail_pairs(pattern: Pattern, A: CrossProducts, r: int, s: int) -> PairSums:
    """Return the cross-products of the r-th and the s-th tail block."""
    if isinstance(A.tail, SparseMatrix):
        return _sparse_tail_pairs(pattern, A.tail, r, s)
    R, S = (pattern.blocks[pattern.tail[k]].size for k in (r, s))
    dense = A.tail[pattern.tail_slice(r), pattern.tail_slice(s)]
    faces = dense.reshape(dense.shape[0] // R, R, dense.shape[1] // S, S)
    first, second = np.nonzero(faces.any(axis=(1, 3)))
    return PairSums(first, second, faces[first, :, second].transpose(2, 1, 0))


def _sparse_tail_pairs(pattern: Pattern, tail: SparseMatrix, r: int, s: int) -> PairSums:
    """Return the same from a sparse tail, whose pattern has pairs that only meet through the chain too."""
    piece = next(piece for piece in tail.layout.pieces if piece.blocks == (s, r))
    values, levels = tail.faces(piece), []
    occur = values.any(axis=(0, 1))
    for block, at in ((s, tail.layout.rows), (r, tail.layout.columns)):
        first = at[piece.where].reshape(piece.shape)[0, 0, occur] - pattern.offsets[block]
        levels.append(first // pattern.blocks[pattern.tail[block]].size)
    return PairSums(levels[1], levels[0], values[:, :, occur])
