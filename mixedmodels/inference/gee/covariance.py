"""Covariances of the coefficients of a marginal model, with the degrees of freedom of their tests."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.gee.covariance import diagonal_adjustment
from mixedmodels.engines.gee.jackknife import jackknife, jackknife_factor
from mixedmodels.errors import ControlError, NotAvailableError, listed
from mixedmodels.fits.gee import GeeFit
from mixedmodels.inference.sandwich import Sandwich, SandwichDegrees, adjusted_scores

CovType = Literal[
    "robust", "naive", "kauermann-carroll", "mancl-derouen", "fay-graubard", "one-step jackknife", "jackknife"
]
#: Power of ``I - A_i M`` by which scores are adjusted. The names CR0 to CR3 are those of other models.
POWERS = {
    "robust": 0.0, "kauermann-carroll": -0.5, "mancl-derouen": -1.0, "one-step jackknife": -1.0,
    "CR0": 0.0, "CR1": 0.0, "CR1p": 0.0, "CR2": -0.5, "CR3": -1.0,
}  # fmt: skip
#: Types that are sums of squares of adjusted scores.
SANDWICHES = (*POWERS, "fay-graubard")
TYPES = (*SANDWICHES, "naive", "jackknife")
#: Largest share of a group in the information that Fay & Graubard (2001) take off.
BOUND = 0.75


def checked_type(type: object, argument: str = "type") -> str:
    """Return a type of covariance.

    Raises
    ------
    ControlError
        If there is no such type.
    """
    if isinstance(type, str) and type in TYPES:
        return type
    names = [name for name in TYPES if not name.startswith("CR")]
    raise ControlError(
        f"{argument}={type!r} is no covariance of a marginal model; they are {listed(names)}, and CR0, CR1, "
        "CR1p, CR2, CR3."
    )


def gee_covariance(fit: GeeFit, type: str) -> pd.DataFrame:
    """Return a covariance of the coefficients, by their names.

    Raises
    ------
    ControlError
        If there is no such type.
    """
    names = list(fit.design.x_names)
    return pd.DataFrame(covariance_matrix(fit, checked_type(type)), index=names, columns=names)


def covariance_matrix(fit: GeeFit, type: str) -> FloatArray:
    """Return a covariance of the coefficients, shape (p, p)."""
    if type == "naive":
        return fit.scores.bread
    if type == "jackknife":
        return jackknife(fit.problem, fit.correlation, fit.solution, fit.fixed_scale)
    if type in ("robust", "CR0"):
        return fit.scores.robust()
    return sandwich(fit, type).covariance()


def sandwich(fit: GeeFit, type: str) -> Sandwich:
    """Return the pieces of a sandwich covariance, by group.

    Raises
    ------
    NotAvailableError
        If the type is none, so that Satterthwaite's degrees of freedom are not defined.
    """
    if type not in SANDWICHES:
        raise NotAvailableError(
            f"Satterthwaite's degrees of freedom are of sandwich covariances, not of {type!r}; "
            "ddf='residual' has the number of groups less that of coefficients."
        )
    at, information = fit.scores, fit.group_information
    fixed, factor = np.eye(len(at.bread)), _factor(fit, type)
    if type == "fay-graubard":
        K = diagonal_adjustment(at, information, BOUND)
        squares = K[:, :, None] * information * K[:, None, :]
        return Sandwich(at.bread, K * at.scores, squares, information * K[:, None, :], fixed, factor)
    adjusted = adjusted_scores(at.bread, at.scores, information, POWERS[type])
    return Sandwich(at.bread, *adjusted, fixed, factor)


def _factor(fit: GeeFit, type: str) -> float:
    m, p = fit.n_groups, len(fit.beta)
    if type == "CR1":
        return m / (m - 1.0)
    if type == "CR1p":
        if m <= p:
            raise NotAvailableError(f"CR1p divides by the {m} groups less {p} coefficients; use 'CR2'.")
        return m / (m - p)
    return jackknife_factor(fit.problem, fit.correlation) if type == "one-step jackknife" else 1.0


def sandwich_degrees(fit: GeeFit, type: str) -> SandwichDegrees:
    """Return Satterthwaite's degrees of freedom of tests with a sandwich covariance.

    Those of Fay & Graubard (2001) and of Pan & Wall (2002) in the form of Pustejovsky & Tipton (2018).
    """
    return SandwichDegrees(sandwich(fit, type), f"Satterthwaite's method for a {type} covariance")
