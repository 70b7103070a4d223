"""What a picture of effects shows: marginal means along a variable, and residuals around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentNumbers
from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.evaluation.columns import Column, Factor, Numeric, as_factor
from mixedmodels.inference.emmeans.means import emmeans
from mixedmodels.inference.emmeans.reference_grid import predictor_columns, reference_grid

Residuals = Literal["raw", "partial"]
#: Places along a numeric variable.
PLACES = 50
#: A variable beside it is shown at all values up to this number of them, else at its quartiles.
FEW = 4
#: Bins of 0/1 responses along a numeric variable, of which the means are drawn.
BINS = 10


@dataclass(frozen=True, slots=True)
class Axis:
    """A variable of the picture.

    Attributes
    ----------
    name : str
        Its name.
    values : tuple
        Where the effects are: levels, or numbers.
    is_numeric : bool
        Whether it is a line of numbers.
    rows : ndarray, shape (n,)
        At every row of the fit its number; for levels, and values shown of a number, their position, -1 where
        the row has none of them.
    """

    name: str
    values: tuple[Any, ...]
    is_numeric: bool
    rows: FloatArray


def axes_of(fit: Fit, x: Any, by: Any, at: Mapping[str, Any] | None) -> tuple[Axis, list[Axis]]:
    """Return the variable along the picture and those that divide it, at most two.

    Raises
    ------
    ControlError
        If one is unknown, or there are more.
    """
    columns = predictor_columns(fit)
    names = [] if by is None else [by] if isinstance(by, str) or np.ndim(by) == 0 else list(by)
    if len(names) > 2:
        raise ControlError("by takes two variables at most: the first for colours, the second for panels.")
    for argument, name in (("x", x), *(("by", name) for name in names)):
        if not isinstance(name, str) or name not in columns:
            raise ControlError(
                f"plot_effects(): {argument}={shown(name)} is no variable of the fixed effects; they have "
                f"{listed(columns) or 'none'}."
            )
    if len({x, *names}) <= len(names):
        raise ControlError("plot_effects(): x and the variables of by must differ.")
    if at is not None and not isinstance(at, Mapping):
        raise ControlError(f"at must map variables to values, such as {{{x!r}: [0, 1]}}, not {shown(at)}.")
    given = dict(at or {})
    levels = reference_grid(fit).levels
    along = _axis(x, columns[x], levels[x], given.get(x), as_line=True)
    return along, [_axis(name, columns[name], levels[name], given.get(name), as_line=False) for name in names]


def _axis(name: str, column: Column, levels: tuple[Any, ...], given: Any, as_line: bool) -> Axis:
    """Return one variable with the values it is shown at."""
    no_rows = isinstance(column, Numeric) and isinstance(column.values, AbsentNumbers)
    if isinstance(column, Numeric) and len(levels) == 1:
        numbers = column.as_float()
        if as_line:
            places = np.linspace(numbers.min(), numbers.max(), PLACES) if given is None else np.unique(given)
            return Axis(name, tuple(float(v) for v in places), True, numbers)
        values = np.unique(numbers if given is None else np.asarray(given, dtype=np.float64))
        if given is None and len(values) > FEW:
            values = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75]))
        if no_rows:
            return Axis(name, tuple(float(v) for v in values), False, np.empty(0))
        nearest = np.abs(numbers[:, None] - values[None, :]).argmin(axis=1)
        return Axis(name, tuple(float(v) for v in values), False, nearest.astype(np.float64))
    wanted = levels if given is None else tuple(np.atleast_1d(np.asarray(given, dtype=object)))
    if no_rows:
        return Axis(name, tuple(wanted), False, np.empty(0))
    factor = as_factor(column)
    place = {str(value): k for k, value in enumerate(wanted)}
    texts = factor.levels if isinstance(column, Factor) else [str(v) for v in levels]
    position = np.array([place.get(text, -1) for text in texts], dtype=np.float64)
    return Axis(name, tuple(wanted), False, position[factor.codes])


def effects(
    fit: Fit,
    along: Axis,
    by: Sequence[Axis],
    at: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> tuple[pd.DataFrame, Any]:
    """Return marginal means with limits, and the functions they are of.

    Columns are the variables, estimate, std.error, df, lower and upper.
    """
    places = {axis.name: list(axis.values) for axis in (along, *by)}
    names = [axis.name for axis in by]
    means = emmeans(fit, [along.name], names or None, at={**(at or {}), **places}, **options)
    table = means.summary(infer=(True, False))
    limits = list(table.columns[-2:])
    renamed = {table.estimate: "estimate", "SE": "std.error", limits[0]: "lower", limits[1]: "upper"}
    frame = pd.DataFrame(table).rename(columns=renamed)
    return frame[[along.name, *names, "estimate", "std.error", "df", "lower", "upper"]], means.functions


def residual_points(
    fit: Fit, table: pd.DataFrame, functions: Any, axes: tuple[Axis, list[Axis]], kind: Residuals
) -> pd.DataFrame:
    """Return the points drawn around effects: a row each, or means of bins of 0/1 responses.

    Raises
    ------
    ControlError
        If raw responses are asked for on the scale of a link.
    """
    along, by = axes
    is_response = functions.type == "response" and functions.scale is not None and functions.scale.is_known
    if kind == "raw":
        height = _raw(fit, functions, is_response)
    else:
        height = _at_rows(table, along, by, functions if is_response else None) + _working_residuals(fit)
        height = functions.scale.derivatives(height)[0] if is_response else height
    frame = pd.DataFrame({axis.name: _shown(axis) for axis in (along, *by)}).assign(estimate=height, n=1)
    inside = np.all([axis.is_numeric | (axis.rows >= 0) for axis in (along, *by)], axis=0)
    frame = frame[inside & np.isfinite(height)].infer_objects()
    is_binary = kind == "raw" and len(np.unique(fit.y)) <= 2 and fit.family() is not None
    return _binned(frame, along, [axis.name for axis in by]) if is_binary else frame.reset_index(drop=True)


def _raw(fit: Fit, functions: Any, is_response: bool) -> FloatArray:
    """Return the responses on the scale of the picture."""
    if fit.family() is None:
        return np.asarray(functions.scale.derivatives(fit.y)[0]) if is_response else fit.y
    if functions.scale is not None and not is_response:
        raise ControlError(
            "raw responses are on the scale of the response: leave out type='link', or draw "
            "residuals='partial'."
        )
    return fit.y


def _working_residuals(fit: Fit) -> FloatArray:
    """Return residuals on the scale of the linear predictor."""
    return fit._raw_residuals("response" if fit.family() is None else "working")


def _at_rows(table: pd.DataFrame, along: Axis, by: Sequence[Axis], functions: Any) -> FloatArray:
    """Return the effect on the scale of the linear predictor at each row."""
    eta = table["estimate"].to_numpy()
    if functions is not None:
        beta = functions.basis.fixed.beta
        eta = functions.L[:, functions.basis.kept] @ beta + functions.offset
    shape = (*(len(axis.values) for axis in by[::-1]), len(along.values))
    grid = np.full(shape, np.nan)
    place = [
        table[axis.name].map({v: k for k, v in enumerate(axis.values)}).to_numpy()
        for axis in (*by[::-1], along)
    ]
    grid[tuple(p.astype(np.intp) for p in place)] = eta
    cells = tuple(axis.rows.astype(np.intp) for axis in by[::-1])
    if not along.is_numeric:
        return np.asarray(grid[(*cells, along.rows.astype(np.intp))])
    lines = grid[cells] if by else np.broadcast_to(grid, (len(along.rows), len(along.values)))
    at = np.array(along.values)
    right = np.clip(np.searchsorted(at, along.rows), 1, len(at) - 1)
    rows = np.arange(len(right))
    share = (along.rows - at[right - 1]) / (at[right] - at[right - 1])
    return np.asarray(lines[rows, right - 1] * (1.0 - share) + lines[rows, right] * share)


def _shown(axis: Axis) -> Any:
    """Return the value of a variable at each row, as the table of effects has it."""
    if axis.is_numeric:
        return axis.rows
    values = np.array([*axis.values, None], dtype=object)
    return values[axis.rows.astype(np.intp)]


def _binned(frame: pd.DataFrame, along: Axis, by: list[str]) -> pd.DataFrame:
    """Return means of 0/1 responses in bins of about equal size along each line."""
    if not along.is_numeric:
        keys = [along.name, *by]
        return frame.groupby(keys, as_index=False, observed=True, sort=False).agg(
            estimate=("estimate", "mean"), n=("n", "sum")
        )
    parts = []
    for _, line in frame.groupby(by, observed=True, sort=False) if by else [((), frame)]:
        bins = pd.qcut(line[along.name], min(BINS, max(len(line) // 5, 1)), labels=False, duplicates="drop")
        own = line.groupby(bins).agg({along.name: "mean", "estimate": "mean", "n": "sum"})
        parts.append(own.assign(**{name: line[name].iloc[0] for name in by}))
    return pd.concat(parts, ignore_index=True)
