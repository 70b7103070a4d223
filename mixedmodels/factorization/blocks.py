"""Blocks of random effects: the terms that share a grouping factor, and the order of elimination."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IntArray
from mixedmodels.deferred import on_first_use
from mixedmodels.formula.design.design import RandomTerm

with on_first_use():
    from mixedmodels.formula.design import sparse_root

if TYPE_CHECKING:
    from mixedmodels.formula.design.sparse_root import SparseRoot


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Block:
    """The random effects of one grouping factor.

    Attributes
    ----------
    group : str
        Name of the grouping factor.
    terms : tuple of int
        Positions, in the design, of the terms gathered here.
    sizes : tuple of int
        Coefficients per level of each of those terms; their sum is S.
    codes : int32 ndarray, shape (n,)
        Level of each row.
    n_levels : int
        Number of levels, q.
    columns : tuple of ndarray or None, length S
        Columns of the raw model matrix; None stands for a column of ones.
    relationship : ndarray, shape (q, q), or None
        A square root R of the known covariance between levels, ``Z R`` taking the place of Z.
    precision : SparseRoot or None
        The known covariance as the inverse of a sparse matrix, Z left as it is.
    rotation : ndarray, shape (q, q), or None
        U of a relationship ``R = L U`` that makes ``R'Z'ZR`` diagonal.
    levels : ndarray of int, or None
        Levels of the grouping factor that the block holds; None for all.
    present : ndarray of bool, shape (n,), or None
        Rows at one of them; None for all. At others codes are 0 and columns zero.
    is_kept : bool
        Whether the block is never eliminated.
    """

    group: str
    terms: tuple[int, ...]
    sizes: tuple[int, ...]
    codes: CodeArray
    n_levels: int
    columns: tuple[FloatArray | None, ...]
    relationship: FloatArray | None = None
    precision: SparseRoot | None = None
    rotation: FloatArray | None = None
    levels: IntArray | None = None
    present: BoolArray | None = None
    is_kept: bool = False

    @property
    def size(self) -> int:
        """Number of coefficients per level, S."""
        return len(self.columns)

    @property
    def n_effects(self) -> int:
        """Number of random effects, q S."""
        return self.n_levels * len(self.columns)


def amalgamate(
    terms: Sequence[RandomTerm],
    *,
    sparse: bool = False,
    block: Callable[[Sequence[RandomTerm], list[int]], Block] | None = None,
) -> tuple[Block, ...]:
    """Gather the terms of each grouping factor into one block, largest number of random effects first.

    Terms with a relationship between levels stay alone: their levels are not exchangeable with others'.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Terms in design order.
    sparse : bool
        Whether relationships may be kept as sparse precisions; they are where all of them are sparse.
    block : callable, optional
        Makes a block of the terms at some positions; by default from their rows.
    """
    related = [term.relationship for term in terms if term.relationship is not None]
    sparse = sparse and all(isinstance(root, sparse_root.SparseRoot) for root in related)
    gathered: dict[str, list[int]] = {}
    for k, term in enumerate(terms):
        key = term.group if term.relationship is None else f"{term.group}\0{k}"
        gathered.setdefault(key, []).append(k)
    make = partial(_block, sparse=sparse) if block is None else block
    blocks = [make(terms, members) for members in gathered.values()]
    return tuple(sorted(blocks, key=lambda made: -made.n_effects))


def _block(terms: Sequence[RandomTerm], members: list[int], sparse: bool) -> Block:
    first = terms[members[0]]
    root = first.relationship
    is_precision = sparse and isinstance(root, sparse_root.SparseRoot)
    return Block(
        group=first.group,
        terms=tuple(members),
        sizes=tuple(terms[k].size for k in members),
        codes=first.codes,
        n_levels=first.n_levels,
        columns=tuple(own_column(terms[k].Z[:, i]) for k in members for i in range(terms[k].size)),
        relationship=None if root is None or is_precision else np.asarray(root),
        precision=root if is_precision and isinstance(root, sparse_root.SparseRoot) else None,
    )


def own_column(z: FloatArray) -> FloatArray | None:
    """Return a contiguous column, or None for a column of ones."""
    if z.size and z[0] == 1.0 and (z.strides[0] == 0 or bool((z == 1.0).all())):
        return None
    return np.ascontiguousarray(z, dtype=np.float64)


def block_factor(block: Block, factors: Sequence[FloatArray]) -> FloatArray:
    """Return the factor of a block: the factors T of its terms along the diagonal, shape (S, S)."""
    if len(block.terms) == 1:
        return factors[block.terms[0]]
    T = np.zeros((block.size, block.size))
    start = 0
    for k, size in zip(block.terms, block.sizes, strict=True):
        T[start : start + size, start : start + size] = factors[k]
        start += size
    return T


@cache
def _places(terms: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[tuple[int, slice], ...]:
    ends = list(accumulate(sizes))
    return tuple((k, slice(end - size, end)) for k, size, end in zip(terms, sizes, ends, strict=True))


def term_slices(block: Block) -> tuple[tuple[int, slice], ...]:
    """Return, for each term of the block, its position in the design and its coefficients in the block."""
    return _places(block.terms, block.sizes)
