"""Normal QQ plot of the random effects, with intervals: ``plot_ranef_qq(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.wald import check_level
from mixedmodels.plots.canvas import ACCENT, INK, SHADE, check_axes, finished, panels, shape_of
from mixedmodels.plots.selection import chosen_cells, limits, random_effects

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture


@advises
def plot_ranef_qq(
    model: Fit,
    group: str | Sequence[str] | None = None,
    *,
    columns: str | Sequence[str] | None = None,
    level: float = 0.95,
    ax: Any = None,
) -> Picture:
    """Draw the conditional modes of the random effects against normal quantiles, with their intervals.

    The line goes through the quartiles, as R's ``qqline``. Modes are shrunk, so that even where the random
    effects are normal they vary less than the estimated standard deviation.

    Parameters
    ----------
    model : fitted model
        From lmer() or glmer().
    group : str or list of str, optional
        Grouping factors, by default all.
    columns : str or list of str, optional
        Random coefficients, by default all; a panel each.
    level : float
        Probability of the intervals.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: grpvar, term, grp, quantile, condval, condsd, lower and upper; and ``panels``.

    Raises
    ------
    ControlError
        If the model has no such grouping factor or coefficient.
    NotAvailableError
        If the model has no random effects, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> mm.plot_ranef_qq(m).data["quantile"].round(2).tolist()
    [-1.28, -0.64, -0.2, 0.2, 0.64, 1.28]
    """
    check_axes(ax)
    fit = a_mixed_fit(model, "plot_ranef_qq")
    check_level(level)
    modes = random_effects(fit).to_frame()
    chosen = chosen_cells(fit, group, columns)
    cells = [(name, column) for name, own in chosen.items() for column in own]
    width = float(special.ndtri((1.0 + level) / 2.0))
    host, inside = panels(ax, *shape_of(len(cells)))
    parts = []
    for panel, (name, column) in zip(inside, cells, strict=False):
        own = modes[(modes["grpvar"] == name) & (modes["term"] == column)].sort_values("condval")
        value, sd = own["condval"].to_numpy(), own["condsd"].to_numpy()
        rows = own.assign(quantile=normal_quantiles(len(own)), **limits(value, sd, width))
        _draw(panel, rows)
        panel.set(title=f"{column} | {name}", xlabel="normal quantile", ylabel="conditional mode")
        parts.append(rows)
    columns_of_data = ["grpvar", "term", "grp", "quantile", "condval", "condsd", "lower", "upper"]
    return finished(host, pd.concat(parts, ignore_index=True)[columns_of_data], inside)


def _draw(panel: Any, rows: pd.DataFrame) -> None:
    """Draw one coefficient."""
    quantile, value = rows["quantile"].to_numpy(), rows["condval"].to_numpy()
    size = float(np.clip(200.0 / len(rows), 1.5, 4.0))
    panel.vlines(quantile, rows["lower"], rows["upper"], color=SHADE, linewidth=0.25 * size)
    panel.plot(quantile, value, "o", color=INK, markersize=size)
    draw_quartile_line(panel, quantile, value)


def normal_quantiles(n: int) -> FloatArray:
    """Return the n quantiles that R's ``qqnorm`` takes, shape (n,)."""
    shift = 3.0 / 8.0 if n <= 10 else 0.5
    return np.asarray(special.ndtri((np.arange(1, n + 1) - shift) / (n + 1 - 2 * shift)))


def draw_quartile_line(panel: Any, quantile: FloatArray, value: FloatArray) -> None:
    """Draw the line through the quartiles of sorted values, as R's ``qqline``."""
    if len(value) < 2:
        return
    low, high = np.quantile(value, [0.25, 0.75])
    slope = (high - low) / (2.0 * float(special.ndtri(0.75)))
    ends = quantile[[0, -1]]
    panel.plot(ends, (low + high) / 2.0 + slope * ends, color=ACCENT, linewidth=1.2)
