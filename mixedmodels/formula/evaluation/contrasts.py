"""Coding of factors: contrast matrices by R's names, and R's names of the columns they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.evaluation.level_names import level_names

_POLYNOMIAL_NAMES = (".L", ".Q", ".C")


@dataclass(frozen=True, slots=True)
class Contrast:
    """A coding of a factor's levels.

    Attributes
    ----------
    name : str
        R's name, ``"contr.sum"``; ``"matrix"`` for a user's matrix.
    base : str or None
        Reference level of treatment coding; None for the first.
    matrix : ndarray or None
        A user's matrix, one row a level.
    names, rows : tuple of str
        Column names of a user's matrix, and the levels its rows are labelled with.
    by_number : bool
        Whether columns are named by the position of a level, as R does for ``contr.treatment(3)``.
    """

    name: str
    base: str | None = None
    matrix: FloatArray | None = None
    names: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    by_number: bool = False


CodedLevels: TypeAlias = tuple[FloatArray, tuple[str, ...]]
"""Matrix (levels x columns) and the suffixes of the column names."""


def indicators(levels: tuple[str, ...]) -> CodedLevels:
    """Return the full dummy coding: one column a level."""
    return np.eye(len(levels)), levels


def code_levels(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    """Return the contrast matrix of `levels` and R's suffixes of its columns.

    Raises
    ------
    DataError
        Naming `factor`, when it has fewer than two levels or the matrix does not fit them.
    """
    if len(levels) < 2:
        raise DataError(
            f"contrasts need a factor with two or more levels; {factor} has "
            + (f"only {levels[0]!r}" if levels else "none")
            + " in the rows used"
        )
    if contrast.matrix is not None:
        return _user_matrix(contrast, levels, factor)
    matrix, names = _CODINGS[contrast.name](contrast, levels, factor)
    if contrast.by_number and contrast.name in ("contr.treatment", "contr.SAS"):
        names = tuple(str(levels.index(name) + 1) for name in names)
    return matrix, names


def default_contrast(ordered: bool) -> Contrast:
    """Return R's default: polynomial for ordered factors, treatment for the others."""
    return Contrast("contr.poly" if ordered else "contr.treatment")


def _matrix(coding: str, levels: tuple[str, ...], **options: bool) -> FloatArray:
    """Return the matrix of one of formulaic's codings, one column less than levels."""
    from formulaic.transforms import contrasts  # deferred: 0.1 s that treatment contrasts need not pay

    matrix = getattr(contrasts, coding)(**options).get_coding_matrix(levels, reduced_rank=True)
    return np.asarray(matrix, dtype=np.float64)


def _numbered(matrix: FloatArray) -> CodedLevels:
    """Return a coding whose columns R numbers."""
    return matrix, tuple(str(k + 1) for k in range(matrix.shape[1]))


def _treatment(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    base = levels[0] if contrast.base is None else contrast.base
    if base not in levels:
        raise DataError(f"the reference level {base!r} is not a level of {factor} ({listed(levels)})")
    matrix = np.delete(np.eye(len(levels)), levels.index(base), axis=1)
    return matrix, tuple(level for level in levels if level != base)


def _sas(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    return np.eye(len(levels))[:, :-1], levels[:-1]


def _sum(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    return _numbered(_matrix("SumContrasts", levels))


def _helmert(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    return _numbered(_matrix("HelmertContrasts", levels, reverse=True, scale=False))


def _successive(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    # MASS names the columns of contr.sdif "b-a", "c-b".
    matrix = _matrix("DiffContrasts", levels, backward=True)
    return matrix, tuple(f"{b}-{a}" for a, b in pairwise(levels))


def _polynomial(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    names = tuple(_POLYNOMIAL_NAMES[k] if k < 3 else f"^{k + 1}" for k in range(len(levels) - 1))
    return _matrix("PolyContrasts", levels), names


def _user_matrix(contrast: Contrast, levels: tuple[str, ...], factor: str) -> CodedLevels:
    matrix = contrast.matrix
    assert matrix is not None
    if contrast.rows and set(contrast.rows).issuperset(levels):
        matrix = matrix[[contrast.rows.index(level) for level in levels]]
    elif contrast.rows:
        raise DataError(
            f"the contrast matrix of {factor} has the row labels {listed(contrast.rows)}; the levels are "
            f"{listed(levels)}"
        )
    if matrix.shape[0] != len(levels):
        raise DataError(
            f"the contrast matrix of {factor} has {matrix.shape[0]} rows, the factor has {len(levels)} levels"
        )
    return matrix, contrast.names or tuple(str(k + 1) for k in range(matrix.shape[1]))


_CODINGS: dict[str, Callable[[Contrast, tuple[str, ...], str], CodedLevels]] = {
    "contr.treatment": _treatment,
    "contr.SAS": _sas,
    "contr.sum": _sum,
    "contr.helmert": _helmert,
    "contr.poly": _polynomial,
    "contr.sdif": _successive,
}
_ALIASES = {
    "treatment": "contr.treatment",
    "sas": "contr.SAS",
    "sum": "contr.sum",
    "helmert": "contr.helmert",
    "poly": "contr.poly",
    "polynomial": "contr.poly",
    "sdif": "contr.sdif",
    "diff": "contr.sdif",
    "sliding": "contr.sdif",
}


def as_contrast(given: Any, factor: str) -> Contrast:
    """Return the contrast that a user means by a name or a matrix.

    Parameters
    ----------
    given : str, array_like or DataFrame
        ``"contr.sum"`` or ``"sum"``; a matrix with one row a level, those of a labelled DataFrame matched by
        label; a dict ``{"matrix": ...}``.
    factor : str
        The factor it is for, for messages.
    """
    if isinstance(given, str):
        name = _ALIASES.get(given.lower().removeprefix("contr."), given)
        if name not in _CODINGS:
            raise DataError(f"contrast {given!r} of {factor} is unknown; there are {', '.join(_CODINGS)}")
        return Contrast(name)
    if isinstance(given, Mapping) and set(given) == {"matrix"}:
        given = given["matrix"]
    names = tuple(map(str, given.columns)) if isinstance(given, pd.DataFrame) else ()
    labelled = isinstance(given, (pd.DataFrame, pd.Series)) and not isinstance(given.index, pd.RangeIndex)
    rows = level_names(given.index) if labelled else ()
    try:
        matrix = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the contrast of {factor} must be a name or a matrix of numbers") from error
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise DataError(f"the contrast matrix of {factor} must have finite numbers in two dimensions")
    return Contrast("matrix", matrix=matrix, names=names, rows=rows)
