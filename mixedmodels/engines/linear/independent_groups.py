"""Groups of levels that share no rows with each other, and their cross-products, dense within a group.

With one grouping factor every level is a group; with nested ones every level of the outermost, with all that
is nested in it; crossed factors are one group, as a rule, and so are levels that a known covariance relates.
Groups of like size are stacked, those with fewer levels padded with levels that have no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.formula.design.design import RandomTerm

#: Elements of the square matrices of one stack: 8 MB. A larger group is a stack of its own.
STACK_ELEMENTS = 1_000_000
#: A stack holds groups that are at least this share of its largest.
LIKE_SIZE = 0.75


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GroupStack:
    """Cross-products of m groups of at most s random effects, on the columns the engine works with.

    Attributes
    ----------
    ZZ : ndarray, shape (m, s, s)
        ``Z'WZ``; zero where a group has fewer levels than the largest.
    ZX : ndarray, shape (m, s, p)
        ``Z'W^1/2 Q``, with the orthonormal fixed effects.
    places : tuple of slice
        Where the effects of each term stand, level after level.
    """

    ZZ: FloatArray
    ZX: FloatArray
    places: tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IndependentGroups:
    """Which levels belong together.

    Attributes
    ----------
    of_level : tuple of ndarray, each (q,)
        Number of the group of every level, by term.
    counts : ndarray, shape (n_groups, n_terms)
        Number of levels of each term in each group.
    sizes : ndarray, shape (n_groups,)
        Number of random effects of each group.
    """

    of_level: tuple[IntArray, ...]
    counts: IntArray
    sizes: IntArray


def independent_groups(terms: Sequence[RandomTerm], weights: FloatArray | None) -> IndependentGroups:
    """Return the groups of levels of some terms that no row and no known covariance connects.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Random-effects terms.
    weights : ndarray, shape (n,), or None
        Prior weights; a row of weight zero connects nothing.
    """
    starts = np.concatenate([[0], np.cumsum([term.n_levels for term in terms])])
    rows = slice(None) if weights is None else np.flatnonzero(weights > 0.0)
    pairs = [
        np.stack([terms[0].codes[rows], start + term.codes[rows]])
        for term, start in zip(terms[1:], starts[1:], strict=False)
    ]
    return _groups_of(terms, starts, pairs)


def groups_by_products(terms: Sequence[RandomTerm], ZZ: sparse.coo_array) -> IndependentGroups:
    """Return the same, of levels that meet in a product of columns.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Random-effects terms.
    ZZ : coo_array, shape (q, q)
        Products of the columns of all random effects.
    """
    starts = np.concatenate([[0], np.cumsum([term.n_levels for term in terms])])
    level = np.concatenate(
        [
            np.repeat(np.arange(start, start + term.n_levels), term.size)
            for term, start in zip(terms, starts, strict=False)
        ]
    )
    return _groups_of(terms, starts, [np.stack([level[ZZ.row], level[ZZ.col]])])


def _groups_of(
    terms: Sequence[RandomTerm], starts: IntArray, pairs: list[npt.NDArray[Any]]
) -> IndependentGroups:
    """Return the groups of levels, counted through all terms, that pairs of them connect."""
    pairs = pairs + [
        np.stack([np.full(term.n_levels, start), np.arange(start, start + term.n_levels)])
        for term, start in zip(terms, starts, strict=False)
        if term.relationship is not None
    ]
    edges = np.concatenate([np.zeros((2, 0), dtype=np.intp), *pairs], axis=1)
    graph = sparse.coo_array((np.ones(edges.shape[1]), tuple(edges)), shape=(starts[-1], starts[-1]))
    n_groups, labels = connected_components(graph, directed=False)
    of_level = tuple(np.split(labels.astype(np.intp), starts[1:-1]))
    by_term = np.stack([np.bincount(own, minlength=n_groups) for own in of_level], axis=1)
    return IndependentGroups(of_level, by_term, by_term @ np.array([term.size for term in terms]))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RandomProducts:
    """Products of the columns of all random effects, on the columns the engine works with.

    Attributes
    ----------
    ZZ : coo_array, shape (q, q)
        ``Z'WZ``.
    ZX : ndarray, shape (q, p)
        ``Z'W^1/2 Q``, with the orthonormal fixed effects.
    """

    ZZ: sparse.coo_array
    ZX: FloatArray


def random_products(problem: LinearProblem) -> RandomProducts:
    """Return the products of the columns of the random effects of a problem with rows."""
    Z = _random_columns(problem)
    return RandomProducts(sparse.coo_array(Z.T @ Z), np.asarray(Z.T @ problem.fixed_basis.Q))


def group_stacks(
    problem: LinearProblem, groups: IndependentGroups, products: RandomProducts
) -> Iterator[GroupStack]:
    """Return the cross-products of all groups, stack after stack.

    Parameters
    ----------
    problem : LinearProblem
        The problem.
    groups : IndependentGroups
        Of its terms.
    products : RandomProducts
        Products of the columns of its random effects.
    """
    ZZ, ZX = products.ZZ, products.ZX
    sizes = [term.size for term in problem.terms]
    of_effect = np.concatenate([np.repeat(own, S) for own, S in zip(groups.of_level, sizes, strict=True)])
    ranks = [_ranks(own) for own in groups.of_level]
    for members in _like_sizes(groups.sizes):
        ends = np.cumsum(groups.counts[members].max(axis=0) * sizes).tolist()
        places = tuple(slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True))
        position = np.concatenate(
            [
                (where.start + rank[:, None] * S + np.arange(S)).ravel()
                for where, rank, S in zip(places, ranks, sizes, strict=True)
            ]
        )
        number = np.full(len(groups.sizes), -1)
        number[members] = np.arange(len(members))
        stack = number[of_effect]
        inside, effects = stack[ZZ.row] >= 0, stack >= 0
        row, column = ZZ.row[inside], ZZ.col[inside]
        square = np.zeros((len(members), ends[-1], ends[-1]))
        square[stack[row], position[row], position[column]] = ZZ.data[inside]
        fixed = np.zeros((len(members), ends[-1], ZX.shape[1]))
        fixed[stack[effects], position[effects]] = ZX[effects]
        yield GroupStack(square, fixed, places)


def _random_columns(problem: LinearProblem) -> sparse.csc_array:
    """Return Z on the engine's columns, rows weighted, effects of related levels made independent."""
    blocks = []
    for term, basis in zip(problem.terms, problem.column_bases, strict=True):
        n, S = len(term.Z), term.size
        Z = basis.columns(term.Z)
        Z = Z if problem.root_weights is None else Z * problem.root_weights[:, None]
        columns = term.codes.astype(np.intp)[:, None] * S + np.arange(S)
        entries = (np.ascontiguousarray(Z).ravel(), (np.repeat(np.arange(n), S), columns.ravel()))
        block = sparse.csc_array(sparse.coo_array(entries, shape=(n, term.n_levels * S)))
        if term.relationship is not None:
            block = block @ sparse.kron(
                sparse.csc_array(np.asarray(term.relationship)), sparse.csc_array(np.eye(S)), format="csc"
            )
        blocks.append(block)
    return sparse.csc_array(sparse.hstack(blocks, format="csc"))


def _ranks(labels: IntArray) -> IntArray:
    """Return the number of each element among those with its label."""
    order = np.argsort(labels, kind="stable")
    firsts = np.searchsorted(labels[order], labels[order], side="left")
    ranks = np.empty(len(labels), dtype=np.intp)
    ranks[order] = np.arange(len(labels)) - firsts
    return ranks


def _like_sizes(sizes: IntArray) -> Iterator[IntArray]:
    """Return the groups in stacks of like size, the largest first."""
    order = np.argsort(-sizes, kind="stable")
    first = 0
    while first < len(order):
        largest = int(sizes[order[first]])
        like = int(np.searchsorted(-sizes[order], -LIKE_SIZE * largest, side="right"))
        last = min(like, first + max(1, STACK_ELEMENTS // largest**2))
        yield order[first:last]
        first = last
