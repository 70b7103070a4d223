"""Binned residuals of discrete responses: ``plot_binned_residuals(m)`` (Gelman & Hill 2007)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.errors import ControlError
from mixedmodels.fits.fit import Fit
from mixedmodels.plots.canvas import ACCENT, COLORS, SHADE, check_axes, finished, panels
from mixedmodels.plots.residual_panels import along_x

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture


@advises
def plot_binned_residuals(
    model: Fit, x: str | None = None, *, bins: int | None = None, ax: Any = None
) -> Picture:
    """Draw means of residuals in bins of the fitted mean, or of a variable, between two standard errors.

    Residuals of 0/1 responses lie on two lines and show nothing one by one; their means over bins of equal
    size are to stay within the bounds, 95 % of them. Bounds are those of the spread within each bin.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    x : str, optional
        A numeric variable of the model, by default the fitted mean.
    bins : int, optional
        Number of bins; by default the root of the number of rows, 10 for fewer than 100 rows, half of them
        for fewer than 10.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: x, residual (means of the bin, in the units of the response), n, bound (of two standard
        errors) and outside; and ``panels``.

    Raises
    ------
    ControlError
        If the model has no such numeric variable, or `bins` is no number above 1.
    NotAvailableError
        If matplotlib is not installed.

    References
    ----------
    Gelman & Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models, section 5.6.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.glmer("use ~ age + urban + (1 | district)", mm.load_dataset("Contraception"), "binomial")
    >>> len(mm.plot_binned_residuals(m).data)
    43
    """
    check_axes(ax)
    fit = a_fit(model, "plot_binned_residuals")
    name, along = (
        ("fitted mean", pd.Series(fit.mean)) if x is None else along_x(fit, x, "plot_binned_residuals")
    )
    if not pd.api.types.is_numeric_dtype(along.dtype):
        raise ControlError(f"plot_binned_residuals() needs a numeric variable, and {x} is none.")
    values, residual = np.asarray(along, dtype=np.float64), fit.y - fit.mean
    data = binned(values, residual, _number_of_bins(len(values), bins))
    host, _ = panels(ax, 1, 1, 4.8, 3.6)
    host.axhline(0.0, color=SHADE, linewidth=0.8, zorder=0)
    for sign in (-1.0, 1.0):
        host.plot(data["x"], sign * data["bound"], color=SHADE, linewidth=1.0)
    for part, shade in ((~data["outside"], ACCENT), (data["outside"], COLORS[1])):
        host.plot(data["x"][part], data["residual"][part], "o", color=shade, markersize=4.0)
    share = 1.0 - data["outside"].mean()
    host.set(
        xlabel=name, ylabel="mean residual", title=f"{100 * share:.0f} % of bins within two standard errors"
    )
    return finished(host, data)


def _number_of_bins(n: int, bins: Any) -> int:
    """Return the number of bins: arm's rule, or what was asked for."""
    if bins is None:
        return int(np.sqrt(n)) if n >= 100 else 10 if n >= 10 else max(n // 2, 1)
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 2:
        raise ControlError(f"bins must be a number above 1, not {shown(bins)}.")
    return int(min(bins, n))


def binned(x: FloatArray, residual: FloatArray, bins: int) -> pd.DataFrame:
    """Return means over bins of equal size along x; rows of equal x stay together.

    Parameters
    ----------
    x, residual : ndarray, shape (n,)
        The rows.
    bins : int
        Number of bins.
    """
    n = len(x)
    order = np.argsort(x, kind="stable")
    first = np.searchsorted(x[order], x)  # where rows of the same value begin
    frame = pd.DataFrame({"bin": first * bins // n, "x": x, "residual": residual}).groupby("bin")
    found = frame.mean()
    size, spread = frame.size().to_numpy(), frame["residual"].std().to_numpy()
    # A bin of one row has no spread to judge by.
    bound = np.where(size > 1, 2.0 * spread / np.sqrt(size), np.nan)
    found["n"], found["bound"] = size, bound
    found["outside"] = found["residual"].abs().to_numpy() > bound
    return found.reset_index(drop=True)
