"""Shrinkage: from each group's own least squares to its conditional coefficients: ``plot_shrinkage(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.inference.wald import check_level
from mixedmodels.plots.canvas import (
    ACCENT,
    COLORS,
    INK,
    RULE,
    SHADE,
    TICK,
    check_axes,
    entitle,
    finished,
    legend_beside,
    panels,
)
from mixedmodels.plots.caterpillar import height_for, label_levels
from mixedmodels.plots.random_effects_pairs import draw_ellipse, label_outside, triangle
from mixedmodels.plots.selection import chosen_columns, covariance_of, one_group
from mixedmodels.plots.within_group import group_coefficients

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Levels named in a panel, those that move furthest.
MOST_NAMED = 3
#: Levels up to which arrows have heads; a line each is drawn of more.
MOST_ARROWS = 300
NAMES = ("within group", "mixed model", "population")


@advises
def plot_shrinkage(
    model: Fit,
    group: str | None = None,
    *,
    columns: str | Sequence[str] | None = None,
    level: float = 0.95,
    ax: Any = None,
) -> Picture:
    """Draw how coefficients of groups move: from each group's own least squares to the mixed model's.

    Everything else in the model is held: the least squares of a group are on its columns of random effects.
    Arrows point from them to the conditional coefficients, towards the fixed effects.

    Parameters
    ----------
    model : fitted model
        From lmer().
    group : str, optional
        A grouping factor, by default the first with two random coefficients or more.
    columns : str or list of str, optional
        Random coefficients, by default all; a panel for each two.
    level : float
        Probability of the ellipse of the estimated distribution of the coefficients.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: grpvar, grp, term, within (NaN where a group's rows do not determine it), conditional
        and population; and ``panels``.

    Raises
    ------
    ControlError
        If the model has no such grouping factor or coefficient.
    NotAvailableError
        If the model is no linear mixed model, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("weight ~ week + (week | rat)", mm.load_dataset("rats"))
    >>> mm.plot_shrinkage(m).data.query("grp == '15'").iloc[0, 3:].astype(float).round(1).tolist()
    [170.2, 165.1, 156.1]
    """
    check_axes(ax)
    fit = a_mixed_fit(model, "plot_shrinkage")
    check_level(level)
    name = one_group(fit, group, size=2)
    chosen = chosen_columns(fit, name, columns)
    data = group_coefficients(fit, name, "plot_shrinkage").to_frame(name)
    data = data[data["term"].isin(chosen)].reset_index(drop=True)
    if len(chosen) == 1:
        return _one_coefficient(data, ax)
    return _by_twos(fit, data, chosen, level, ax)


def _by_twos(fit: MixedFit, data: pd.DataFrame, chosen: list[str], level: float, ax: Any) -> Picture:
    """Draw a panel for each two coefficients."""
    name = data["grpvar"].iloc[0]
    rows_of = {column: data[data["term"] == column] for column in chosen}
    covariance = covariance_of(fit, name)
    host, inside = triangle(ax, len(chosen), beside=1.3)
    for (x, y), panel in inside.items():
        pair = [chosen[x], chosen[y]]
        place = {
            kind: np.column_stack([rows_of[column][kind] for column in pair])
            for kind in ("within", "conditional", "population")
        }
        draw_ellipse(panel, place["population"][0], covariance.loc[pair, pair].to_numpy(), level)
        _draw_arrows(panel, place["within"], place["conditional"], rows_of[pair[0]]["grp"].to_numpy())
        panel.plot(*place["population"][0], "X", color=COLORS[1], markersize=8, label=NAMES[2], zorder=4)
        label_outside(panel, pair, x, y, len(chosen))
    first = inside[0, 1]
    entitle(first, f"Shrinkage of the coefficients of {name}")
    legend_beside(first)
    return finished(host, data, list(inside.values()))


def _draw_arrows(panel: Any, start: FloatArray, stop: FloatArray, names: Any) -> None:
    """Draw an arrow for each level, and name those that move furthest, by the spread of each coordinate."""
    size = float(np.clip(300.0 / len(start), 1.5, 4.5))
    move = stop - start
    style = {
        "arrowstyle": "-|>",
        "color": SHADE,
        "shrinkA": size / 2.0,
        "shrinkB": size / 2.0,
        "linewidth": 0.8,
    }
    for k in range(len(start) if len(start) <= MOST_ARROWS else 0):
        if np.isfinite(start[k]).all():
            panel.annotate("", stop[k], start[k], arrowprops={**style, "mutation_scale": 7.0}, zorder=2)
    if len(start) > MOST_ARROWS:
        panel.plot(*np.stack([start, stop]).transpose(2, 0, 1), color=SHADE, linewidth=0.5, zorder=2)
    panel.plot(*start.T, "o", color=INK, markerfacecolor="white", markersize=size, label=NAMES[0], zorder=3)
    panel.plot(*stop.T, "o", color=ACCENT, markersize=size, label=NAMES[1], zorder=3)
    length = np.linalg.norm(move / np.maximum(np.nanstd(stop, axis=0), np.finfo(float).tiny), axis=1)
    furthest = np.argsort(-np.nan_to_num(length))[:MOST_NAMED]
    for k in furthest:
        if np.isfinite(start[k]).all():
            panel.annotate(str(names[k]), start[k], (4, 3), textcoords="offset points", fontsize=TICK - 1.0)


def _one_coefficient(data: pd.DataFrame, ax: Any) -> Picture:
    """Draw one coefficient level by level, in the order of the conditional ones."""
    n, first = len(data), data.iloc[0]
    host, _ = panels(ax, 1, 1, 5.6, height_for(n))
    rows = data.iloc[np.argsort(data["conditional"].to_numpy(), kind="stable")]
    at, size = np.arange(n), float(np.clip(200.0 / n, 1.0, 4.5))
    host.axvline(first["population"], color=RULE, linewidth=1.0, label=NAMES[2], zorder=0)
    host.hlines(at, rows["within"], rows["conditional"], color=SHADE, linewidth=0.3 * size)
    host.plot(rows["within"], at, "o", color=INK, markerfacecolor="white", markersize=size, label=NAMES[0])
    host.plot(rows["conditional"], at, "o", color=ACCENT, markersize=size, label=NAMES[1])
    host.set(title=f"Shrinkage of {first['term']} | {first['grpvar']}", xlabel="coefficient")
    label_levels(host, at, rows["grp"])
    legend_beside(host)
    return finished(host, data)
