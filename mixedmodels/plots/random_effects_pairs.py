"""Random effects of one grouping factor against each other: ``plot_ranef_pairs(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.inference.wald import check_level
from mixedmodels.plots.canvas import ACCENT, INK, RULE, TICK, check_axes, entitle, finished, panels
from mixedmodels.plots.selection import chosen_columns, covariance_of, one_group, random_effects

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Levels named in a panel, those furthest out.
MOST_NAMED = 6


@advises
def plot_ranef_pairs(
    model: Fit,
    group: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    level: float = 0.95,
    ax: Any = None,
) -> Picture:
    """Draw the random effects of each level against each other, with the ellipse of their distribution.

    The ellipse is that of the estimated covariance matrix: a line where the correlation is at -1 or 1. Levels
    outside of it are named, those furthest out.

    Parameters
    ----------
    model : fitted model
        From lmer() or glmer().
    group : str, optional
        A grouping factor with two random coefficients or more, by default the first.
    columns : list of str, optional
        Random coefficients, by default all; a panel for each two.
    level : float
        Probability of the ellipse.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: grpvar, grp and a column for each coefficient, as ``ranef(m)`` has them; and
        ``panels``.

    Raises
    ------
    ControlError
        If the model has no such grouping factor or coefficient.
    NotAvailableError
        If there are fewer than two coefficients, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.plot_ranef_pairs(m).data.columns.tolist()
    ['grpvar', 'grp', '(Intercept)', 'Days']
    """
    check_axes(ax)
    fit = a_mixed_fit(model, "plot_ranef_pairs")
    check_level(level)
    name = one_group(fit, group, size=2)
    chosen = two_or_more(fit, name, columns, "plot_ranef_pairs")
    modes = random_effects(fit)[name][chosen]
    covariance = covariance_of(fit, name).loc[chosen, chosen]
    host, inside = triangle(ax, len(chosen))
    for (x, y), panel in inside.items():
        pair = [chosen[x], chosen[y]]
        draw_ellipse(panel, np.zeros(2), covariance.loc[pair, pair].to_numpy(), level)
        panel.axhline(0.0, color=RULE, linewidth=0.7, zorder=0)
        panel.axvline(0.0, color=RULE, linewidth=0.7, zorder=0)
        size = float(np.clip(300.0 / len(modes), 1.5, 4.5))
        panel.plot(modes[pair[0]], modes[pair[1]], "o", color=INK, markersize=size)
        _name_outlying(panel, modes[pair], covariance.loc[pair, pair].to_numpy(), level)
        label_outside(panel, pair, x, y, len(chosen))
    entitle(inside[0, 1], f"Random effects of {name}, {100 * level:g} % ellipse")
    data = modes.rename_axis("grp").reset_index()
    data.insert(0, "grpvar", name)
    return finished(host, data, list(inside.values()))


def two_or_more(fit: MixedFit, group: str, columns: Any, function: str) -> list[str]:
    """Return the coefficients asked for, or raise NotAvailableError unless there are two."""
    chosen = chosen_columns(fit, group, columns)
    if len(chosen) < 2:
        raise NotAvailableError(
            f"{function}() draws two random coefficients against each other, and {group} has {chosen[0]} "
            "alone: plot_ranef(m) draws one."
        )
    return chosen


def triangle(ax: Any, n: int, beside: float = 0.0) -> tuple[Any, dict[tuple[int, int], Any]]:
    """Return host axes and a panel for each two of n coefficients: the first along x, the second along y.

    `beside` inches are left for what stands beside a single panel.
    """
    size = 4.2 if n == 2 else max(2.4, 7.2 / (n - 1))
    width = size + (beside if n == 2 else 0.0)
    host, inside = panels(ax, n - 1, n - 1, width, 0.9 * size, sharex="col" if n > 2 else False)
    kept = {(x, y): inside[(y - 1) * (n - 1) + x] for x, y in combinations(range(n), 2)}
    for panel in inside:
        if panel not in kept.values():
            panel.remove()
    return host, kept


def label_outside(panel: Any, pair: Sequence[str], x: int, y: int, n: int) -> None:
    """Name the coefficients along the left and the lower side of a triangle of panels."""
    if x == 0:
        panel.set_ylabel(pair[1])
    if y == n - 1:
        panel.set_xlabel(pair[0])
    else:
        panel.tick_params(labelbottom=False)


def draw_ellipse(panel: Any, center: FloatArray, covariance: FloatArray, level: float) -> None:
    """Draw the ellipse of a normal distribution in the plane that has a probability."""
    values, vectors = np.linalg.eigh(covariance)
    # The quantile of chi-squared on two degrees of freedom.
    radius = np.sqrt(-2.0 * np.log1p(-level))
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    circle = radius * np.sqrt(np.maximum(values, 0.0))[:, None] * np.array([np.cos(angle), np.sin(angle)])
    points = center[:, None] + vectors @ circle
    panel.plot(points[0], points[1], color=ACCENT, linewidth=1.0)


def _name_outlying(panel: Any, modes: pd.DataFrame, covariance: FloatArray, level: float) -> None:
    """Name the levels furthest outside the ellipse."""
    if np.linalg.eigvalsh(covariance)[0] <= 1e-10 * np.trace(covariance):
        return
    b = modes.to_numpy()
    distance = np.einsum("ij,ij->i", b, np.linalg.solve(covariance, b.T).T)
    furthest = [k for k in np.argsort(-distance)[:MOST_NAMED] if distance[k] > -2.0 * np.log1p(-level)]
    for k in furthest:
        panel.annotate(
            str(modes.index[k]), b[k], (3, 3), textcoords="offset points", fontsize=TICK - 1.0, color=INK
        )
