"""Curves of single groups, their average, and that of a marginal model: ``plot_attenuation(m, "time")``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, NotAvailableError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.formula.evaluation.columns import Numeric, as_factor
from mixedmodels.inference.emmeans.reference_grid import predictor_columns, reference_grid
from mixedmodels.plots.canvas import ACCENT, COLORS, INK, RULE, TICK, check_axes, finished, picture
from mixedmodels.prediction.averaged import average_rows, averaged_mean
from mixedmodels.prediction.predict import fixed_rows
from mixedmodels.tidy.tidy import check_fit

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Places along the variable.
PLACES = 80
SEED = 20261128
#: Colour, line and width of the curves that have names.
STYLES = {
    "typical group": (INK, "--", 1.8),
    "average": (ACCENT, "-", 2.8),
    "marginal model": (COLORS[1], "-.", 2.2),
}


@advises
def plot_attenuation(
    model: Fit,
    x: str,
    marginal: Fit | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    curves: int = 25,
    ax: Any = None,
) -> Picture:
    """Draw the means of single groups along a variable, their average, and that of a marginal model.

    Coefficients of a generalized mixed model are slopes of the curves of single groups. The average over the
    groups is flatter, and it is what a marginal model is about.

    Parameters
    ----------
    model : fitted model
        Generalized mixed model.
    x : str
        Numeric variable of its fixed effects.
    marginal : fitted model, optional
        Marginal model with the same variables, from :func:`mixedmodels.gee`.
    at : mapping, optional
        Values of other variables; by default the mean of a number and the first level of a factor.
    curves : int
        How many groups to draw, with random effects as they are in the population.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: curve ("group 1", ..., "average", "typical group", "marginal model"), the variable and
        mean; and ``panels``.

    Raises
    ------
    ControlError
        If `x` or a name of `at` is no variable of the fixed effects, or `x` is not numeric.
    NotAvailableError
        If the model has no random effects or no link, or `marginal` is no marginal model.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> nails = mm.load_dataset("toenail")
    >>> m = mm.glmer("outcome ~ treatment * time + (1 | patientID)", nails, "binomial", nAGQ=25)
    >>> picture = mm.plot_attenuation(m, "time")
    >>> first = picture.data.groupby("curve").first()["mean"].round(2)
    >>> float(first["typical group"]), float(first["average"])
    (0.17, 0.36)
    """
    check_axes(ax)
    mixed = _checked(model, marginal)
    new = _new_rows(model, x, dict(at or {}))
    data = pd.concat([_curves(mixed, new, x, curves), *_of_marginal(marginal, new, x)], ignore_index=True)
    host = picture(ax, 5.4, 3.8)
    for name, curve in data.groupby("curve", sort=False):
        color, line, width = STYLES.get(str(name), (RULE, "-", 0.7))
        label = str(name) if name in STYLES else None
        host.plot(curve[x], curve["mean"], color=color, linestyle=line, linewidth=width, label=label)
    host.set_xlabel(x)
    host.set_ylabel(f"mean of {model.design.response.text}")
    host.legend(frameon=False, fontsize=TICK)
    return finished(host, data)


def _checked(model: object, marginal: object) -> MixedFit:
    """Return a generalized mixed model.

    Raises
    ------
    NotAvailableError
        If it is none, or what should be a marginal model.
    """
    check_fit(model, "plot_attenuation")
    if not isinstance(model, MixedFit) or model.family() is None:
        raise NotAvailableError(
            "plot_attenuation() needs a generalized mixed model, from glmer(): of others the average of the "
            "groups has the coefficients of each."
        )
    if marginal is not None and not isinstance(marginal, GeeFit):
        raise NotAvailableError(f"marginal= is a model from gee(), not {shown(marginal)}.")
    return model


def _new_rows(model: Fit, x: str, at: dict[str, Any]) -> pd.DataFrame:
    """Return rows along the variable, the others at their values."""
    columns = predictor_columns(model)
    for name in (x, *at):
        if name not in columns:
            raise ControlError(
                f"{shown(name)} is no variable of the fixed effects; they have {listed(columns)}."
            )
    column = columns[x]
    if not isinstance(column, Numeric):
        raise ControlError(f"x={x!r} is a factor; the curves are along a number.")
    levels = reference_grid(model).levels
    rows: dict[str, Any] = {name: at.get(name, levels[name][0]) for name in columns if name != x}
    factors = [name for name in rows if not isinstance(columns[name], Numeric)]
    for name in factors:
        known = as_factor(columns[name]).levels
        if str(rows[name]) not in known:
            raise ControlError(f"{name} has no level {shown(rows[name])}; it has {listed(known)}.")
    values = column.as_float()
    return pd.DataFrame({**rows, x: np.linspace(values.min(), values.max(), PLACES)})


def _curves(model: MixedFit, new: pd.DataFrame, x: str, curves: int) -> pd.DataFrame:
    """Return the means of groups as in the population, of a typical one, and their average."""
    family, rows = model.family(), average_rows(model, new)
    assert family is not None
    fixed = rows.X @ model.beta + rows.offset
    factors = term_factors(model.random, model.theta_values)
    shift = np.zeros((len(new), curves))
    for term, Z, T in zip(model.random, rows.Z, factors, strict=True):
        shift += model.random_scale * Z @ T @ _scores(model, term.size, curves)
    inverse = family.link.inverse
    parts = {f"group {k + 1}": inverse(fixed + shift[:, k]) for k in range(curves)}
    parts["typical group"] = inverse(fixed)
    parts = {name: family.response_mean(mu, model.phi) for name, mu in parts.items()}
    parts["average"] = averaged_mean(model, rows, np.concatenate([model.theta_values, model.beta, model.phi]))
    return _long(parts, new, x)


def _scores(model: MixedFit, size: int, curves: int) -> FloatArray:
    """Return standard normal values of the random effects of a term, shape (size, curves).

    Those of a single random intercept are quantiles, which spread evenly; others are drawn.
    """
    if len(model.random) == 1 and size == 1:
        return np.asarray(ndtri((np.arange(curves) + 0.5) / curves))[None]
    return np.random.default_rng([SEED, size]).normal(size=(size, curves))


def _of_marginal(marginal: Fit | None, new: pd.DataFrame, x: str) -> list[pd.DataFrame]:
    """Return the curve of a marginal model, if there is one."""
    if marginal is None:
        return []
    X, offset, _ = fixed_rows(marginal, new)
    family = marginal.family()
    assert family is not None
    return [_long({"marginal model": family.link.inverse(X @ marginal.beta + offset)}, new, x)]


def _long(curves: Mapping[str, FloatArray], new: pd.DataFrame, x: str) -> pd.DataFrame:
    """Return curves as one table."""
    tables = [pd.DataFrame({"curve": name, x: new[x], "mean": mean}) for name, mean in curves.items()]
    return pd.concat(tables, ignore_index=True)
