"""Joint tests: all functions of a family zero at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg

from mixedmodels.arrays import FloatArray
from mixedmodels.formula.design.fixed_effects import ESTIMABLE_TOLERANCE
from mixedmodels.inference.contrasts import FixedEffects, independent_rows, upper_tail
from mixedmodels.inference.emmeans.grid import combine, combine_offsets
from mixedmodels.inference.emmeans.linear_functions import Basis, LinearFunctions, families
from mixedmodels.inference.emmeans.summary_table import EmmeansTable
from mixedmodels.inference.sandwich import SandwichDegrees

DEPENDENT = "d: df1 reduced due to linear dependence"
NOT_ESTIMABLE = "e: df1 reduced due to non-estimability"
NO_DF = "n: no test, as so few clusters leave no degrees of freedom for so many contrasts"


@dataclass(frozen=True, slots=True)
class JointTest:
    """The F test that all functions of a family are zero.

    Attributes
    ----------
    df1 : int
        How many of them are independent and estimable.
    df2 : float
        Denominator degrees of freedom: the smallest of orthogonal ones among them, as emmeans takes them, or
        of a robust covariance those of Hotelling's test.
    F : float
        Wald statistic over `df1`, scaled by Hotelling's test where the covariance is robust.
    p_value : float
        Upper tail.
    note : str
        ``"d"`` where some depend on others, ``"e"`` where some are not estimable, ``"n"`` where no degrees of
        freedom are left.
    L : ndarray, shape (df1, columns)
        Orthogonal functions that were tested.
    """

    df1: int
    df2: float
    F: float
    p_value: float
    note: str
    L: FloatArray


def joint_test(basis: Basis, L: FloatArray, offset: FloatArray) -> JointTest:
    """Test ``L beta + offset = 0`` on the part of it that is estimable.

    Parameters
    ----------
    basis : Basis
        Estimates.
    L : ndarray, shape (m, columns)
        Functions; rows of NaN and of zeros are left out.
    offset : ndarray, shape (m,)
        What is added to them.
    """
    used = ~(np.isnan(L).any(axis=1) | (L == 0.0).all(axis=1))
    note = "" if used.all() else "e"
    L, offset = L[used], offset[used]
    if basis.unknown(L).any():
        T = _estimable_part(L, basis)
        L, offset, note = combine(T, L), combine_offsets(T, offset), "e"
        L, offset = L[L.any(axis=1)], offset[L.any(axis=1)]
    rows = independent_rows(L[:, basis.kept])
    if not rows:
        return JointTest(0, np.nan, np.nan, np.nan, note, L[:0])
    note = note if len(rows) == len(L) else ("d" + note)
    # Orthogonal functions in the order given, as the QR decomposition of the rows has them.
    Q, R = np.linalg.qr(L[rows].T)
    orthogonal = Q.T
    values = orthogonal[:, basis.kept] @ basis.fixed.beta + linalg.solve_triangular(
        R.T, offset[rows], lower=True
    )
    V = orthogonal[:, basis.kept] @ basis.fixed.covariance @ orthogonal[:, basis.kept].T
    F = float(values @ np.linalg.solve(V, values)) / len(rows)
    df2, scale = _denominator(basis.fixed, orthogonal[:, basis.kept])
    note += "n" if np.isnan(df2) else ""
    return JointTest(len(rows), df2, F * scale, upper_tail(F * scale, len(rows), df2), note, orthogonal)


def _denominator(fixed: FixedEffects, L: FloatArray) -> tuple[float, float]:
    """Return the denominator degrees of freedom of orthogonal rows and the factor of F.

    A robust covariance brings Hotelling's test along; otherwise they are emmeans' choice.
    """
    if isinstance(fixed.degrees, SandwichDegrees):
        return fixed.degrees.of_hypothesis(L)
    return float(np.min(fixed.degrees.of_rows(L))), 1.0


def _estimable_part(L: FloatArray, basis: Basis) -> FloatArray:
    """Return T, orthonormal rows, such that ``T L`` is the estimable part of the row space of L."""
    assert basis.dependence is not None
    dropped = np.setdiff1d(np.arange(L.shape[1]), basis.kept)
    scale = np.abs(L).max(axis=1, keepdims=True)
    excess = (L[:, dropped] - L[:, basis.kept] @ basis.dependence) / scale
    U, size, _ = np.linalg.svd(excess)
    return np.asarray(U[:, int((size > ESTIMABLE_TOLERANCE * size.max(initial=1.0)).sum()) :].T / scale.T)


def joint_table(functions: LinearFunctions) -> EmmeansTable:
    """Return the joint test of each family of functions."""
    tests = []
    labels = []
    for rows in families(functions, functions.by):
        tests.append(joint_test(functions.basis, functions.L[rows], functions.offset[rows]))
        labels.append(functions.labels[list(functions.by)].iloc[[rows[0]]])
    heads = pd.concat(labels, ignore_index=True) if functions.by else pd.DataFrame(index=range(len(tests)))
    return tests_table(heads, tests, functions.by)


def tests_table(heads: pd.DataFrame, tests: Sequence[JointTest], by: Sequence[str]) -> EmmeansTable:
    """Return joint tests as a table, their labels first."""
    notes = [test.note for test in tests]
    columns: dict[str, Any] = {
        "df1": [test.df1 for test in tests],
        "df2": [test.df2 for test in tests],
        "F.ratio": [test.F for test in tests],
        "p.value": [test.p_value for test in tests],
    }
    if any(notes):
        columns["note"] = notes
    table = EmmeansTable(pd.concat([heads, pd.DataFrame(columns, index=heads.index)], axis=1))
    table.estimate, table.by = "F.ratio", tuple(by)
    said = [(DEPENDENT, "d"), (NOT_ESTIMABLE, "e"), (NO_DF, "n")]
    table.notes = tuple(text for text, letter in said if any(letter in note for note in notes))
    return table
