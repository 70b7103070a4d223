"""From ``corr="ar1"`` to a working correlation that the groups can have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.gee.correlation.autoregressive import Autoregressive
from mixedmodels.engines.gee.correlation.by_lag import ByLag
from mixedmodels.engines.gee.correlation.exchangeable import Exchangeable
from mixedmodels.engines.gee.correlation.fixed import Fixed
from mixedmodels.engines.gee.correlation.independence import Independence
from mixedmodels.engines.gee.correlation.structure import WorkingCorrelation
from mixedmodels.engines.gee.correlation.unstructured import unstructured
from mixedmodels.engines.gee.problem import MOST_PAIRS, GeeProblem
from mixedmodels.errors import ControlError, DataError

#: Structures by name, as messages list them.
NAMES = "'independence', 'exchangeable', 'ar1', 'unstructured', 'm-dependent(2)', 'toeplitz' or a matrix"
#: What other programs call them, in small letters.
FOREIGN = {
    "ind": "independence", "indep": "independence", "independent": "independence", "cs": "exchangeable",
    "exch": "exchangeable", "compound symmetry": "exchangeable", "ar": "ar1", "ar-1": "ar1", "ar(1)": "ar1",
    "ar-m": "ar1", "autoregressive": "ar1", "un": "unstructured", "unstr": "unstructured",
    "m-dependent": "m-dependent(1)", "mdep": "m-dependent(1)", "stat_m_dep": "m-dependent(1)",
    "non_stat_m_dep": "unstructured", "toep": "toeplitz",
}  # fmt: skip
#: More correlations than this come from a variable that is no visit.
MOST_PARAMETERS = 2000
#: Rounding of a matrix that was computed: elements and their mirror images, and the diagonal of ones.
SYMMETRIC = 1e-8


@dataclass(frozen=True, slots=True)
class GroupNames:
    """What groups and times are called, for messages.

    Attributes
    ----------
    group : str
        The variable of groups.
    groups : tuple of str
        Names of the groups, by their codes.
    time : str
        The variable of time; empty where rows count in their order.
    times : tuple of str
        Names of the times.
    """

    group: str
    groups: tuple[str, ...]
    time: str
    times: tuple[str, ...]


def working_correlation(corr: Any, problem: GeeProblem, names: GroupNames) -> WorkingCorrelation:
    """Return the structure that was asked for.

    Raises
    ------
    ControlError
        If there is no such structure, or a matrix is no correlation matrix.
    DataError
        If the groups cannot have it: the first such group is named.
    """
    if not isinstance(corr, str):
        return _fixed(corr, problem, names)
    name = corr.strip().lower()
    if name == "independence":
        return Independence()
    m = re.fullmatch(r"m-dependent\((\d+)\)", name)
    if name not in ("exchangeable", "ar1", "unstructured", "toeplitz", "stationary") and m is None:
        raise ControlError(_unknown(corr, name))
    _refuse_unseen(corr, problem, names)
    if name == "exchangeable":
        return Exchangeable()
    if problem.n_pairs > MOST_PAIRS:
        raise DataError(
            f"corr={corr!r} looks at every two rows of a {names.group}, and there are {problem.n_pairs:,} "
            "such pairs; corr='exchangeable' and 'independence' take groups of any size."
        )
    if name == "ar1":
        return Autoregressive()
    if name == "unstructured":
        return _unstructured(problem, names)
    return _by_lag(corr, problem, None if m is None else int(m.group(1)))


def _unknown(corr: str, name: str) -> str:
    meant = FOREIGN.get(name)
    instead = f"write corr={meant!r}" if meant else f"write {NAMES}"
    if name in ("fixed", "userdefined", "user-defined"):
        instead = "give the correlation matrix itself, corr=R"
    return f"corr={corr!r} is no working correlation: {instead}."


def _refuse_unseen(corr: str, problem: GeeProblem, names: GroupNames) -> None:
    """Raise DataError where no group has two rows, so that no correlation can be seen."""
    if problem.sizes.max() < 2:
        raise DataError(
            f"every {names.group} has one row, so that there is no correlation to estimate for "
            f"corr={corr!r}; "
            "corr='independence' has none."
        )


def _unstructured(problem: GeeProblem, names: GroupNames) -> WorkingCorrelation:
    count = len(names.times) * (len(names.times) - 1) // 2
    if count > MOST_PARAMETERS:
        what = f"{names.time} has" if names.time else "the largest groups have"
        raise DataError(
            f"corr='unstructured' has a correlation for every two of the {len(names.times)} places that "
            f"{what}, {count:,} in all; 'ar1', 'm-dependent(2)' and 'exchangeable' have few."
        )
    return unstructured(problem, names.times)


def _by_lag(corr: str, problem: GeeProblem, most: int | None) -> WorkingCorrelation:
    pairs = problem.pairs
    lags = np.unique(problem.positions[pairs.second] - problem.positions[pairs.first])
    if most is None:
        return ByLag("toeplitz", lags)
    if most < 1 or not (lags <= most).any():
        raise ControlError(
            f"corr={corr!r} has no correlation at all: no two rows of a group are so few steps apart; write "
            f"'m-dependent({int(lags[0])})' or more."
        )
    return ByLag(f"m-dependent({most})", lags[lags <= most])


# A matrix that was given.


def _fixed(corr: Any, problem: GeeProblem, names: GroupNames) -> Fixed:
    R = _matrix(corr, names)
    _refuse_other_sizes(len(R), problem, names)
    present: IntArray = np.unique(problem.positions)
    _require_correlation(R[np.ix_(present, present)])
    return Fixed(R)


def _matrix(corr: Any, names: GroupNames) -> FloatArray:
    """Return a matrix of numbers in the order of the times."""
    if isinstance(corr, pd.DataFrame):
        labels = [str(label) for label in corr.index]
        if set(labels) >= set(names.times) and labels == [str(label) for label in corr.columns]:
            order = [labels.index(time) for time in names.times]
            corr = corr.iloc[order, order]
    shape = np.shape(corr)
    if len(shape) != 2 or shape[0] != shape[1]:
        what = f"of shape {shape}" if shape else f"{corr!r}"
        raise ControlError(f"corr must be {NAMES}, square and symmetric; it is {what}.")
    try:
        R = np.asarray(corr, dtype=np.float64)
    except (TypeError, ValueError):
        raise ControlError("corr must be a matrix of numbers.") from None
    if not np.isfinite(R).all():
        i, j = np.argwhere(~np.isfinite(R))[0].tolist()
        raise ControlError(f"corr has no number at row {i + 1}, column {j + 1} (counting from 1).")
    return R


def _refuse_other_sizes(T: int, problem: GeeProblem, names: GroupNames) -> None:
    """Raise where the rows of a group do not fit a matrix."""
    if names.time:
        if len(names.times) != T:
            raise ControlError(
                f"corr is {T} x {T}, and {names.time} has {len(names.times)} values: give one row and column "
                "for each of them, in their order."
            )
        return
    other = np.flatnonzero(problem.sizes != T)
    if len(other):
        group, size = names.groups[problem.grouping.codes[other[0]]], int(problem.sizes[other[0]])
        more = f" (and {len(other) - 1} more differ)" if len(other) > 1 else ""
        raise DataError(
            f"corr is {T} x {T}, and {names.group} {group} has {size} row{'s' * (size > 1)}{more}: give "
            "time=, the variable that says which rows and columns of corr are those of a group."
        )


def _require_correlation(R: FloatArray) -> None:
    """Raise ControlError unless a matrix is symmetric, with ones on its diagonal, and positive definite."""
    if np.abs(np.diagonal(R) - 1.0).max() > SYMMETRIC:
        i = int(np.argmax(np.abs(np.diagonal(R) - 1.0)))
        raise ControlError(
            f"corr must have ones on its diagonal, not {R[i, i]:.6g} in row {i + 1}; a covariance matrix V "
            "is made one by V / np.sqrt(np.outer(np.diag(V), np.diag(V)))."
        )
    if np.abs(R - R.T).max() > SYMMETRIC:
        i, j = divmod(int(np.argmax(np.abs(R - R.T))), len(R))
        raise ControlError(
            f"corr must be symmetric: it has {R[i, j]:.6g} in row {i + 1}, column {j + 1}, and {R[j, i]:.6g} "
            f"in row {j + 1}, column {i + 1}."
        )
    least = float(np.linalg.eigvalsh(R)[0])
    if least <= 0.0:
        raise ControlError(
            "corr is not positive definite, so no correlation matrix that rows can have: its smallest "
            f"eigenvalue is {least:.4g}. Draw it towards none, 0.9 * R + 0.1 * np.eye(len(R)), or have one "
            "estimated, corr='exchangeable'; robust standard errors hold with any."
        )
