"""What families share: defaults, checks of the response, weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.errors import FamilyError
from mixedmodels.families.family import Derivatives, Hessian, PhiDerivatives, Tails
from mixedmodels.families.links import LINK_NAMES, Link, find_link

EMPTY: FloatArray = np.empty(0)
# Counts and trials typed with decimals (0.3 * 10) are integers within this relative error.
INTEGER_TOLERANCE = 1e-7
# Start of a dispersion when the starting means equal the data.
SMALLEST_DISPERSION = 1e-4
# A shape beyond this, or an excess below its inverse, changes no variance by more than a millionth.
LARGEST_SHAPE = 1e6


@dataclass(frozen=True, slots=True)
class FamilyBase:
    """A family without parameters of its own; those that have some override the `phi` methods."""

    link: Link

    has_expected_information: ClassVar[bool] = True
    is_quasi: ClassVar[bool] = False
    has_dispersion: ClassVar[bool] = False

    @property
    def phi_names(self) -> tuple[str, ...]:
        """Names of the family's own parameters: none."""
        return ()

    @property
    def glm_hessian(self) -> Hessian:
        """Which information the standard errors of a model without random effects come from."""
        return "expected"

    @property
    def is_canonical(self) -> bool:
        """Whether observed and expected information coincide for every y."""
        return False

    def response_mean(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return mu."""
        return mu

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return moment estimates of phi, shape (n_phi,)."""
        return EMPTY

    def tails(self, y: FloatArray) -> Tails:
        """Return no row: each has a best mean inside the range."""
        none = np.zeros(len(y), dtype=bool)
        return Tails(none, none, none)

    def phi_limits(self, phi: FloatArray) -> tuple[str, ...]:
        """Return nothing: there is no parameter to run away."""
        return ()

    def phi_to_free(self, phi: FloatArray) -> FloatArray:
        """Return log(phi)."""
        return np.log(phi)

    def phi_from_free(self, free: FloatArray) -> FloatArray:
        """Return exp(free)."""
        return np.exp(free)

    def phi_natural_derivative(self, phi: FloatArray) -> FloatArray:
        """Return d phi / d log(phi), which is phi."""
        return phi

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return zeros: nothing of the log-likelihood is free of eta and phi."""
        return np.zeros_like(y)

    def variance_inflation(self, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return ones: the variance of a mean of w observations is that of one over w."""
        return np.ones_like(weights)

    def phi_derivatives(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, observed: bool = False
    ) -> PhiDerivatives:
        """Return empty arrays: the family has no parameters of its own."""
        none = np.empty((0, len(y)))
        return PhiDerivatives(none, none, none, none)


def count_tails(y: FloatArray) -> Tails:
    """Return the tails of counts: a count of zero is the likelier the smaller its mean."""
    none = np.zeros(len(y), dtype=bool)
    return Tails(y == 0.0, none, none, "all counts are zero")


def trial_tails(y: FloatArray) -> Tails:
    """Return the tails of proportions of trials: rows without a success and without a failure."""
    none = np.zeros(len(y), dtype=bool)
    return Tails(y == 0.0, y == 1.0, none, "there is no success", "there is no failure")


def checked_link(link: str | Link, family: str, allowed: tuple[str, ...]) -> Link:
    """Return the link if the family can have it; powers go where the identity goes."""
    powers = "identity" in allowed
    found = find_link(link) if isinstance(link, str) else link
    if found is not None and (found.name in allowed or (powers and found.name.startswith("mu^"))):
        return found
    names = ", ".join(name for name in LINK_NAMES if name in allowed)
    more = ", and 'power(0.5)' of any exponent" if powers else ""
    raise FamilyError(
        f"link {link if found is None else found.name!r} not available for {family} family; "
        f"available links are {names}{more}."
    )


def refuse_rows(bad: BoolArray, values: FloatArray, message: str) -> None:
    """Raise FamilyError naming the first row where `bad` holds, its value and how many there are."""
    if not bad.any():
        return
    row = int(np.argmax(bad))
    count = int(np.count_nonzero(bad))
    others = "" if count == 1 else f"; {count} rows are affected"
    raise FamilyError(f"{message} Row {row} (counting from 0) holds {values[row]:g}{others}.")


def check_weights(weights: FloatArray) -> None:
    """Raise FamilyError when a prior weight is negative, infinite or missing."""
    refuse_rows(
        ~(np.isfinite(weights) & (weights >= 0.0)),
        weights,
        "Prior weights must be finite and not negative.",
    )


def check_counts(y: FloatArray, weights: FloatArray, family: str) -> None:
    """Raise FamilyError when y is negative or not finite; fractions are left to a warning."""
    check_weights(weights)
    refuse_rows(
        ~(np.isfinite(y) & (y >= 0.0)),
        y,
        f"negative values not allowed for the {family} family, which needs counts 0, 1, 2, ... as response.",
    )


def check_positive(y: FloatArray, weights: FloatArray, family: str) -> None:
    """Raise FamilyError when y is not strictly positive."""
    check_weights(weights)
    refuse_rows(
        ~(np.isfinite(y) & (y > 0.0)),
        y,
        f"non-positive values not allowed for the {family} family, which needs a response greater than zero.",
    )


def check_proportions(y: FloatArray, weights: FloatArray, family: str) -> None:
    """Raise FamilyError when y is not between 0 and 1."""
    check_weights(weights)
    refuse_rows(
        ~((y >= 0.0) & (y <= 1.0)),
        y,
        f"y values must be 0 <= y <= 1 for the {family} family: 0/1, a proportion with the number of trials "
        "as weights, a factor, or cbind(successes, failures).",
    )


def is_integer(values: FloatArray) -> BoolArray:
    """Return where values are whole numbers up to rounding error."""
    rounded = np.round(values)
    return np.asarray(np.abs(values - rounded) <= INTEGER_TOLERANCE * np.maximum(1.0, np.abs(rounded)))


def outside(derivatives: Derivatives, inside: BoolArray, weights: FloatArray) -> Derivatives:
    """Return the derivatives with loglik -inf and zero slopes where the mean is outside its range."""
    if inside.all():
        return derivatives
    wrong = ~inside & (weights > 0.0)
    return Derivatives(
        np.where(wrong, -np.inf, derivatives.loglik),
        *(
            np.where(wrong, 0.0, part) if part.size else part
            for part in (
                derivatives.d1,
                derivatives.d2,
                derivatives.information,
                derivatives.d3,
                derivatives.d_information,
            )
        ),
    )


def weighted_mean(y: FloatArray, weights: FloatArray) -> float:
    """Return the mean of y, with the prior weights unless all are zero."""
    return float(np.average(y, weights=weights if np.any(weights > 0.0) else None))


def dispersion_moment(y: FloatArray, mu: FloatArray, weights: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the mean squared Pearson residual, bounded away from zero, shape (1,)."""
    counted = max(int(np.count_nonzero(weights > 0.0)), 1)
    squared = float(np.sum(weights * (y - mu) ** 2 / np.maximum(variance, np.finfo(np.float64).tiny)))
    return np.array([np.clip(squared / counted, SMALLEST_DISPERSION, 1e8)])
