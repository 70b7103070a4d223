"""Products of the columns of all random effects, entry by entry, from sums over rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.linear.independent_groups import RandomProducts
from mixedmodels.engines.moments.problem import FixedPart, SumMeetings, TermColumns, meetings
from mixedmodels.engines.moments.sums import Sums
from mixedmodels.factorization.blocks import Block
from mixedmodels.formula.design.design import RandomTerm


def products_of_sums(
    sums: Sums,
    fixed: FixedPart,
    terms: Sequence[RandomTerm],
    columns: Sequence[TermColumns],
    orders: tuple[IntArray, ...],
) -> RandomProducts:
    """Return the products of the columns of the random effects; arguments as of ``problem_of_sums``."""
    terms = tuple(terms)
    met = meetings(sums, fixed.F, terms, columns, orders)
    sizes = np.array([term.n_levels * term.size for term in terms])
    starts, q = np.concatenate([[0], np.cumsum(sizes)]), int(sizes.sum())
    places = [_places(block, starts) for block in met.blocks]
    entries = [_entries(met, a, b, places) for a in range(len(places)) for b in range(a, len(places))]
    values, rows, others = (np.concatenate([e[k] for e in entries]) for k in range(3))
    ZZ = sparse.csc_array((values, (rows, others)), shape=(q, q))
    if any(term.relationship is not None for term in terms):
        R = sparse.block_diag([_relation(term) for term in terms], format="csc")
        ZZ = R.T @ ZZ @ R
    ZX = np.empty((q, len(fixed.projection)))
    for number, (block, place) in enumerate(zip(met.blocks, places, strict=True)):
        against = met.fixed(number)
        for s, (start, step) in enumerate(place):
            ZX[start + step * np.arange(block.n_levels)] = against[:, s].T
    return RandomProducts(sparse.coo_array(ZZ), ZX)


def _places(block: Block, starts: IntArray) -> list[tuple[int, int]]:
    """Return, for each column of a block, the effect of its first level and the step to the next."""
    return [
        (int(starts[k]) + s, size)
        for k, size in zip(block.terms, block.sizes, strict=True)
        for s in range(size)
    ]


def _entries(
    met: SumMeetings, a: int, b: int, places: list[list[tuple[int, int]]]
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the products of two blocks, of two different ones in both places: values, rows, columns."""
    if a == b:
        faces, S = met.faces(a), met.blocks[a].size
        first = second = np.arange(met.blocks[a].n_levels, dtype=np.intp)
        found = [((i, k), faces[i, k]) for i in range(S) for k in range(S)]
    else:
        pairs = met.pairs(a, b)
        first, second = pairs.first.astype(np.intp), pairs.second.astype(np.intp)
        found = list(met.pair_sums(pairs, a, b))
    values = [v for _, v in found]
    rows = [places[a][i][0] + places[a][i][1] * first for (i, _), _ in found]
    others = [places[b][k][0] + places[b][k][1] * second for (_, k), _ in found]
    if a != b:
        values, rows, others = values * 2, rows + others, others + rows
    return np.concatenate(values), np.concatenate(rows), np.concatenate(others)


def _relation(term: RandomTerm) -> sparse.csc_array:
    """Return the root of the known covariance between the levels of a term, for all of its columns."""
    root: Any = sparse.eye_array(term.n_levels)
    if term.relationship is not None:
        root = sparse.csc_array(np.asarray(term.relationship))
    return sparse.csc_array(sparse.kron(root, sparse.eye_array(term.size), format="csc"))
