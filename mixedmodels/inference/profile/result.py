"""The result of ``profile(m)``: the curve of every parameter, as a table, as splines and on other scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy
from scipy import special

from mixedmodels.advice import advises
from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import NotAvailableError
from mixedmodels.inference.profile.parameters import Parameter
from mixedmodels.inference.profile.selection import selected
from mixedmodels.inference.wald import check_level
from mixedmodels.reports.numbers import format_numbers, percent_names
from mixedmodels.reports.page import Page, html_of
from mixedmodels.reports.text_tables import text_matrix

ProfileScale = Literal["sd", "log", "var"]


@dataclass(frozen=True, slots=True)
class ProfileCurve:
    """The profile of one parameter, by increasing value.

    Attributes
    ----------
    parameter : Parameter
        The parameter.
    values, zeta, slopes : ndarray, shape (n,)
        Its values, the signed roots of the deviance increase, and d zeta / d value there; NaN where the
        derivative is not known from the refit, at the estimate for one.
    along : ndarray, shape (n, m)
        All parameters of the model at each point.
    """

    parameter: Parameter
    values: FloatArray
    zeta: FloatArray
    slopes: FloatArray
    along: FloatArray

    def spline(self) -> scipy.interpolate.CubicHermiteSpline:
        """Return zeta as a function of the value: cubic between points, with the exact slopes at them.

        Raises
        ------
        NotAvailableError
            If the curve has a single point.
        """
        if len(self.values) < 2:
            raise NotAvailableError(
                f"the profile of {self.parameter.name} has one point only and no curve through it."
            )
        slopes = self.slopes.copy()
        unknown = ~np.isfinite(slopes)
        slopes[unknown] = scipy.interpolate.CubicSpline(self.values, self.zeta)(self.values[unknown], 1)
        return scipy.interpolate.CubicHermiteSpline(self.values, self.zeta, slopes)

    def value_at(self, zeta: float) -> float:
        """Return where the spline of zeta has a value; the end of the curve if that is beyond it."""
        if zeta <= self.zeta.min():
            return float(self.values[0])
        if zeta >= self.zeta.max():
            return float(self.values[-1])
        roots = np.asarray(self.spline().solve(zeta, extrapolate=False))
        # A curve that turns back crosses a height more than once: the limit is nearest to the estimate.
        origin = float(self.values[int(np.argmin(np.abs(self.zeta)))])
        return float(roots[np.argmin(np.abs(roots - origin))])


@dataclass(frozen=True, slots=True, repr=False)
@advises
class Profile(Mapping[str, ProfileCurve]):
    """Profiles of the parameters of a model; printing them gives what the curves cover.

    A mapping from names to curves.

    Attributes
    ----------
    curves : tuple of ProfileCurve
        In the order asked for.
    parameters : tuple of Parameter
        All parameters of the model, the columns of the table.
    estimates : ndarray, shape (m,)
        Their values at the optimum.
    criterion : {"ML", "REML"}
        The criterion profiled.
    scale : {"sd", "log", "var"}
        The scale of standard deviations.
    signames : bool
        Whether covariance parameters are named ``.sig01`` or at length.
    """

    curves: tuple[ProfileCurve, ...]
    parameters: tuple[Parameter, ...]
    estimates: FloatArray
    criterion: str
    scale: ProfileScale
    signames: bool

    def __getitem__(self, name: str) -> ProfileCurve:
        """Return the curve of a parameter, by either of its names."""
        (parameter,) = selected([c.parameter for c in self.curves], [name], "parm")
        return next(c for c in self.curves if c.parameter is parameter)

    def __iter__(self) -> Any:
        return (self._name(c.parameter) for c in self.curves)

    def __len__(self) -> int:
        return len(self.curves)

    def _name(self, parameter: Parameter) -> str:
        name = parameter.signame if self.signames else parameter.name
        if parameter.kind not in ("sd", "sigma") or self.scale == "sd":
            return name
        if self.scale == "log":
            return name.replace(".sig", ".lsig", 1) if self.signames else f"log({name})"
        if not self.signames:
            return f"{name}^2"
        return ".sigmasq" if name == ".sigma" else name.replace(".sig", ".sigsq", 1)

    def zeta(self, parm: str | int, values: npt.ArrayLike) -> FloatArray:
        """Return zeta of a parameter at values of it, by the spline through its curve.

        Parameters
        ----------
        parm : str or int
            The parameter.
        values : array_like
            Values on the scale of the profile; NaN beyond the curve.
        """
        return np.asarray(self._curve(parm).spline()(np.asarray(values, dtype=np.float64), extrapolate=False))

    def value(self, parm: str | int, zeta: npt.ArrayLike) -> FloatArray:
        """Return the values of a parameter at values of zeta: the inverse of :meth:`zeta`.

        Beyond the curve its last point is returned, as for an interval that ends at a bound.
        """
        curve, asked = self._curve(parm), np.asarray(zeta, dtype=np.float64)
        return np.array([curve.value_at(float(z)) for z in asked.ravel()]).reshape(asked.shape)

    def _curve(self, parm: str | int) -> ProfileCurve:
        (parameter,) = selected([c.parameter for c in self.curves], [parm], "parm")
        return next(c for c in self.curves if c.parameter is parameter)

    def to_frame(self) -> pd.DataFrame:
        """Return all points: ``.zeta``, every parameter along the curve, and ``.par``, whose curve it is."""
        names = [self._name(p) for p in self.parameters]
        frames = []
        for curve in self.curves:
            frame = pd.DataFrame(curve.along, columns=names)
            frame.insert(0, ".zeta", curve.zeta)
            frame[".par"] = self._name(curve.parameter)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def confint(self, parm: Any = None, level: float = 0.95) -> pd.DataFrame:
        """Return intervals from the splines; ``confint(m)`` finds the limits themselves by refits.

        Parameters
        ----------
        parm : str, int or sequence of them, optional
            Parameters, as for ``m.confint()``.
        level : float
            Confidence level; an interval that the curve does not cover ends where the curve does.
        """
        check_level(level)
        chosen = selected([c.parameter for c in self.curves], parm, "parm")
        z = float(special.ndtri((1.0 + level) / 2.0))
        curves = [next(c for c in self.curves if c.parameter is p) for p in chosen]
        values = [[c.value_at(-z), c.value_at(z)] for c in curves]
        return pd.DataFrame(values, [self._name(p) for p in chosen], list(percent_names(level)))

    def to_scale(self, scale: ProfileScale) -> Profile:
        """Return the same profiles with standard deviations on another scale.

        Parameters
        ----------
        scale : {"sd", "log", "var"}
            Themselves, their logarithms or their squares. Points at a deviation of zero have no logarithm
            and are left out.
        """
        one_of("scale", scale, ("sd", "log", "var"))
        if self.scale != "sd":
            raise NotAvailableError(
                f"these profiles are on scale {self.scale!r} already; call to_scale() of those on scale 'sd'."
            )
        moved = np.array([p.kind in ("sd", "sigma") for p in self.parameters])
        curves = tuple(_on_scale(curve, scale, moved) for curve in self.curves)
        estimates = _moved(self.estimates, scale, moved)
        return replace(self, curves=curves, estimates=estimates, scale=scale)

    def __repr__(self) -> str:
        rows = [self._name(c.parameter) for c in self.curves]
        ends = [(c.values[0], c.values[-1], c.zeta[0], c.zeta[-1]) for c in self.curves]
        columns = [format_numbers(column, 5) for column in zip(*ends, strict=True)]
        points = [str(len(c.values)) for c in self.curves]
        cells = list(zip(*columns, points, strict=True))
        title = f"Profile of the {'deviance' if self.criterion == 'ML' else 'REML criterion'}"
        heads = ["from", "to", "zeta from", "to", "points"]
        return Page([title, text_matrix(cells, rows, heads, right=True)])

    def _repr_html_(self) -> str:
        return html_of(repr(self))


#: Of each scale what it makes of a standard deviation, and the derivative of that.
_SCALES: dict[str, tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray], FloatArray]]] = {
    "sd": (lambda v: v, np.ones_like),
    "log": (np.log, lambda v: 1.0 / v),
    "var": (np.square, lambda v: 2.0 * v),
}


def _on_scale(curve: ProfileCurve, scale: str, moved: BoolArray) -> ProfileCurve:
    """Return a curve with the columns `moved` on a scale."""
    forward, rate = _SCALES[scale]
    is_own = curve.parameter.kind in ("sd", "sigma")
    kept = curve.values > 0.0 if is_own and scale == "log" else np.ones(len(curve.values), dtype=bool)
    values, zeta, slopes, along = curve.values[kept], curve.zeta[kept], curve.slopes[kept], curve.along[kept]
    if is_own:
        with np.errstate(divide="ignore", invalid="ignore"):  # at zero, where the slope is not known
            slopes, values = slopes / rate(values), forward(values)
    return replace(curve, values=values, zeta=zeta, slopes=slopes, along=_moved(along, scale, moved))


def _moved(values: FloatArray, scale: str, moved: BoolArray) -> FloatArray:
    """Return parameters with the standard deviations among them on a scale."""
    with np.errstate(divide="ignore"):  # the logarithm of zero
        return np.where(moved, _SCALES[scale][0](np.where(moved, values, 1.0)), values)
