"""What no correlation structure can be fitted to: two rows at one position, pairs that never occur."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.structure import Positions, ResidualStructure
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.evaluation.columns import Column, Matrix, as_factor
from mixedmodels.formula.language.residual import ResidualCall
from mixedmodels.formula.language.syntax_tree import deparse

# More parameters than this come from a variable that is no visit, and no data tell them apart.
_MOST_PARAMETERS = 2000


def refuse_twins(
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


def refuse_unseen(
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
            raise DataError(
                f"every {call.subject_name}{among} has one row, so no correlation can be seen in {call.text}"
            )
        rows = arms[codes] == arm
        if structure.name == "us":
            _refuse_unseen_pairs(call, codes[rows], positions[rows], levels, among)
        if structure.name == "toep":
            _refuse_unseen_lags(call, codes[rows], positions[rows], structure.n_parameters, among)


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
    raise DataError(
        f"no {call.subject_name}{among} has {what} of {call.time_name}{more}, so their correlation cannot be "
        "estimated; a structure with fewer parameters can: toep, ar1, cs"
    )


def _refuse_unseen_lags(
    call: ResidualCall, codes: IntArray, positions: Positions, n_lags: int, among: str
) -> None:
    """Raise where no two rows of a group are so many steps apart."""
    first, second = np.nonzero(np.triu(pairs_of_levels(codes, positions, int(positions.max()) + 1), 1))
    unseen = np.setdiff1d(np.arange(1, n_lags + 1), second - first)
    if len(unseen):
        raise DataError(
            f"no {call.subject_name}{among} has rows {listed(unseen.tolist())} steps of {call.time_name} "
            f"apart, so {call.text} has correlations that cannot be estimated; make {call.time_name} "
            "categorical to count its levels as steps, or take ar1() or car1()"
        )


def pairs_of_levels(codes: IntArray, positions: IntArray, n_levels: int) -> FloatArray:
    """Return how many groups have rows at each two levels, shape (m, m)."""
    present = np.zeros((int(codes.max()) + 1, n_levels))
    present[codes, positions] = 1.0
    return np.asarray(present.T @ present)
