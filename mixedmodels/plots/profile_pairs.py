"""Contours of the likelihood of two parameters, all others refitted: ``plot_profile_pairs(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.profile.result import Profile, ProfileCurve
from mixedmodels.plots.canvas import ACCENT, SHADE, TICK, TITLE, check_axes, finished, panels
from mixedmodels.plots.profile_curves import profiled
from mixedmodels.plots.selection import chosen_probabilities

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Levels of the contours, lattice's less the half.
LEVELS = (0.5, 0.8, 0.95)
#: Points of a contour, and those of a curve that is read backwards.
PLACES, FINE_PLACES = 121, 2001


@advises
def plot_profile_pairs(
    model: Fit | Profile,
    which: Sequence[str | int] | None = None,
    *,
    levels: Sequence[float] = LEVELS,
    ax: Any = None,
) -> Picture:
    """Draw contours of the profile likelihood of each two parameters.

    Below the diagonal the parameters are on their own scale, above it as zeta, where contours of a quadratic
    likelihood are ellipses. Grey lines are the profile traces: where one parameter is at its best, the other
    being held. Contours are interpolated between the traces (Bates & Watts), which takes no further fits.

    Parameters
    ----------
    model : fitted model or Profile
        A model from lmer() or glmer(), which is profiled; or what ``m.profile()`` returned.
    which : sequence of str or int, optional
        Two parameters or more, by default all.
    levels : sequence of float
        Joint confidence levels of the contours.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: x and y (names of the parameters), level, and of every point of the contour x_value,
        y_value, x_zeta, y_zeta; and ``panels``.

    Raises
    ------
    ControlError
        If there is no such parameter, or a level is not between 0 and 1.
    NotAvailableError
        If there are fewer than two parameters, or matplotlib is not installed.

    References
    ----------
    Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, appendix A6.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"), REML=False)
    >>> mm.plot_profile_pairs(m, ["sigma", "(Intercept)"]).data["level"].unique().tolist()
    [0.5, 0.8, 0.95]
    """
    check_axes(ax)
    levels = chosen_probabilities(levels)
    found, curves = profiled(model, which, "plot_profile_pairs")
    if len(curves) < 2:
        raise NotAvailableError(
            "plot_profile_pairs() draws two parameters or more; plot_profile(m) draws one."
        )
    n, names = len(curves), list(curves)
    places = [_place(found, curve) for curve in curves.values()]
    size = 4.0 if n == 2 else max(1.7, 9.0 / n)
    host, inside = panels(ax, n, n, size, 0.9 * size)
    parts = []
    for row in range(n):
        _name_diagonal(inside[row * n + row], names[row])
        for column in range(row):
            pair = _Pair(names[column], names[row], curves, (places[column], places[row]))
            rows = pair.contours(sorted(levels))
            pair.draw(inside[row * n + column], rows, on_zeta=False)
            pair.transposed().draw(inside[column * n + row], _swapped(rows), on_zeta=True)
            parts.append(rows)
    drawn = finished(host, pd.concat(parts, ignore_index=True), inside)
    _label_sides(inside, n)
    return drawn


def _place(found: Profile, curve: ProfileCurve) -> int:
    """Return where a curve's parameter is among all of the model."""
    return next(k for k, parameter in enumerate(found.parameters) if parameter is curve.parameter)


def _swapped(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the points of contours with the axes exchanged."""
    return rows.rename(
        columns=lambda name: {"x": "y", "y": "x"}[name[0]] + name[1:] if name != "level" else name
    )


class _Pair:
    """Two profiled parameters, the first along x."""

    def __init__(self, x: str, y: str, curves: dict[str, ProfileCurve], places: tuple[int, int]) -> None:
        self.x, self.y, self.curves, self.places = x, y, curves, places

    def transposed(self) -> _Pair:
        """Return the same pair with the axes exchanged."""
        return _Pair(self.y, self.x, self.curves, self.places[::-1])

    def trace(self) -> tuple[FloatArray, FloatArray]:
        """Return zeta along the profile of x, and zeta of y there, each (n,)."""
        own, other = self.curves[self.x], self.curves[self.y]
        along = np.clip(own.along[:, self.places[1]], other.values[0], other.values[-1])
        return own.zeta, np.asarray(other.spline()(along))

    def contours(self, levels: Sequence[float]) -> pd.DataFrame:
        """Return the points of the contours at joint confidence levels."""
        parts = []
        for level in levels:
            # The root of the quantile of chi-squared on two degrees of freedom.
            radius = float(np.sqrt(-2.0 * np.log1p(-level)))
            zeta_x, zeta_y = contour(self.trace(), self.transposed().trace(), radius)
            x, y = self.curves[self.x], self.curves[self.y]
            points = {
                "x_value": values_at(x, zeta_x),
                "y_value": values_at(y, zeta_y),
                "x_zeta": zeta_x,
                "y_zeta": zeta_y,
            }
            parts.append(pd.DataFrame({"x": self.x, "y": self.y, "level": level, **points}))
        return pd.concat(parts, ignore_index=True)

    def draw(self, panel: Any, rows: pd.DataFrame, on_zeta: bool) -> None:
        """Draw contours and traces."""
        kind = "zeta" if on_zeta else "value"
        for _, points in rows.groupby("level"):
            panel.plot(points[f"x_{kind}"], points[f"y_{kind}"], color=ACCENT, linewidth=1.0)
        span = [(rows[f"{axis}_{kind}"].min(), rows[f"{axis}_{kind}"].max()) for axis in "xy"]
        x, y = self.curves[self.x], self.curves[self.y]
        traces = [self.trace(), self.transposed().trace()[::-1]]
        if not on_zeta:
            traces = [(x.values, x.along[:, self.places[1]]), (y.along[:, self.places[0]], y.values)]
        for across, up in traces:
            panel.plot(across, up, color=SHADE, linewidth=0.7, zorder=0)
        margin = [0.05 * (high - low) for low, high in span]
        panel.set_xlim(span[0][0] - margin[0], span[0][1] + margin[0])
        panel.set_ylim(span[1][0] - margin[1], span[1][1] + margin[1])


def values_at(curve: ProfileCurve, zeta: FloatArray) -> FloatArray:
    """Return the values of a parameter at values of zeta, to the width of a line; its ends beyond."""
    at = np.linspace(float(curve.values[0]), float(curve.values[-1]), FINE_PLACES)
    # A curve that turns back has no inverse there; the side of the estimate counts.
    increasing = np.maximum.accumulate(curve.spline()(at))
    return np.interp(zeta, increasing, at)


def contour(
    first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray], radius: float
) -> tuple[FloatArray, FloatArray]:
    """Return a contour of the likelihood of two parameters as their zetas, each (121,).

    On the scales of zeta a contour is ``radius cos(a + d/2), radius cos(a - d/2)``, with the constant phase d
    of an ellipse where the likelihood is quadratic. The traces cross it where it is vertical and horizontal:
    four phases, between which d is a periodic spline of a (Bates & Watts).

    Parameters
    ----------
    first : (ndarray, ndarray)
        zeta of x along its profile and zeta of y there.
    second : (ndarray, ndarray)
        zeta of y along its profile and zeta of x there.
    radius : float
        zeta on the contour.
    """
    up, down = (_phase(first, sign * radius) for sign in (1.0, -1.0))
    right, left = (_phase(second, sign * radius) for sign in (1.0, -1.0))
    # Angles of x and of y at the four points: x at its largest, y at its largest, and the smallest.
    angles = np.array([[0.0, up], [right, 0.0], [np.pi, down], [left, np.pi]])
    mean, apart = angles.mean(axis=1), angles[:, 0] - angles[:, 1]
    a = np.where(apart > 0.0, mean, -mean)
    d = np.abs(apart)
    order = np.argsort(a)
    a, d = a[order], d[order]
    keep = np.concatenate([[True], np.diff(a) > 1e-8])
    a, d = a[keep], d[keep]
    at = np.linspace(-np.pi, np.pi, PLACES)
    closed = np.append(a, a[0] + 2.0 * np.pi), np.append(d, d[0])
    phase = (
        scipy.interpolate.CubicSpline(*closed, bc_type="periodic")(at)
        if len(a) > 1
        else np.full(PLACES, d[0])
    )
    return radius * np.cos(at + phase / 2.0), radius * np.cos(at - phase / 2.0)


def _phase(trace: tuple[FloatArray, FloatArray], zeta: float) -> float:
    """Return the angle of the other parameter where the trace meets the contour."""
    own, other = trace
    at = float(np.clip(zeta, own.min(), own.max()))
    increasing = np.concatenate([[True], np.diff(own) > 0.0])
    value = float(np.interp(at, own[increasing], other[increasing]))
    if len(own[increasing]) > 3:
        value = float(scipy.interpolate.CubicSpline(own[increasing], other[increasing])(at))
    return float(np.arccos(np.clip(value / abs(zeta), -1.0, 1.0)))


def _name_diagonal(panel: Any, name: str) -> None:
    """Write a parameter's name where its own panel would be."""
    panel.set(xticks=[], yticks=[])
    for spine in panel.spines.values():
        spine.set_visible(False)
    text = name.replace("|", "\n| ")
    panel.text(0.5, 0.5, text, ha="center", va="center", fontsize=TITLE - 1.0, transform=panel.transAxes)


def _label_sides(inside: Sequence[Any], n: int) -> None:
    """Put the scales of the upper triangle above and to the right."""
    for k, panel in enumerate(inside):
        row, column = divmod(k, n)
        panel.tick_params(labelsize=TICK - 1.0)
        if row < column:
            panel.xaxis.tick_top()
            panel.yaxis.tick_right()
            panel.tick_params(labeltop=row == 0, labelright=column == n - 1)
            panel.spines[["top", "right"]].set_visible(True)
            panel.spines[["left", "bottom"]].set_visible(False)
            if row == 0:
                panel.set_title(r"$\zeta$")
        elif row > column:
            panel.tick_params(labelbottom=row == n - 1, labelleft=column == 0)
