"""Effects of a predictor with ribbons, and the data around them: ``plot_effects(m, "x", by="g")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.control import one_of
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.emmeans.linear_functions import Scale
from mixedmodels.inference.fixed_effects import Ddf
from mixedmodels.plots.canvas import (
    check_axes,
    color,
    finished,
    legend_beside,
    line,
    mark,
    name_levels,
    panels,
    shape_of,
)
from mixedmodels.plots.effect_table import Axis, Residuals, axes_of, effects, residual_points

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Width that the intervals of one level share.
DODGE = 0.5


@advises
def plot_effects(
    model: Fit,
    x: str,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    type: Scale = "response",
    level: float = 0.95,
    ddf: Ddf = "default",
    residuals: Residuals | None = None,
    ax: Any = None,
) -> Picture:
    """Draw the effect of a predictor: marginal means along it, averaged over the factors not drawn.

    The means are those of :func:`mixedmodels.emmeans`, other covariates at their mean, random effects at
    zero; a ribbon or bars are their confidence limits.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    x : str
        The predictor: a line if it is a covariate, points with bars if it is a factor.
    by : str or list of two, optional
        Variables that divide the effect: the first into colours, the second into panels. Covariates of more
        than four values are shown at their quartiles.
    at : dict, optional
        Variable -> values, of those drawn or of others.
    type : {"response", "link"}
        Scale: of the response, or of the linear predictor.
    level : float
        Confidence level.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom.
    residuals : {"raw", "partial"}, optional
        Points to draw as well: the responses (of 0/1 responses the means of ten bins along each line); or
        residuals added to the effect at their row, which is freed of all else in the model.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: kind ("effect", or that of the residuals), the variables, estimate, std.error, df,
        lower, upper, and n, the number of rows behind a point; and ``panels``.

    Raises
    ------
    ControlError
        If a variable is not among the fixed effects, or an option has a value that it cannot have.
    NotAvailableError
        If matplotlib is not installed.

    References
    ----------
    Fox & Weisberg (2018), J. Stat. Softw. 87(9), for partial residuals.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("yield ~ nitro + Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))
    >>> mm.plot_effects(m, "Variety").data["estimate"].round(1).tolist()
    [104.5, 109.8, 97.6]
    """
    check_axes(ax)
    fit = a_fit(model, "plot_effects")
    if residuals is not None:
        one_of("residuals", residuals, get_args(Residuals), "; by default none are drawn")
    along, divided = axes_of(fit, x, by, at)
    table, functions = effects(fit, along, divided, at, {"type": type, "level": level, "ddf": ddf})
    data = table.assign(kind="effect")
    if residuals is not None:
        points = residual_points(fit, table, functions, (along, divided), residuals)
        data = pd.concat([data, points.assign(kind=residuals)], ignore_index=True)
    facets = divided[1].values if len(divided) > 1 else (None,)
    rows, columns = shape_of(len(facets))
    width = 4.6 if len(facets) == 1 else 3.2
    host, inside = panels(
        ax, rows, columns, width, 3.5 if len(facets) == 1 else 3.0, sharex=True, sharey=True
    )
    for k, (panel, facet) in enumerate(zip(inside, facets, strict=False)):
        own = data if facet is None else data[data[divided[1].name] == facet]
        _draw(panel, own, along, divided[0] if divided else None)
        if facet is not None:
            panel.set_title(f"{divided[1].name} = {_text(facet)}")
        if k >= len(facets) - columns:
            panel.set_xlabel(along.name)
        if k % columns == 0:
            panel.set_ylabel(_response_label(fit, functions))
    if divided:
        legend_beside(inside[columns - 1], divided[0].name)
    columns_of_data = ["kind", *(axis.name for axis in (along, *divided)), "estimate"]
    return finished(
        host, data[[*columns_of_data, *data.columns.difference(columns_of_data, sort=False)]], inside
    )


def _draw(panel: Any, data: pd.DataFrame, along: Axis, colours: Axis | None) -> None:
    """Draw the lines, or points with bars, of one panel."""
    values = colours.values if colours is not None else (None,)
    for k, value in enumerate(values):
        own = data if value is None else data[data[colours.name] == value]  # type: ignore[union-attr]
        effect, points = own[own["kind"] == "effect"], own[own["kind"] != "effect"]
        style = {"color": color(k), "label": _text(value)}
        if along.is_numeric:
            panel.fill_between(
                effect[along.name],
                effect["lower"],
                effect["upper"],
                color=color(k),
                alpha=0.18,
                linewidth=0.0,
            )
            panel.plot(effect[along.name], effect["estimate"], linestyle=line(k), linewidth=1.6, **style)
            _draw_points(panel, points[along.name], points, k)
            continue
        shift = DODGE * ((k + 0.5) / len(values) - 0.5)
        place = {level: position + shift for position, level in enumerate(along.values)}
        at, half = (
            effect[along.name].map(place),
            [effect["estimate"] - effect["lower"], effect["upper"] - effect["estimate"]],
        )
        panel.errorbar(
            at, effect["estimate"], half, fmt=mark(k), markersize=5.0, linewidth=1.4, zorder=3, **style
        )
        spread = DODGE / len(values) * 0.7 * (np.modf(np.arange(len(points)) * 0.618034)[0] - 0.5)
        _draw_points(panel, points[along.name].map(place).to_numpy(dtype=float) + spread, points, k)
    if not along.is_numeric:
        name_levels(panel, range(len(along.values)), [_text(level) for level in along.values])
        panel.set_xlim(-0.6, len(along.values) - 0.4)


def _draw_points(panel: Any, x: Any, points: pd.DataFrame, k: int) -> None:
    """Draw residuals behind the effects, those of many rows larger."""
    if not len(points):
        return
    n = points["n"].to_numpy(dtype=float)
    size = np.where(n > 1, 12.0 + 30.0 * n / n.max(), 9.0)
    alpha = float(np.clip(10.0 / np.sqrt(len(points)), 0.15, 0.7))
    panel.scatter(
        x, points["estimate"], s=size, marker=mark(k), color=color(k), alpha=alpha, linewidths=0.0, zorder=1,
        rasterized=len(points) > 3000,
    )  # fmt: skip


def _text(value: Any) -> str:
    """Return a level as legends and titles show it."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _response_label(fit: Fit, functions: Any) -> str:
    """Return what the vertical axis shows."""
    response, scale = fit.design.response, functions.scale
    if functions.type == "link" and scale is not None and fit.family() is not None:
        return f"{scale.name} of the mean"
    if scale is not None and functions.type == "response":
        if scale.label == "prob":
            return (
                f"probability of {response.text} = {response.levels[1]}" if response.levels else "probability"
            )
        return (
            f"mean of {response.text}" if fit.family() is not None else f"{response.text}, back-transformed"
        )
    return response.text
