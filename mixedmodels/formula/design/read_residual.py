"""From ``residual="ar1(visit | subject)"`` and columns to a `ResidualDesign`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.structure import Positions, VarianceColumns
from mixedmodels.covariance.residual.variance import Ident
from mixedmodels.errors import DataError
from mixedmodels.formula.design.correlation_structures import correlation_structure
from mixedmodels.formula.design.positions import (
    as_times,
    coordinate_positions,
    level_positions,
    row_positions,
    step_positions,
)
from mixedmodels.formula.design.residual import ResidualDesign, VarianceRecipe, VarianceTerm
from mixedmodels.formula.design.residual_checks import refuse_twins, refuse_unseen
from mixedmodels.formula.evaluation.columns import Column, Matrix, as_factor
from mixedmodels.formula.language.dispersion import VarianceCall
from mixedmodels.formula.language.residual import ResidualCall
from mixedmodels.formula.language.syntax_tree import Node, binary, deparse


def residual_design(call: ResidualCall, columns: Mapping[str, Column], index: pd.Index) -> ResidualDesign:
    """Return the groups, positions and parameters that a structure has on the rows used.

    Parameters
    ----------
    call : ResidualCall
        What was asked for.
    columns : mapping
        Printed expression -> values on the rows used, of each of ``call.variables()``.
    index : pandas.Index
        Labels of these rows.

    Raises
    ------
    DataError
        When two rows of a group are at one position (named), or a correlation has no two rows to be seen in.
    """
    # 1. Which rows belong together, and which groups share parameters.
    codes, groups = _factor(call.group, columns, len(index))
    arms, arm_names = _arms(call, codes, len(groups), columns)
    # 2. Where they are.
    places = _places(call, codes, columns)
    positions, levels = places.positions, places.levels
    refuse_twins(call, codes, groups, positions, columns, index)
    # 3. The structure, and standard deviations that go with it.
    structure = correlation_structure(call, codes, positions, levels)
    refuse_unseen(call, structure, codes, positions, arms, arm_names, levels)
    return ResidualDesign(
        text=call.text,
        formula=call.formula,
        structure=structure,
        codes=codes,
        groups=groups,
        positions=positions,
        levels=levels,
        arms=arms,
        arm_names=arm_names,
        variance=_variance(call, (arms[codes], arm_names), columns, positions),
        group_name="" if call.group is None else deparse(call.group),
        time_name=call.time_name,
        call=call,
        origins=np.zeros(len(groups)) if places.origins is None else places.origins,
        step=places.step,
    )


def _factor(
    node: Node | None, columns: Mapping[str, Column], n_rows: int
) -> tuple[IntArray, tuple[str, ...]]:
    """Return codes and levels of a grouping factor; one level of no name where there is none."""
    if node is None:
        return np.zeros(n_rows, dtype=np.intp), ("",)
    name = deparse(node)
    column = columns[name]
    if isinstance(column, Matrix):
        raise DataError(f"the grouping factor {name} is a matrix; it must be a single variable")
    factor = as_factor(column)
    return factor.codes.astype(np.intp), factor.levels


def _arms(
    call: ResidualCall, codes: IntArray, n_groups: int, columns: Mapping[str, Column]
) -> tuple[IntArray, tuple[str, ...]]:
    """Return the arm of each group, and the names of the arms."""
    of_rows, names = _factor(call.arm, columns, len(codes))
    arms = np.zeros(n_groups, dtype=np.intp)
    arms[codes] = of_rows
    return arms, names


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Places:
    """Positions of rows, names of their levels, and how numbers are counted in steps."""

    positions: Positions
    levels: tuple[str, ...] = ()
    origins: FloatArray | None = None
    step: float = 1.0


def _places(call: ResidualCall, codes: IntArray, columns: Mapping[str, Column]) -> _Places:
    """Return where the rows of each group are."""
    by = call.kind.by
    if not call.times:
        order = row_positions(codes)
        if by == "coordinates":
            return _Places(order[:, None].astype(np.float64))
        return _Places(order, _numbered(order))
    names = [deparse(node) for node in call.times]
    found = [columns[name] for name in names]
    if by == "coordinates":
        return _Places(coordinate_positions(found, names, call.kind.base))
    times = as_times(found[0]) if by == "steps" else None
    if times is not None:
        steps = step_positions(times, codes, names[0])
        return _Places(steps.positions, (), steps.origins, steps.step)
    return _Places(*level_positions(found[0], names[0], call.kind.ordered))


def _numbered(order: IntArray) -> tuple[str, ...]:
    return tuple(str(k + 1) for k in range(int(order.max()) + 1))


def _variance(
    call: ResidualCall,
    design_arms: tuple[IntArray, tuple[str, ...]],
    columns: Mapping[str, Column],
    positions: Positions,
) -> VarianceTerm | None:
    """Return the standard deviations by arm and level that go with a structure; None for one of them."""
    arms, arm_names = design_arms
    levels: tuple[str, ...] = ("",)
    codes = np.zeros(len(arms), dtype=np.intp)
    if call.heterogeneous:
        codes, levels = _time_levels(call, columns, positions)
    cells, strata = np.unique(arms * len(levels) + codes, return_inverse=True)
    if len(cells) < 2:
        return None
    pairs = [divmod(int(cell), len(levels)) for cell in cells]
    names = [tuple(filter(None, (arm_names[a], levels[k]))) for a, k in pairs]
    nodes = [call.arm] if call.arm is not None else []
    nodes += list(call.times) if call.heterogeneous else []
    by = " * ".join(map(deparse, nodes)) or "1"
    strata_node = reduce(lambda left, right: binary(":", left, right), nodes) if nodes else None
    variance = VarianceCall(f"ident({by})", "ident", None, strata_node)
    return VarianceTerm(
        text=variance.text,
        formula=f"~1 | {by}",
        function=Ident(tuple(map("*".join, names))),
        columns=VarianceColumns(np.zeros((len(strata), 0)), strata.astype(np.intp)),
        uses_fitted=False,
        recipe=VarianceRecipe(variance, tuple(map(":".join, names))),
    )


def _time_levels(
    call: ResidualCall, columns: Mapping[str, Column], positions: Positions
) -> tuple[IntArray, tuple[str, ...]]:
    """Return codes and names of the levels of time, where positions are steps too."""
    if call.times:
        name = deparse(call.times[0])
        return level_positions(columns[name], name, ordered=False)
    return positions.astype(np.intp), _numbered(positions)
