"""Residuals against fitted values or a variable, their spread, their distribution: ``plot_residuals(m)``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.diagnostics.residuals import residuals
from mixedmodels.errors import ControlError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.plots.canvas import ACCENT, INK, SHADE, check_axes, finished, name_levels, panels, shape_of
from mixedmodels.plots.lowess import lowess
from mixedmodels.plots.random_effects_qq import draw_quartile_line, normal_quantiles
from mixedmodels.plots.selection import rows_used

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Rows above which points are drawn as an image, so that files stay small.
MANY = 3000
#: Types that are residuals over their own standard deviation, sigma included.
STANDARDISED = ("standardized", "studentized", "normalized")


@advises
def plot_residuals(
    model: Fit, x: str | None = None, *, type: str | None = None, span: float = 2.0 / 3.0, ax: Any = None
) -> Picture:
    """Draw residuals over sigma against the fitted values, or against a variable, with a smooth line.

    The line is to stay at zero: a bend is a relation that the model does not have. A factor gets a box for
    each level.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    x : str, optional
        A variable of the model, by default the linear predictor (for a linear model the fitted values).
    type : {"pearson", "deviance", "response", "working", "standardized", "studentized", "normalized"}
        Residuals, those not standardised divided by sigma: by default Pearson's, and normalized ones of a
        model with structured residuals.
    span : float
        Share of the points that each part of the smooth line is fitted to.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: what is along x under its name, residual and smooth; and ``panels``.

    Raises
    ------
    ControlError
        If the model has no such variable or residuals.
    NotAvailableError
        If matplotlib is not installed.

    References
    ----------
    Cleveland (1979), J. Am. Stat. Assoc. 74, 829-836, for the line.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.plot_residuals(m).data.columns.tolist()
    ['fitted', 'residual', 'smooth']
    """
    check_axes(ax)
    fit = a_fit(model, "plot_residuals")
    check_span(span)
    name, along = along_x(fit, x, "plot_residuals")
    chosen = chosen_type(fit, type)
    residual = scaled(fit, chosen)
    host, _ = panels(ax, 1, 1, 4.8, 3.6)
    host.axhline(0.0, color=SHADE, linewidth=0.8, zorder=0)
    host.set(xlabel=name, ylabel=residual_label(chosen))
    if not pd.api.types.is_numeric_dtype(along.dtype) or pd.api.types.is_bool_dtype(along.dtype):
        return _boxes(host, along.rename(name), residual)
    data = smoothed(along.to_numpy(dtype=np.float64), residual, span, name, along.index)
    draw_smooth(host, data, name, "residual")
    return finished(host, data)


@advises
def plot_scale_location(
    model: Fit, *, type: str | None = None, span: float = 2.0 / 3.0, ax: Any = None
) -> Picture:
    """Draw the root of the size of residuals over sigma against the fitted values, with a smooth line.

    The line is to be level: one that rises is a variance that grows with the mean.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    type : {"pearson", "deviance", "response", "working", "standardized", "studentized", "normalized"}
        Residuals, those not standardised divided by sigma: by default Pearson's, and normalized ones of a
        model with structured residuals.
    span : float
        Share of the points that each part of the smooth line is fitted to.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: fitted, root (of the absolute residual) and smooth; and ``panels``.

    Raises
    ------
    ControlError
        If there are no such residuals.
    NotAvailableError
        If matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> bool(mm.plot_scale_location(m).data["root"].min() >= 0.0)
    True
    """
    check_axes(ax)
    fit = a_fit(model, "plot_scale_location")
    check_span(span)
    name, along = along_x(fit, None, "plot_scale_location")
    chosen = chosen_type(fit, type)
    root = np.sqrt(np.abs(scaled(fit, chosen)))
    data = smoothed(along.to_numpy(), root, span, name, along.index).rename(columns={"residual": "root"})
    host, _ = panels(ax, 1, 1, 4.8, 3.6)
    draw_smooth(host, data, name, "root")
    host.set(xlabel=name, ylabel=f"root of |{residual_label(chosen)}|", ylim=(0.0, None))
    return finished(host, data)


@advises
def plot_qq(model: Fit, *, type: str | None = None, ax: Any = None) -> Picture:
    """Draw residuals over sigma against normal quantiles, with the line through their quartiles.

    Parameters
    ----------
    model : fitted model
        Of any kind; residuals of counts and of few trials are not normal, however good the model.
    type : {"pearson", "deviance", "response", "working", "standardized", "studentized", "normalized"}
        Residuals, those not standardised divided by sigma: by default Pearson's, and normalized ones of a
        model with structured residuals.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: quantile and residual, by the labels of the rows; and ``panels``.

    Raises
    ------
    ControlError
        If there are no such residuals.
    NotAvailableError
        If matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.plot_qq(m).data["quantile"].round(2).iloc[[0, -1]].tolist()
    [-2.77, 2.77]
    """
    check_axes(ax)
    fit = a_fit(model, "plot_qq")
    chosen = chosen_type(fit, type)
    residual = pd.Series(scaled(fit, chosen), index=fit.design.index, name="residual")
    residual = residual.dropna().sort_values()
    data = residual.to_frame()
    data.insert(0, "quantile", normal_quantiles(len(residual)))
    host, _ = panels(ax, 1, 1, 4.0, 3.6)
    draw_points(host, data["quantile"], data["residual"])
    draw_quartile_line(host, data["quantile"].to_numpy(), data["residual"].to_numpy())
    host.set(xlabel="normal quantile", ylabel=residual_label(chosen))
    return finished(host, data)


@advises
def plot_diagnostics(model: Fit, *, type: str | None = None, ax: Any = None) -> Picture:
    """Draw three panels of residuals: against fitted values, their spread, their normal quantiles.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    type : {"pearson", "deviance", "response", "working", "standardized", "studentized", "normalized"}
        Residuals, those not standardised divided by sigma: by default Pearson's, and normalized ones of a
        model with structured residuals.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``, the tables of the panels below each other, named in column panel; and ``panels``.

    Raises
    ------
    ControlError
        If there are no such residuals.
    NotAvailableError
        If matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.plot_diagnostics(m).data["panel"].unique().tolist()
    ['residuals', 'scale-location', 'quantiles']
    """
    check_axes(ax)
    fit = a_fit(model, "plot_diagnostics")
    pictures: dict[str, Callable[..., Any]] = {
        "residuals": partial(plot_residuals, fit, type=type),
        "scale-location": partial(plot_scale_location, fit, type=type),
        "quantiles": partial(plot_qq, fit, type=type),
    }
    host, inside = panels(ax, *shape_of(len(pictures)), 3.6, 3.2)
    return composed(host, inside, pictures)


def composed(host: Any, inside: list[Any], pictures: dict[str, Callable[..., Any]]) -> Picture:
    """Return host axes with pictures in their panels, and the tables of all in one."""
    tables, shown_panels = [], []
    for panel, (name, draw) in zip(inside, pictures.items(), strict=False):
        drawn = draw(ax=panel)
        tables.append(drawn.data.assign(panel=name))
        shown_panels += list(drawn.panels)
    for panel in inside[len(pictures) :]:
        panel.remove()
    composition: Picture = host
    composition.data, composition.panels = pd.concat(tables), tuple(shown_panels)
    return composition


def check_span(span: object) -> None:
    """Raise ControlError unless `span` is a share of the points."""
    if not isinstance(span, (int, float)) or not 0.0 < span <= 1.0:
        raise ControlError(f"span must lie between 0 and 1, such as 0.67, not {shown(span)}.")


def along_x(fit: Fit, x: Any, function: str) -> tuple[str, pd.Series]:
    """Return the name and the values of what residuals are drawn against."""
    if x is None:
        name = "fitted" if fit.family() is None else "linear predictor"
        return name, pd.Series(fit.linear_predictor, index=fit.design.index)
    known = rows_used(fit)
    if not isinstance(x, str) or x not in known:
        raise ControlError(f"{function}(): the model has no variable {shown(x)}; it has {listed(known)}.")
    return x, known[x]


def chosen_type(fit: Fit, type: str | None) -> str:
    """Return the type of residuals asked for, or the one whose values are alike where the model is right."""
    if type is not None:
        return type
    return "normalized" if fit.has_structured_residuals else "pearson"


def scaled(fit: Fit, type: Any) -> FloatArray:
    """Return residuals over sigma, shape (n,)."""
    by_sigma = type in STANDARDISED or (type == "pearson" and fit.has_structured_residuals)
    return residuals(fit, type, scaled=not by_sigma)


def residual_label(type: str) -> str:
    """Return what an axis of residuals is called."""
    name = "Pearson" if type == "pearson" else type
    return f"{name} residual" + ("" if type in STANDARDISED else r" / $\sigma$")


def smoothed(x: FloatArray, y: FloatArray, span: float, name: str, index: pd.Index) -> pd.DataFrame:
    """Return points with the height of the smooth line at each; NaN where a point is not finite."""
    kept = np.isfinite(x) & np.isfinite(y)
    smooth = np.full(len(x), np.nan)
    if kept.any():
        at, line = lowess(x[kept], y[kept], span)
        smooth[kept] = np.interp(x[kept], at, line)
    return pd.DataFrame({name: x, "residual": y, "smooth": smooth}, index=index)


def draw_points(panel: Any, x: Any, y: Any) -> None:
    """Draw a scatter of points, smaller and fainter the more there are."""
    n = len(x)
    size, alpha = float(np.clip(60.0 / np.sqrt(n), 1.5, 4.0)), float(np.clip(12.0 / np.sqrt(n), 0.15, 0.8))
    panel.plot(x, y, "o", color=INK, markersize=size, alpha=alpha, markeredgewidth=0.0, rasterized=n > MANY)


def draw_smooth(panel: Any, data: pd.DataFrame, x: str, y: str) -> None:
    """Draw points and the smooth line."""
    draw_points(panel, data[x], data[y])
    line = data.sort_values(x)
    panel.plot(line[x], line["smooth"], color=ACCENT, linewidth=1.6)


def _boxes(host: Any, along: pd.Series, residual: FloatArray) -> Picture:
    """Draw a box of residuals for each level."""
    data = pd.DataFrame({along.name: along, "residual": residual})
    levels = along.cat.categories if isinstance(along.dtype, pd.CategoricalDtype) else sorted(along.unique())
    groups = {level: data["residual"][along == level].dropna() for level in levels}
    groups = {level: values for level, values in groups.items() if len(values)}
    line = {"color": INK, "linewidth": 0.8}
    host.boxplot(
        list(groups.values()), widths=0.6, boxprops=line, whiskerprops=line, capprops=line,
        medianprops={"color": ACCENT, "linewidth": 1.4}, flierprops={"markersize": 2.5},
    )  # fmt: skip
    name_levels(host, range(1, len(groups) + 1), list(groups))
    return finished(host, data)
