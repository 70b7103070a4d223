"""From ``residual="ar1(visit | subject)"`` and columns to a `ResidualDesign`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.by_levels import Antedependence, Unstructured
from mixedmodels.covariance.residual.one_correlation import Autoregressive1, CompoundSymmetric, Independent
from mixedmodels.covariance.residual.structure import Positions, ResidualStructure, VarianceColumns
from mixedmodels.covariance.residual.variance import Ident
from mixedmodels.errors import DataError
from mixedmodels.formula.design.positions import (
    coordinate_positions,
    level_positions,
    row_positions,
    step_positions,
)
from mixedmodels.formula.design.residual import ResidualDesign, VarianceTerm
from mixedmodels.formula.evaluation.columns import Column, Matrix, as_factor
from mixedmodels.formula.language.residual import ResidualCall
from mixedmodels.formula.language.syntax_tree import Node, deparse

# More parameters than this come from a variable that is no visit, and no data tell them apart.
_MOST_PARAMETERS = 2000


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
    positions, levels = _positions(call, codes, columns)
    _refuse_twins(call, codes, groups, positions, columns, index)
    # 3. The structure, and standard deviations that go with it.
    structure = _structure(call, codes, positions, levels)
    _refuse_unseen(call, structure, codes, positions, arms, arm_names, levels)
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
        variance=_variance(call, arms[codes], arm_names, columns, positions),
        group_name="" if call.group is None else deparse(call.group),
        time_name=call.time_name,
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


def _positions(
    call: ResidualCall, codes: IntArray, columns: Mapping[str, Column]
) -> tuple[Positions, tuple[str, ...]]:
    """Return the positions of the rows, and the names of the levels of time."""
    if not call.times:
        places = row_positions(codes)
        if call.kind.by == "coordinates":
            return places[:, None].astype(np.float64), ()
        return places, tuple(str(k + 1) for k in range(int(places.max()) + 1))
    names = [deparse(node) for node in call.times]
    found = [columns[name] for name in names]
    if call.kind.by == "coordinates":
        return coordinate_positions(found, names, call.kind.base), ()
    if call.kind.by == "steps":
        return step_positions(found[0], names[0])
    return level_positions(found[0], names[0], call.kind.ordered)


def _refuse_twins(
    call: ResidualCall,
    codes: IntArray,
    groups: tuple[str, ...],
    positions: Positions,
    columns: Mapping[str, Column],
    index: pd.Index,
) -> None:
    """Raise where two rows of one group are at the same position, unless a nugget tells them apart."""
    if call.options.get("nugget", False):
        return
    places = positions if positions.ndim == 2 else positions[:, None]
    order = np.lexsort([*places.T, codes])
    same = (np.diff(codes[order]) == 0) & (np.diff(places[order], axis=0) == 0).all(axis=1)
    if not same.any():
        return
    first = int(np.argmax(same))
    rows = order[first : first + 2]
    where = ", ".join(
        f"{deparse(node)} = {_shown(columns[deparse(node)], int(rows[0]))}" for node in call.times
    )
    group = f" of {deparse(call.group)} {groups[codes[rows[0]]]}" if call.group is not None else ""
    advice = "a residual correlation needs one row a position and group: drop or average the others"
    if call.kind.by == "coordinates" and "nugget" in call.options:
        advice += ", or add nugget = TRUE"
    more = f", and {int(same.sum()) - 1} more such pairs" if same.sum() > 1 else ""
    labels = ", ".join(str(label) for label in index[rows])
    raise DataError(f"two rows{group} have {where} (rows {labels}){more}; {advice}")


def _shown(column: Column, row: int) -> str:
    """Return a value of a column as it is typed."""
    if isinstance(column, Matrix):
        return str(column.values[row].tolist())
    factor = as_factor(column)
    return factor.levels[int(factor.codes[row])]


def _structure(
    call: ResidualCall, codes: IntArray, positions: Positions, levels: tuple[str, ...]
) -> ResidualStructure:
    """Return the correlation structure for positions like these."""
    base = call.kind.base
    if base == "diag":
        return Independent()
    if base == "cs":
        return CompoundSymmetric(int(np.bincount(codes).max()))
    if base == "ar1":
        return Autoregressive1()
    return Antedependence(len(levels)) if base == "ante" else Unstructured(len(levels))


def _refuse_unseen(
    call: ResidualCall,
    structure: ResidualStructure,
    codes: IntArray,
    positions: Positions,
    arms: IntArray,
    arm_names: tuple[str, ...],
    levels: tuple[str, ...],
) -> None:
    """Raise where the data have no two rows in which a correlation could be seen."""
    if structure.n_parameters == 0:
        return
    if structure.n_parameters > min(_MOST_PARAMETERS, len(codes)):
        raise DataError(
            f"{call.text} has {structure.n_parameters} correlations, more than {len(codes)} rows tell apart; "
            f"is {call.time_name} a visit?"
        )
    counts = np.bincount(codes)
    for arm, name in enumerate(arm_names):
        among = f" of {deparse(call.arm)} {name}" if call.arm is not None else ""
        if counts[arms == arm].max() < 2:
            group = "group" if call.group is None else deparse(call.group)
            raise DataError(f"every {group}{among} has one row, so no correlation can be seen in {call.text}")
        rows = arms[codes] == arm
        if structure.name == "us":
            _refuse_unseen_pairs(call, codes[rows], positions[rows], levels, among)


def _refuse_unseen_pairs(
    call: ResidualCall, codes: IntArray, positions: Positions, levels: tuple[str, ...], among: str
) -> None:
    """Raise where no group has rows at two of the levels."""
    together = pairs_of_levels(codes, positions, len(levels))
    unseen = np.argwhere(np.triu(together == 0))
    if len(unseen) == 0:
        return
    first, second = (levels[k] for k in unseen[0].tolist())
    what = f"level {first}" if first == second else f"both {first} and {second}"
    more = f" (and {len(unseen) - 1} more pairs)" if len(unseen) > 1 else ""
    group = "group" if call.group is None else deparse(call.group)
    raise DataError(
        f"no {group}{among} has {what} of {call.time_name}{more}, so their correlation cannot be estimated; a structure with fewer parameters "
        "can: toep, ar1, cs"
    )


def pairs_of_levels(codes: IntArray, positions: IntArray, n_levels: int) -> FloatArray:
    """Return how many groups have rows at each two levels, shape (m, m)."""
    present = np.zeros((int(codes.max()) + 1, n_levels))
    present[codes, positions] = 1.0
    return np.asarray(present.T @ present)


def _variance(
    call: ResidualCall,
    arm_of_rows: IntArray,
    arm_names: tuple[str, ...],
    columns: Mapping[str, Column],
    positions: Positions,
) -> VarianceTerm | None:
    """Return the standard deviations by arm and level that go with a structure; None for one of them."""
    levels: tuple[str, ...] = ("",)
    codes = np.zeros(len(arm_of_rows), dtype=np.intp)
    if call.heterogeneous:
        codes, levels = _time_levels(call, columns, positions)
    cells, strata = np.unique(arm_of_rows * len(levels) + codes, return_inverse=True)
    if len(cells) < 2:
        return None
    pairs = [divmod(int(cell), len(levels)) for cell in cells]
    names = tuple("*".join(filter(None, (arm_names[a], levels[k]))) for a, k in pairs)
    factors = [deparse(call.arm)] if call.arm is not None else []
    by = " * ".join(factors + ([call.time_name or "1"] if call.heterogeneous else []))
    columns_ = VarianceColumns(np.zeros((len(strata), 0)), strata.astype(np.intp))
    return VarianceTerm(f"ident({by})", f"~1 | {by}", Ident(names), columns_)


def _time_levels(
    call: ResidualCall, columns: Mapping[str, Column], positions: Positions
) -> tuple[IntArray, tuple[str, ...]]:
    """Return codes and names of the levels of time, where positions are steps too."""
    if call.times:
        name = deparse(call.times[0])
        return level_positions(columns[name], name, ordered=False)
    names = tuple(str(k + 1) for k in range(int(positions.max()) + 1))
    return positions.astype(np.intp), names
