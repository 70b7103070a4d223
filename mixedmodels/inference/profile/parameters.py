"""The parameters of a mixed model as its profile lists them: names, scales, bounds, and how each is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.correlation import OneCorrelation
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.differences import jacobian
from mixedmodels.families.family import Family
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.inference.profile.coordinates import (
    Hold,
    correlation_angle,
    deviation,
    hold_correlation,
    hold_deviation,
    hold_parameter,
    scaled_parameters,
)
from mixedmodels.inference.profile.scales import Scale, angle_scale, log_scale, plain_scale

Kind = Literal["sd", "cor", "sigma", "phi", "residual", "joint", "fixed"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model.

    Attributes
    ----------
    name, signame : str
        ``"sd_(Intercept)|Subject"`` and ``".sig01"``; equal for fixed effects.
    kind : {"sd", "cor", "sigma", "phi", "residual", "joint", "fixed"}
        What it is; of the correlation and the variances of residuals, ``"residual"`` where it is a function
        of one coordinate and ``"joint"`` where it is one of several.
    scale : Scale
        The scale on which it is followed.
    index : int
        Its term for a covariance parameter, its number among those of its kind otherwise.
    hold : Hold or None
        How its term holds it; None for all but covariance parameters.
    read : callable or None
        Its place on the scale at coordinates of its term; None for all but covariance parameters.
    rows : tuple of int
        The coefficient of a deviation; of a correlation those each of which, if its deviation is zero, leaves
        it without meaning.
    """

    name: str
    signame: str
    kind: Kind
    scale: Scale
    index: int
    hold: Hold | None = None
    read: Callable[[FloatArray], float] | None = None
    rows: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Both names where there are two."""
        return self.name if self.name == self.signame else f"{self.signame} ({self.name})"


def covariance_parameters(terms: Sequence[RandomTerm]) -> list[Parameter]:
    """Return the standard deviations and correlations of every term, in lme4's order."""
    found: list[Parameter] = []
    for k, term in enumerate(terms):
        own = _triangle(term, k) if term.structure.is_unstructured else _plain_parameters(term, k)
        found.extend(own)
    width = max(2, len(str(len(found))))
    return [replace(p, signame=f".sig{n:0{width}d}") for n, p in enumerate(found, 1)]


def _triangle(term: RandomTerm, k: int) -> list[Parameter]:
    """Return the parameters of an unstructured term: per column its deviation, then its correlations."""
    structure, columns, found = term.structure, term.columns, []
    for i, j in zip(*(places.tolist() for places in lower_triangle(term.size)), strict=True):
        if i == j:
            hold, read = hold_deviation(structure, i), partial(deviation, structure, i)
            name = f"sd_{columns[i]}|{term.group}"
            found.append(Parameter(name, "", "sd", plain_scale(0.0), k, hold, read, (i,)))
        else:
            name = f"cor_{columns[i]}.{columns[j]}|{term.group}"
            hold, read = hold_correlation(structure, j, i), partial(correlation_angle, structure, j, i)
            found.append(Parameter(name, "", "cor", angle_scale(-1.0, 1.0), k, hold, read, (j, i)))
    return found


def _plain_parameters(term: RandomTerm, k: int) -> list[Parameter]:
    """Return the parameters of another structure: its theta, deviations being absolute."""
    structure, found = term.structure, []
    scaled = scaled_parameters(structure)
    for number, name in enumerate(structure.parameter_names(term.columns)):
        kind: Kind = "sd" if scaled[number] else "cor"
        label = f"sd_{name}" if scaled[number] and name != "sd" else name
        scale = plain_scale(0.0)
        if not scaled[number]:
            scale = plain_scale()
            if isinstance(structure, OneCorrelation):
                scale = angle_scale(*structure.rho_bounds())
        hold, read = hold_parameter(structure, number, scale), partial(_place, structure, number, scale)
        rows = (number,) if kind == "sd" else (0,) if np.count_nonzero(scaled) == 1 else ()
        found.append(Parameter(f"{label}|{term.group}", "", kind, scale, k, hold, read, rows))
    return found


def _place(structure: CovarianceStructure, number: int, scale: Scale, free: FloatArray) -> float:
    return scale.inverse(float(structure.from_free(free)[number]))


def fixed_parameters(names: Sequence[str]) -> list[Parameter]:
    """Return the fixed effects."""
    return [Parameter(name, name, "fixed", plain_scale(), k) for k, name in enumerate(names)]


def family_parameters(family: Family, phi: FloatArray) -> list[Parameter]:
    """Return the parameters of the family, each on its free scale."""
    return [
        Parameter(name, name, "phi", _family_scale(family, phi, k), k)
        for k, name in enumerate(family.phi_names)
    ]


def _family_scale(family: Family, phi: FloatArray, k: int) -> Scale:
    """Return the free scale of one parameter of a family; each has its own, whatever the others are."""
    return Scale(
        partial(_family_value, family, phi, k),
        partial(_family_inverse, family, phi, k),
        partial(_family_rate, family, phi, k),
    )


def _with_free(family: Family, phi: FloatArray, k: int, place: float) -> FloatArray:
    free = family.phi_to_free(phi).copy()
    free[k] = place
    return family.phi_from_free(free)


def _family_value(family: Family, phi: FloatArray, k: int, place: float) -> float:
    return float(_with_free(family, phi, k, place)[k])


def _family_inverse(family: Family, phi: FloatArray, k: int, value: float) -> float:
    values = phi.copy()
    values[k] = value
    return float(family.phi_to_free(values)[k])


def _family_rate(family: Family, phi: FloatArray, k: int, place: float) -> float:
    return float(family.phi_natural_derivative(_with_free(family, phi, k, place))[k])


def residual_parameter() -> Parameter:
    """Return the residual standard deviation."""
    return Parameter("sigma", ".sigma", "sigma", log_scale(), 0)


def parameters_of(fit: Fit) -> tuple[Parameter, ...]:
    """Return the parameters of a fit in the order of tables."""
    covariance, fixed = covariance_parameters(fit.random), fixed_parameters(fit.design.x_names)
    family = fit.family()
    scale = [residual_parameter()] if family is None else family_parameters(family, fit.phi)
    return (*covariance, *scale, *fixed)


def numeric_rates(place: Callable[[FloatArray], float], x: FloatArray, steps: FloatArray) -> FloatArray:
    """Return the derivative of a parameter's place in the coordinates, by central differences."""
    return jacobian(lambda at: np.asarray(place(at)), x, steps)
