"""Which factors of a reference grid are nested in others, and which cells that leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import BoolArray
from mixedmodels.inference.emmeans.grid import Grid


def nesting_of(grid: Grid, terms: Sequence[frozenset[str]]) -> dict[str, tuple[str, ...]]:
    """Return each nested variable with the variables it is nested in.

    A variable is nested in another if each of its levels occurs with only one level of that, or if the model
    has it only in terms with the other, as ``a + a:b`` has b.

    Parameters
    ----------
    grid : Grid
        The reference grid.
    terms : sequence of frozenset of str
        The variables of each model term.
    """
    names = [name for name, levels in grid.levels.items() if len(levels) > 1]
    found: dict[str, list[str]] = {}
    for name in names:
        others = [other for other in names if other != name and name not in found.get(other, ())]
        nests = [other for other in others if _is_within(grid, name, other)]
        if nests:
            found[name] = nests
    for name in names:
        nests = _by_terms(name, names, terms)
        if nests:
            found[name] = list(dict.fromkeys([*found.get(name, ()), *nests]))
    return _closed(found)


def _is_within(grid: Grid, name: str, other: str) -> bool:
    """Tell whether every level of `name` that occurs does so with one level of `other` only."""
    seen = grid.counts > 0
    pairs = {tuple(pair) for pair in np.column_stack([grid.code(name), grid.code(other)])[seen].tolist()}
    return len(pairs) == len({inner for inner, _ in pairs}) and len(pairs) > 0


def _by_terms(name: str, names: Sequence[str], terms: Sequence[frozenset[str]]) -> list[str]:
    """Return what `name`, which has no term of its own, is nested in by R's coding of the terms with it.

    In a term whose part without `name` is in the model, it is nested in those that the term has in full:
    whose own margin, the term without them, is not in the model.
    """
    if frozenset([name]) in terms:
        return []
    own = [term for term in terms if name in term]
    with_margin = [term for term in own if term - {name} in terms] or own
    nests = [
        frozenset(x for x in term - {name} if term - {x} not in terms) & frozenset(names)
        for term in with_margin
    ]
    smallest = [nest for nest in nests if not any(other < nest for other in nests)]
    return [other for other in names if any(other in nest for nest in smallest)]


def _closed(found: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Return the nesting with what the nests themselves are nested in; a circle is no nesting."""
    closed = {name: tuple(nests) for name, nests in found.items()}
    for _ in found:  # a chain is no longer than the number of nested variables
        closed = {
            name: tuple(dict.fromkeys([*(far for near in nests for far in closed.get(near, ())), *nests]))
            for name, nests in closed.items()
        }
    return {name: nests for name, nests in closed.items() if name not in nests}


def cells_that_exist(grid: Grid, nesting: dict[str, tuple[str, ...]]) -> BoolArray:
    """Return the cells whose nested levels occur in the data within their nests, shape (m,)."""
    keep = np.ones(len(grid.codes), dtype=bool)
    for name, nests in nesting.items():
        present = [other for other in (name, *nests) if other in grid.levels]
        if name not in grid.levels:
            continue
        cell = grid.cell(present)
        total = np.bincount(cell, weights=grid.counts)
        keep &= total[cell] > 0
    return keep
