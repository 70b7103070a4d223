"""Scaled residuals, uniform if the model is right: ``plot_scaled_residuals(scaled_residuals(m))``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.scaled.result import ScaledResiduals
from mixedmodels.errors import ControlError, DataError
from mixedmodels.fits.fit import Fit
from mixedmodels.plots.canvas import ACCENT, SHADE, check_axes, finished, panels
from mixedmodels.plots.residual_panels import draw_points

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Quantiles of which lines are drawn along the fitted values.
QUANTILES = (0.25, 0.5, 0.75)
#: Share of the points that each place of a quantile line takes in, and its places.
WINDOW, PLACES = 0.3, 60


@advises
def plot_scaled_residuals(residuals: Any, fitted: Any = None, *, ax: Any = None) -> Picture:
    """Draw scaled residuals, which a right model makes uniform on (0, 1): their quantiles, and along the fit.

    To the left their quantiles against those of the uniform distribution, with the p-value of Kolmogorov and
    Smirnov's test. To the right the residuals by the rank of the fitted value, with their running quartiles,
    which are to stay at 1/4, 1/2 and 3/4.

    Parameters
    ----------
    residuals : ScaledResiduals or array_like
        What :func:`mixedmodels.scaled_residuals` returned; or residuals between 0 and 1, a row each.
    fitted : array_like, optional
        A variable to draw them along, by default the fitted values of scaled residuals.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: residual, expected (uniform quantile), fitted, rank (between 0 and 1), and the
        quartiles q25, q50 and q75 there; and ``panels``.

    Raises
    ------
    ControlError
        If there is nothing to draw them along.
    DataError
        If residuals are not between 0 and 1, or the two are not of one length.
    NotAvailableError
        If matplotlib is not installed.

    References
    ----------
    Dunn & Smyth (1996), J. Comput. Graph. Stat. 5, 236-244; Hartig, DHARMa.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> mm.plot_scaled_residuals(mm.scaled_residuals(m, rng=1)).panels[1].get_xlabel()
    'fitted value, rank'
    """
    check_axes(ax)
    if isinstance(residuals, Fit):
        raise ControlError(
            "plot_scaled_residuals() needs residuals, as in plot_scaled_residuals(scaled_residuals(m))."
        )
    if isinstance(residuals, ScaledResiduals):
        residuals, fitted = residuals.residuals, residuals.fitted if fitted is None else fitted
    if fitted is None:
        raise ControlError("plot_scaled_residuals() needs fitted, the values to draw these residuals along.")
    data = _table(residuals, fitted)
    host, inside = panels(ax, 1, 2, 3.8, 3.6)
    _draw_quantiles(inside[0], data)
    _draw_along(inside[1], data)
    return finished(host, data, inside)


def _table(residuals: Any, fitted: Any) -> pd.DataFrame:
    """Return what is drawn, one row a residual."""
    index = residuals.index if isinstance(residuals, pd.Series) else None
    try:
        scaled, along = np.asarray(residuals, dtype=np.float64), np.asarray(fitted, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"residuals and fitted must be numbers, not {shown(residuals)} and {shown(fitted)}."
        ) from None
    if scaled.ndim != 1 or scaled.shape != along.shape or not len(scaled):
        raise DataError(
            f"residuals and fitted must have one number a row, not {scaled.shape} and {along.shape}."
        )
    if not ((scaled >= 0.0) & (scaled <= 1.0)).all():
        raise DataError("scaled residuals lie between 0 and 1; draw others by plot_residuals(m).")
    n = len(scaled)
    rank = (scipy.stats.rankdata(along) - 0.5) / n
    expected = scipy.stats.rankdata(scaled, method="ordinal") / (n + 1)
    table = {"residual": scaled, "expected": expected, "fitted": along, "rank": rank}
    lines = running_quantiles(rank, scaled)
    names = [f"q{round(100 * q)}" for q in QUANTILES]
    return pd.DataFrame({**table, **dict(zip(names, lines, strict=True))}, index=index)


def running_quantiles(rank: FloatArray, residual: FloatArray) -> list[FloatArray]:
    """Return the quartiles of the residuals of rows of about equal rank, at every row."""
    n = len(rank)
    order = np.argsort(rank, kind="stable")
    own = residual[order]
    half = max(round(WINDOW * n / 2.0), min(n, 5))
    middle = np.unique(np.linspace(0, n - 1, PLACES).astype(np.intp))
    windows = [own[max(m - half, 0) : m + half + 1] for m in middle]  # cut off at the ends
    values = np.array([np.quantile(window, QUANTILES) for window in windows])
    return [np.interp(rank, rank[order][middle], values[:, k]) for k in range(len(QUANTILES))]


def _draw_quantiles(panel: Any, data: pd.DataFrame) -> None:
    """Draw residuals against uniform quantiles."""
    p = scipy.stats.kstest(data["residual"], "uniform").pvalue
    panel.plot([0.0, 1.0], [0.0, 1.0], color=SHADE, linewidth=0.9, zorder=0)
    draw_points(panel, data["expected"], data["residual"])
    panel.set(xlabel="uniform quantile", ylabel="scaled residual", title=f"Uniformity: KS p = {p:.3g}")


def _draw_along(panel: Any, data: pd.DataFrame) -> None:
    """Draw residuals along the rank of the fitted values, with their quartiles."""
    draw_points(panel, data["rank"], data["residual"])
    rows = data.sort_values("rank")
    for quantile in QUANTILES:
        panel.axhline(quantile, color=SHADE, linewidth=0.9, linestyle=":", zorder=0)
        panel.plot(rows["rank"], rows[f"q{round(100 * quantile)}"], color=ACCENT, linewidth=1.5)
    panel.set(xlabel="fitted value, rank", ylabel="scaled residual", title="Quartiles along the fit")
