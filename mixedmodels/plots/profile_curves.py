"""Profiles of the likelihood, as signed roots and as densities: ``plot_profile(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.profile.profile import profile
from mixedmodels.inference.profile.result import Profile, ProfileCurve
from mixedmodels.plots.canvas import ACCENT, RULE, SHADE, check_axes, color, finished, panels, shape_of
from mixedmodels.plots.selection import chosen_probabilities

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Confidence levels of the intervals drawn, lattice's.
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
#: Places along a curve that is drawn.
PLACES = 201


@advises
def plot_profile(
    model: Fit | Profile,
    which: str | int | Sequence[str | int] | None = None,
    *,
    levels: Sequence[float] = LEVELS,
    absolute: bool = False,
    ax: Any = None,
) -> Picture:
    """Draw the profile of each parameter: zeta, the signed root of the rise of the deviance.

    Where the curve is straight, the estimate and its standard error say all; where it bends, intervals are
    lopsided. Vertical lines are the limits of profile intervals.

    Parameters
    ----------
    model : fitted model or Profile
        A model from lmer() or glmer(), which is profiled; or what ``m.profile()`` returned.
    which : str, int or sequence of them, optional
        Parameters, by default all.
    levels : sequence of float
        Confidence levels of the intervals drawn.
    absolute : bool
        Whether to draw the absolute value of zeta, whose intervals are horizontal lines.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: parameter, value, zeta and level, which is that of the interval at whose limits a row
        stands and NaN along the curve; and ``panels``.

    Raises
    ------
    ControlError
        If there is no such parameter, or a level is not between 0 and 1.
    NotAvailableError
        If the model cannot be profiled, or matplotlib is not installed.

    References
    ----------
    Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, ch. 6.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"), REML=False)
    >>> data = mm.plot_profile(m, "sigma", levels=[0.95]).data
    >>> data.loc[data["level"] == 0.95, "value"].round(2).tolist()
    [38.23, 67.66]
    """
    check_axes(ax)
    levels = chosen_probabilities(levels)
    one_of("absolute", absolute, (True, False))
    _, curves = profiled(model, which, "plot_profile")
    host, inside = panels(ax, *shape_of(len(curves)), 3.0, 2.8)
    parts = []
    for panel, (name, curve) in zip(inside, curves.items(), strict=False):
        rows = _rows(name, curve, sorted(levels))
        if absolute:
            rows["zeta"] = rows["zeta"].abs()
        _draw(panel, rows, absolute)
        panel.set(title=name, ylabel=r"$|\zeta|$" if absolute else r"$\zeta$")
        parts.append(rows)
    return finished(host, pd.concat(parts, ignore_index=True), inside)


@advises
def plot_profile_density(
    model: Fit | Profile, which: str | int | Sequence[str | int] | None = None, *, ax: Any = None
) -> Picture:
    """Draw the density that each profile stands for: that of the value if zeta were standard normal.

    Parameters
    ----------
    model : fitted model or Profile
        A model from lmer() or glmer(), which is profiled; or what ``m.profile()`` returned.
    which : str, int or sequence of them, optional
        Parameters, by default all.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: parameter, value, density; and ``panels``.

    Raises
    ------
    ControlError
        If there is no such parameter.
    NotAvailableError
        If the model cannot be profiled, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"), REML=False)
    >>> data = mm.plot_profile_density(m, "sigma").data
    >>> round(data["value"][data["density"].idxmax()])
    48
    """
    check_axes(ax)
    _, curves = profiled(model, which, "plot_profile_density")
    host, inside = panels(ax, *shape_of(len(curves)), 3.0, 2.6)
    parts = []
    for panel, (name, curve) in zip(inside, curves.items(), strict=False):
        at = _places(curve)
        spline = curve.spline()
        density = np.exp(-0.5 * spline(at) ** 2) / np.sqrt(2.0 * np.pi) * np.maximum(spline(at, 1), 0.0)
        panel.plot(at, density, color=ACCENT, linewidth=1.4)
        panel.axvline(curve.value_at(0.0), color=RULE, linewidth=0.8, zorder=0)
        panel.set(title=name, ylabel="density", ylim=(0.0, None))
        parts.append(pd.DataFrame({"parameter": name, "value": at, "density": density}))
    return finished(host, pd.concat(parts, ignore_index=True), inside)


def profiled(model: Any, which: Any, function: str) -> tuple[Profile, dict[str, ProfileCurve]]:
    """Return a profile, the one given or that of a model, and its curves asked for by name.

    Parameters of a model are named at length. Curves of one point are left out.

    Raises
    ------
    ControlError
        If no curve is left.
    NotAvailableError
        If `model` is neither.
    """
    if isinstance(model, Profile):
        found, names = model, model.confint(which).index
    elif isinstance(model, Fit):
        found = profile(model, which, signames=False)
        names = pd.Index(list(found))
    else:
        raise NotAvailableError(
            f"{function}() needs a fitted model or its profile; {shown(model)} is neither."
        )
    curves = {name: found[name] for name in names if len(found[name].values) > 1}
    if not curves:
        raise ControlError("the profile has no curve: every parameter stands at one point.")
    return found, curves


def _places(curve: ProfileCurve) -> FloatArray:
    return np.linspace(float(curve.values[0]), float(curve.values[-1]), PLACES)


def _rows(name: str, curve: ProfileCurve, levels: Sequence[float]) -> pd.DataFrame:
    """Return the curve, and the limits of every interval."""
    at = _places(curve)
    parts = [pd.DataFrame({"parameter": name, "value": at, "zeta": curve.spline()(at), "level": np.nan})]
    for level in levels:
        z = float(special.ndtri((1.0 + level) / 2.0))
        values = np.array([curve.value_at(-z), curve.value_at(z)])
        limits = pd.DataFrame({"parameter": name, "value": values, "zeta": curve.spline()(values)})
        parts.append(limits.assign(level=level))
    return pd.concat(parts, ignore_index=True)


def _draw(panel: Any, rows: pd.DataFrame, absolute: bool) -> None:
    """Draw one profile."""
    is_curve = rows["level"].isna()
    curve, limits = rows[is_curve], rows[~is_curve]
    panel.axhline(0.0, color=SHADE, linewidth=0.8, zorder=0)
    for _, ends in limits.groupby("level"):
        panel.vlines(ends["value"], 0.0, ends["zeta"], color=SHADE, linewidth=0.8, zorder=1)
        if absolute:
            panel.plot(ends["value"], ends["zeta"], color=color(0), linewidth=0.8, zorder=1)
    panel.plot(curve["value"], curve["zeta"], color=ACCENT, linewidth=1.4, zorder=2)
