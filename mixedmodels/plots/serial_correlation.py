"""Correlation that residuals still have within groups: ``plot_acf(m)``, ``plot_variogram(m)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.diagnostics.model_semivariogram import model_semivariogram
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.diagnostics.serial_correlation import Collapse, ResidualKind, acf, residual_kind, variogram
from mixedmodels.fits.fit import Fit
from mixedmodels.plots.canvas import ACCENT, COLORS, INK, SHADE, check_axes, finished, legend_beside, panels
from mixedmodels.plots.lowess import lowess
from mixedmodels.plots.residual_panels import check_span, draw_points

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Width of a bar, in lags.
BAR = 0.25


@advises
def plot_acf(
    model: Fit, max_lag: int | None = None, *, type: ResidualKind | None = None, ax: Any = None
) -> Picture:
    """Draw the autocorrelation of residuals within groups, with the limits that chance keeps to.

    Bars beyond the lines, orange, are correlation that the model leaves; the lines hold 95 % of each
    correlation by itself where there is none. They widen where fewer pairs of rows are so far apart.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    max_lag, type : optional
        As for :func:`~mixedmodels.acf`.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``, the table of :func:`~mixedmodels.acf` and whether each is outside; and ``panels``.

    Raises
    ------
    ControlError
        If `max_lag` is no lag, or there are no such residuals.
    NotAvailableError
        If no group has two rows, or matplotlib is not installed.

    References
    ----------
    Pinheiro & Bates (2000), Mixed-effects models in S and S-PLUS, section 5.3.3.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    >>> data = mm.plot_acf(m).data
    >>> data["lag"][data["outside"]].tolist()
    [1, 5, 6, 7, 8]
    """
    check_axes(ax)
    fit = a_fit(model, "plot_acf")
    table = acf(fit, max_lag, type)
    # Lag 0 is the residual beside itself and says nothing.
    data = table.assign(outside=(table["acf"].abs() > table["limit"]) & (table["lag"] > 0))
    host, _ = panels(ax, 1, 1, 4.8, 3.6)
    host.axhline(0.0, color=SHADE, linewidth=0.8, zorder=0)
    for part, shade in ((~data["outside"], ACCENT), (data["outside"], COLORS[1])):
        host.bar(data["lag"][part], data["acf"][part], width=BAR, color=shade)
    late = data[data["lag"] > 0]
    for sign in (-1.0, 1.0):
        host.plot(late["lag"], sign * late["limit"], color=INK, linestyle="--", linewidth=0.9)
    host.xaxis.get_major_locator().set_params(integer=True)
    host.set(xlabel="lag", ylabel=f"autocorrelation of {_name(fit, type)} residuals")
    return finished(host, data)


@advises
def plot_variogram(
    model: Fit,
    over: str | None = None,
    *,
    type: ResidualKind | None = None,
    max_distance: float | None = None,
    bins: int = 20,
    collapse: Collapse = "quantiles",
    robust: bool = False,
    span: float = 0.6,
    ax: Any = None,
) -> Picture:
    """Draw the semivariogram of residuals within groups, with a smooth line and that of the model.

    The dashed line is what the model says of pairs so far apart, given its random effects: for normalized
    residuals one at every distance. Points that leave it, all on one side, speak of another correlation.

    Parameters
    ----------
    model : fitted model
        Of any kind; a generalized one has no dashed line.
    over, type, max_distance, bins, collapse, robust : optional
        As for :func:`~mixedmodels.variogram`; ``type="pearson"`` shows the correlation itself.
    span : float
        Share of the points that each part of the smooth line is fitted to, by default nlme's.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``, the table of :func:`~mixedmodels.variogram` with smooth and model; and ``panels``.

    Raises
    ------
    ControlError
        If an argument is out of its range.
    DataError
        If a coordinate is no number.
    NotAvailableError
        If no group has two rows, or matplotlib is not installed.

    References
    ----------
    Pinheiro & Bates (2000), Mixed-effects models in S and S-PLUS, section 5.3.2.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> body = mm.load_dataset("BodyWeight")
    >>> m = mm.lmer("weight ~ Time * Diet + (Time | Rat)", body, residual="exp(Time | Rat)")
    >>> picture = mm.plot_variogram(m, type="pearson")
    >>> picture.data.columns.tolist()
    ['distance', 'variogram', 'n_pairs', 'smooth', 'model']
    """
    check_axes(ax)
    fit = a_fit(model, "plot_variogram")
    check_span(span)
    options: dict[str, Any] = {"max_distance": max_distance, "bins": bins, "collapse": collapse}
    data = variogram(fit, over, type, robust=robust, **options)
    # Squares are skewed: a line that gives large ones less weight would lie below their mean.
    at, line = lowess(data["distance"].to_numpy(dtype=float), data["variogram"].to_numpy(), span, rounds=0)
    data["smooth"] = np.interp(data["distance"], at, line)
    data["model"] = model_semivariogram(fit, over, type, **options)
    host, _ = panels(ax, 1, 1, 4.8, 3.6)
    _draw_lines(host, data.sort_values("distance", kind="stable"))
    host.set(xlabel="distance", ylabel=f"semivariogram of {_name(fit, type)} residuals", ylim=(0.0, None))
    return finished(host, data)


def _draw_lines(host: Any, data: pd.DataFrame) -> None:
    """Draw points, the smooth line, and the line of the model where it has one."""
    draw_points(host, data["distance"], data["variogram"])
    host.plot(data["distance"], data["smooth"], color=ACCENT, linewidth=1.6, label="smooth")
    if data["model"].notna().any():
        by_distance = data.groupby("distance")["model"].mean()
        host.plot(
            by_distance.index, by_distance, color=COLORS[1], linestyle="--", linewidth=1.4, label="model"
        )
    legend_beside(host)


def _name(fit: Fit, type: ResidualKind | None) -> str:
    """Return what residuals of a type are called."""
    kind = residual_kind(fit, type)
    return "Pearson" if kind == "pearson" else kind
