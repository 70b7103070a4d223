"""Starting values of a nonlinear model as they were given: by parameter, by fixed effect, or in order."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import ControlError, listed
from mixedmodels.formula.design.nonlinear import NonlinearDesign

#: Names under which lme4 and nlme take starting values of the fixed effects beside others.
FIXED_KEYS = ("nlpars", "fixed")


def _fixed_part(start: Any) -> Any:
    """Return what is about the fixed effects: ``{"nlpars": ..., "theta": ...}`` as lme4 has it, or all."""
    if isinstance(start, pd.Series):
        return start if pd.api.types.is_integer_dtype(start.index) else dict(start)
    for key in FIXED_KEYS:
        if (
            isinstance(start, Mapping)
            and key in start
            and np.ndim(start[key]) + isinstance(start[key], Mapping)
        ):
            return _fixed_part(start[key])
    if isinstance(start, Mapping):
        return {name: value for name, value in start.items() if name != "theta"} or None
    return start


def names_with_starts(start: Any) -> tuple[str, ...]:
    """Return the names that starting values were given to; none where they go by order."""
    given = _fixed_part(start)
    return tuple(map(str, given)) if isinstance(given, Mapping) else ()


def starting_effects(start: Any, built: NonlinearDesign) -> FloatArray | None:
    """Return the starting values of the fixed effects, NaN where none is given; None without any.

    A value for a parameter that depends on covariates is its constant: effects start at zero.

    Parameters
    ----------
    start : mapping, Series, sequence or None
        By parameter ``{"Asym": 200}`` (one number, or one for each of its columns), by fixed effect
        ``{"Asym.treatment": 3}``, or one number for each fixed effect, or each parameter, in order.
    built : NonlinearDesign
        The design they are for.

    Raises
    ------
    ControlError
        If a name is unknown, a value is no finite number, or there are too few or too many.
    """
    given = _fixed_part(start)
    if given is None:
        return None
    names, parameters = built.design.x_names, built.mean.parameters
    beta = np.full(len(names), np.nan)
    if not isinstance(given, Mapping):
        values = _numbers(given, "start=")
        if len(values) == len(names):
            return values
        if len(values) != len(parameters):
            raise ControlError(
                f"start= has {len(values)} values; there are {len(names)} fixed effects ({listed(names)})"
            )
        given = dict(zip(parameters, values, strict=True))
    _refuse_unknown(given, names, parameters)
    for k, name in enumerate(parameters):
        if name in given:
            own = np.flatnonzero(built.fixed_parameter == k)
            beta[own] = _of_parameter(given[name], name, built, own)
    for j, name in enumerate(names):
        if name in given and name not in parameters:
            beta[j] = _one_number(given[name], name)
            own = np.flatnonzero(built.fixed_parameter == built.fixed_parameter[j])
            beta[own] = np.where(np.isnan(beta[own]) & _is_effect(names, own), 0.0, beta[own])
    return beta


def _is_effect(names: Sequence[str], columns: IntArray) -> Any:
    """Tell which columns are effects beside an intercept of their parameter."""
    first = names[columns[0]]
    return np.array([j != columns[0] and first.endswith(".(Intercept)") for j in columns])


def _refuse_unknown(given: Mapping[Any, Any], names: Sequence[str], parameters: Sequence[str]) -> None:
    known = [*parameters, *(name for name in names if name not in parameters)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ControlError(
                f"start= names {name}, which the model does not have; it has {listed(known)}{hint}"
            )


def _of_parameter(value: Any, name: str, built: NonlinearDesign, own: IntArray) -> FloatArray:
    """Return the starting values of the columns of a parameter."""
    if np.ndim(value) == 1 and len(value) == len(own):
        return _numbers(value, f"start[{name!r}]")
    return constant_parameter(_one_number(value, name), built.design.X[:, own])


def constant_parameter(value: float, X: FloatArray) -> FloatArray:
    """Return the coefficients of columns with which a parameter is, or nearly is, one value in all rows.

    Parameters
    ----------
    value : float
        The value.
    X : ndarray, shape (n, columns)
        Columns of the parameter, independent.
    """
    beta = np.zeros(X.shape[1])
    if X.shape[1] and np.all(X[:, 0] == 1.0):
        beta[0] = value
        return beta
    return np.asarray(np.linalg.lstsq(X, np.full(len(X), value), rcond=None)[0])


def _one_number(value: Any, name: str) -> float:
    if np.ndim(value) != 0:
        raise ControlError(f"start= has {np.size(value)} values for {name}; one number is expected")
    return float(_numbers([value], f"start[{name!r}]")[0])


def _numbers(values: Any, what: str) -> FloatArray:
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty((0, 0))
    if numbers.ndim != 1:
        raise ControlError(f"{what} must be numbers, one for each parameter or fixed effect, not {values!r}")
    if not np.isfinite(numbers).all():
        raise ControlError(f"{what} must be finite numbers; it has {numbers[~np.isfinite(numbers)][0]}")
    return numbers
