"""Fitted curves of a nonlinear mixed model beside the data, a panel a group: ``plot_fit(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.errors import ControlError, NotAvailableError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import CurveFit
from mixedmodels.missing import NA
from mixedmodels.plots.canvas import check_axes, finished, panels, shape_of
from mixedmodels.plots.group_fits import chosen_levels, draw_level, label_panels
from mixedmodels.plots.selection import one_group, rows_used
from mixedmodels.prediction.nonlinear import predict_nonlinear
from mixedmodels.prediction.request import PredictionRequest

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Places along a curve.
PLACES = 80


@advises
def plot_fit(
    model: Fit,
    x: str | None = None,
    group: str | None = None,
    *,
    levels: Sequence[Any] | None = None,
    ax: Any = None,
) -> Picture:
    """Draw the data of groups with two curves of a nonlinear mixed model: of the group and the population.

    Other variables stand, in each panel, where the first row of the group has them.

    Parameters
    ----------
    model : fitted model
        From nlmer().
    x : str, optional
        The variable along each panel, by default the first of the mean that varies within groups.
    group : str, optional
        A grouping factor, by default the first.
    levels : sequence, optional
        Levels to draw; by default all up to 24; of more, 24 from the lowest to the highest random effect.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: kind ("observed", "mixed model", "population"), grpvar, grp, the variable under its
        name, and y; and ``panels``.

    Raises
    ------
    ControlError
        If the model has no such variable, grouping factor or level.
    NotAvailableError
        If the model is not nonlinear, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> curve = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
    >>> len(mm.plot_fit(mm.nlmer(curve, mm.load_dataset("Orange"))).panels)
    5
    """
    check_axes(ax)
    if not isinstance(model, CurveFit):
        raise NotAvailableError(
            f"plot_fit() needs a fitted model of nlmer(), not {shown(model)}; "
            "plot_groups() draws those of lmer() and glmer()."
        )
    name, frame = one_group(model, group), rows_used(model)
    term = next(k for k, term in enumerate(model.random) if term.group == name)
    along = _variable(model, term, x, frame)
    chosen = chosen_levels(model, name, levels)
    data = _table(model, term, along, frame, chosen)
    host, inside = panels(ax, *shape_of(len(chosen), 6), 1.7, 1.6, sharex=True, sharey=True)
    for panel, level in zip(inside, chosen, strict=False):
        draw_level(panel, data[data["grp"] == level], along, None)
        panel.set_title(str(level))
    total = model.ngrps()[name]
    note = f"{len(chosen)} of {total} levels\nof {name}" if len(chosen) < total else None
    label_panels(inside, len(chosen), (along, model.design.response.text), note)
    return finished(host, data, inside)


def _variable(fit: CurveFit, term: int, x: Any, frame: pd.DataFrame) -> str:
    """Return the variable along the panels."""
    numeric = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name])]
    if x is not None:
        if not isinstance(x, str) or x not in numeric:
            raise ControlError(f"plot_fit(): the model has no number {shown(x)}; it has {listed(numeric)}.")
        return x
    codes = fit.random[term].codes
    inside = () if fit.nonlinear.expression is None else fit.nonlinear.expression.variables
    for name in [name for name in numeric if any(str(name) in text for text in inside)]:
        values = frame[name].to_numpy(dtype=float)
        if (pd.Series(values).groupby(codes).transform("std") > 0.0).any():
            return str(name)
    raise ControlError("plot_fit() needs x: no variable of the mean varies within groups.")


def _table(fit: CurveFit, term: int, along: str, frame: pd.DataFrame, chosen: list[str]) -> pd.DataFrame:
    """Return points and curves, one row each."""
    own = fit.random[term]
    places = np.linspace(frame[along].min(), frame[along].max(), PLACES)
    grid, parts = [], []
    for level in chosen:
        rows = np.flatnonzero(own.codes == own.levels.index(level))
        parts.append(_part("observed", own.group, level, along, frame[along].iloc[rows], fit.y[rows]))
        first = frame.iloc[rows[:1]].drop(columns=along)
        grid.append(first.loc[first.index.repeat(PLACES)].assign(**{along: places}))
    new = pd.concat(grid, ignore_index=True)
    for kind, re_form in (("population", NA), ("mixed model", None)):
        y = np.asarray(predict_nonlinear(fit, new, re_form, PredictionRequest()))
        for level, curve in zip(chosen, y.reshape(len(chosen), PLACES), strict=True):
            parts.append(_part(kind, own.group, level, along, pd.Series(places), curve))
    return pd.concat(parts, ignore_index=True)


def _part(kind: str, group: str, level: str, along: str, x: pd.Series, y: Any) -> pd.DataFrame:
    return pd.DataFrame({"kind": kind, "grpvar": group, "grp": level, along: x.to_numpy(), "y": y})
