"""Averages of the cells of a reference grid over the variables that are not asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError
from mixedmodels.inference.emmeans.grid import Grid, all_codes, combine, combine_offsets
from mixedmodels.inference.emmeans.nesting import cells_that_exist

#: Names of weights, or one weight for each combination averaged over, the first variable fastest.
Weights: TypeAlias = Any
WEIGHTS = ("equal", "proportional", "outer", "cells", "flat")


def average(grid: Grid, keep: Sequence[str], weights: Weights = "equal") -> Grid:
    """Return the means of a grid over all variables but `keep`.

    Levels of a nested variable that do not occur in a nest are no part of its mean, and cells of nested
    variables that are kept but do not occur are left out.

    Parameters
    ----------
    grid : Grid
        The cells.
    keep : sequence of str
        Variables of the means, in the order wanted; those that a kept variable is nested in join them.
    weights : {"equal", "proportional", "outer", "cells", "flat"} or array_like
        Weights of the cells averaged over.
    """
    _check_weights(weights)
    nested = [name for name in keep if name in grid.nesting]
    nests = [outer for name in nested for outer in grid.nesting[name]]
    wanted = list(dict.fromkeys([*nested, *nests, *keep])) if nested else list(keep)
    means = _average(grid, wanted, weights)
    inner = {name: nests for name, nests in grid.nesting.items() if name in wanted}
    exist = np.flatnonzero(cells_that_exist(means, inner))
    return replace(means.take(exist), nesting=inner)


def _average(grid: Grid, keep: Sequence[str], weights: Weights) -> Grid:
    """Average over nested variables first, one after the other, each within its nests; then over the rest."""
    inside = [name for name in grid.names if name in grid.nesting and name not in keep]
    if not inside:
        return plain_average(grid, keep, weights)
    innermost = max(inside, key=lambda name: len(grid.nesting[name]))
    groups = list(dict.fromkeys([*grid.nesting[innermost], *(n for n in inside if n != innermost)]))
    stage = list(dict.fromkeys([*keep, *groups]))
    means = _average_within(grid, innermost, groups, stage, weights)
    rest = {name: nests for name, nests in grid.nesting.items() if name in stage}
    return _average(replace(means, nesting=rest), keep, weights)


def _average_within(
    grid: Grid, name: str, groups: Sequence[str], stage: Sequence[str], weights: Weights
) -> Grid:
    """Average over `name` in every cell of `groups`, over the levels that occur there."""
    kept = np.zeros(len(grid.codes), dtype=bool)
    group, code = grid.cell(groups), grid.code(name)
    for g in np.unique(group):
        mine = group == g
        present = np.unique(code[mine & (grid.counts > 0)])
        kept |= mine & np.isin(code, present)
    return plain_average(grid.take(np.flatnonzero(kept)), stage, weights, within=groups)


def plain_average(grid: Grid, keep: Sequence[str], weights: Weights, within: Sequence[str] = ()) -> Grid:
    """Return the means over all variables but `keep`, nothing nested; NaN where nothing can be averaged.

    Frequencies are those in each cell of `within`.
    """
    over = [name for name in grid.names if name not in keep and len(grid.levels[name]) > 1]
    sizes = [len(grid.levels[name]) for name in keep]
    target = grid.cell(keep)
    w = _cell_weights(grid, over, weights, within)
    K = np.zeros((prod(sizes), len(grid.codes)))
    K[target, np.arange(len(target))] = w
    total = K.sum(axis=1)
    K[total == 0.0] = np.nan
    K /= np.where(total == 0.0, 1.0, total)[:, None]
    counts = np.asarray(np.bincount(target, weights=grid.counts, minlength=len(K)), dtype=np.float64)
    averaged = tuple(dict.fromkeys([*grid.averaged, *over]))
    levels = {name: grid.levels[name] for name in keep}
    return Grid(
        levels, all_codes(sizes), combine(K, grid.L), combine_offsets(K, grid.offset), counts, {}, averaged
    )


def _check_weights(weights: Weights) -> None:
    named = isinstance(weights, str)
    if (named and weights not in WEIGHTS) or (not named and np.ndim(weights) != 1):
        raise ControlError(
            f"weights must be one of {', '.join(map(repr, WEIGHTS))} or one number for each combination that "
            f"is averaged over, not {shown(weights)}."
        )
    if named:
        return
    given = np.asarray(pd.to_numeric(np.asarray(weights, dtype=object), errors="coerce"), dtype=np.float64)
    if not np.isfinite(given).all() or (given < 0.0).any():
        raise ControlError(f"weights must be numbers that are zero or more, not {shown(weights)}.")


def _cell_weights(grid: Grid, over: Sequence[str], weights: Weights, within: Sequence[str]) -> FloatArray:
    """Return the weight of each cell of the grid, not normalized, shape (m,)."""
    counts = grid.counts if grid.counts.any() else np.ones(len(grid.codes))
    if isinstance(weights, str):
        if weights == "cells":
            return counts
        if weights == "flat":
            return (counts > 0).astype(np.float64)
        if weights == "equal" or not over:
            return np.ones(len(counts))
        if weights == "outer":
            return np.asarray(np.prod([_margin(grid, [*within, name], counts) for name in over], axis=0))
        return _margin(grid, [*within, *over], counts)
    given = np.asarray(weights, dtype=np.float64)
    cells = prod(len(grid.levels[name]) for name in over)
    if len(given) != cells:
        what = f"the levels of {' and '.join(over)}" if over else "one combination"
        raise ControlError(
            f"weights has {len(given)} numbers; it needs {cells}, for {what}, the first varying fastest."
        )
    return given[grid.cell(over)]


def _margin(grid: Grid, names: Sequence[str], counts: FloatArray) -> FloatArray:
    """Return, for each cell of the grid, the total count of its combination of `names`."""
    cell = grid.cell(names)
    return np.asarray(np.bincount(cell, weights=counts)[cell], dtype=np.float64)
