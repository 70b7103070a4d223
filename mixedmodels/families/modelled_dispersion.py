"""A family whose dispersion depends on predictors: its logarithm is linear in them, glmmTMB's dispformula.

With the first parameter phi of a family (dispersion, theta, alpha or precision) ``log(phi_i) = d_i' delta``.
The coefficients delta take its place among the parameters; a probability of zeros stays as it is. Every row
has its own phi, so such a family belongs to rows: `rows` chooses some, `at` takes the predictors of others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import FamilyError, NotAvailableError
from mixedmodels.families.family import Derivatives, Family, Hessian, PhiDerivatives, Tails
from mixedmodels.families.links import Link
from mixedmodels.families.zero_part import WithZeroPart

#: First parameters of families that predictors can have an effect on.
DISPERSIONS = ("dispersion", "theta", "alpha", "precision")
#: What a coefficient's name starts with among the parameters of a model, as glmmTMB's confint has it.
PREFIX = "disp."
# Logarithms of dispersions beyond these bounds are trial points far from any data.
_BOUND = 230.0


@dataclass(frozen=True, slots=True, eq=False)
class ModelledDispersion:
    """A family whose log dispersion is linear in predictors.

    Attributes
    ----------
    base : Family
        The family, whose first parameter is the dispersion.
    matrix : ndarray, shape (n, k)
        Predictors of the log dispersion at the rows.
    names : tuple of str
        Names of its columns.
    """

    base: Family
    matrix: FloatArray
    names: tuple[str, ...]

    is_quasi: ClassVar[bool] = False
    has_dispersion: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name of the family."""
        return self.base.name

    @property
    def link(self) -> Link:
        """The link of the mean."""
        return self.base.link

    @property
    def phi_names(self) -> tuple[str, ...]:
        """Names of the coefficients, then those of the family's other parameters."""
        return (*(f"{PREFIX}{name}" for name in self.names), *self.base.phi_names[1:])

    @property
    def is_canonical(self) -> bool:
        """Whether observed and expected information coincide for every y."""
        return self.base.is_canonical

    @property
    def has_expected_information(self) -> bool:
        """Whether the expected information has a closed form."""
        return self.base.has_expected_information

    @property
    def glm_hessian(self) -> Hessian:
        """Which information the standard errors of a model without random effects come from."""
        return self.base.glm_hessian

    def rows(self, index: IntArray | slice) -> ModelledDispersion:
        """Return the family at some of its rows."""
        return replace(self, matrix=self.matrix[index])

    def at(self, matrix: FloatArray) -> ModelledDispersion:
        """Return the family at other rows, given their predictors."""
        return replace(self, matrix=matrix)

    def dispersions(self, phi: FloatArray) -> FloatArray:
        """Return the dispersion of each row, shape (n,)."""
        return np.exp(np.clip(self.matrix @ phi[: len(self.names)], -_BOUND, _BOUND))

    def check(self, y: FloatArray, weights: FloatArray) -> None:
        """Raise FamilyError when y is outside the family's range."""
        self.base.check(y, weights)

    def start_mu(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return fitted values to start from."""
        return self.base.start_mu(y, weights)

    def start_phi(self, y: FloatArray, mu: FloatArray, weights: FloatArray) -> FloatArray:
        """Return coefficients that come closest to one dispersion, the family's start."""
        return self.nearest(self.base.start_phi(y, mu, weights))

    def nearest(self, phi: FloatArray) -> FloatArray:
        """Return the parameters that come closest to one dispersion, given the base family's."""
        same = np.full(len(self.matrix), float(np.log(phi[0])))
        delta = np.linalg.lstsq(self.matrix, same, rcond=None)[0]
        return np.concatenate([delta, phi[1:]])

    def tails(self, y: FloatArray) -> Tails:
        """Return the rows that can take a coefficient of the mean to infinity."""
        return self.base.tails(y)

    def phi_limits(self, phi: FloatArray) -> tuple[str, ...]:
        """Return the limits that the dispersions of all rows, or of some, have run to."""
        values, others = self.dispersions(phi), phi[len(self.names) :]
        ends = [self.base.phi_limits(np.concatenate([[end], others])) for end in (values.min(), values.max())]
        some = dict.fromkeys(sentence for end in ends for sentence in end)
        return tuple(
            sentence if all(sentence in end for end in ends) else f"In part of the rows {sentence}"
            for sentence in some
        )

    def phi_to_free(self, phi: FloatArray) -> FloatArray:
        """Return the coefficients as they are, and the other parameters in their free coordinates."""
        k = len(self.names)
        return np.concatenate([phi[:k], self.base.phi_to_free(_with_unit(phi[k:]))[1:]])

    def phi_from_free(self, free: FloatArray) -> FloatArray:
        """Return phi from unbounded coordinates."""
        k = len(self.names)
        return np.concatenate([free[:k], self.base.phi_from_free(_with_unit(free[k:]))[1:]])

    def phi_natural_derivative(self, phi: FloatArray) -> FloatArray:
        """Return d phi / d free: 1 for the coefficients."""
        k = len(self.names)
        return np.concatenate([np.ones(k), self.base.phi_natural_derivative(_with_unit(phi[k:]))[1:]])

    def response_mean(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return E(y), which depends on the dispersion where zeros are left out."""
        base = self.base
        if not isinstance(base, WithZeroPart) or base.part == "inflated":
            return base.response_mean(mu, _with_unit(phi[len(self.names) :]))
        return base.response_mean(mu, self._by_row(phi, mu.shape[-1]))

    def log_constant(self, y: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the part of the log-likelihood terms that depends on neither eta nor phi."""
        return self.base.log_constant(y, weights)

    def evaluate(
        self,
        y: FloatArray,
        eta: FloatArray,
        weights: FloatArray,
        phi: FloatArray,
        order: int = 2,
        observed: bool = False,
        constant: FloatArray | None = None,
    ) -> Derivatives:
        """Return log-likelihood terms and derivatives in eta."""
        by_row = self._by_row(phi, eta.shape[-1])
        return self.base.evaluate(y, eta, weights, by_row, order, observed, constant)

    def phi_derivatives(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray, phi: FloatArray, observed: bool = False
    ) -> PhiDerivatives:
        """Return derivatives in delta, those in the log dispersion of a row times its predictors."""
        found = self.base.phi_derivatives(y, eta, weights, self._by_row(phi, len(eta)), observed)
        columns = self.matrix.T
        return PhiDerivatives(
            *(
                np.concatenate([columns * part[:1], part[1:]])
                for part in (found.loglik, found.d1, found.information, found.d2)
            )
        )

    def variance(self, mu: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the variance of each row."""
        return self.base.variance(mu, self._by_row(phi, mu.shape[-1]))

    def variance_inflation(self, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return what prior weights do to the variance of each row."""
        return self.base.variance_inflation(weights, self._by_row(phi, weights.shape[-1]))

    def deviance(self, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the deviance of each row."""
        return self.base.deviance(y, mu, weights, self._by_row(phi, len(y)))

    def simulate(
        self, rng: np.random.Generator, mu: FloatArray, weights: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Draw responses."""
        return self.base.simulate(rng, mu, weights, self._by_row(phi, len(mu)))

    def _by_row(self, phi: FloatArray, n: int) -> FloatArray:
        """Return the base family's parameters of each row, shape (n_phi, n); the typical ones for one row."""
        values, others = self.dispersions(phi), phi[len(self.names) :]
        if n != len(values):
            if n != 1:
                raise NotAvailableError(
                    f"the dispersion of the {self.name} family differs between rows, and no values of its "
                    "predictors are known here."
                )
            values = np.exp(np.log(values).mean(keepdims=True))
        out = np.empty((1 + len(others), n))
        out[0], out[1:] = values, others[:, None]
        return out


def check_has_dispersion(family: Family) -> None:
    """Raise FamilyError unless the family has a dispersion that predictors can have an effect on."""
    if family.phi_names[:1] and family.phi_names[0] in DISPERSIONS:
        return
    known = family.name.startswith("Negative Binomial")
    why = "its theta is known" if known else "it has no dispersion parameter"
    raise FamilyError(
        f"dispersion= is not for the {family.name} family: {why}. Families with one are gaussian, Gamma, "
        "inverse.gaussian, nbinom1, nbinom2, beta and betabinomial, also with a zero part; leave "
        "dispersion= out, or choose one of them (nbinom2 for overdispersed counts, betabinomial for "
        "overdispersed proportions)."
    )


def rows_of(family: Family, index: IntArray | slice) -> Family:
    """Return a family at some of its rows; the family itself unless every row has its own dispersion."""
    return family.rows(index) if isinstance(family, ModelledDispersion) else family


def base_of(family: Family) -> Family:
    """Return the family without the model of its dispersion."""
    return family.base if isinstance(family, ModelledDispersion) else family


def _with_unit(others: FloatArray) -> FloatArray:
    return np.concatenate([np.ones(1), others])
