"""A model whose parameters are given: what can be simulated, without an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import Design


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of a model.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Fixed effects.
    theta : ndarray, shape (k,)
        Covariance parameters, relative to sigma in a linear model.
    sigma : float
        Residual standard deviation; of a model with a family what theta is relative to, 1 unless it was
        fitted by penalized quasi-likelihood.
    phi : ndarray, shape (n_phi,)
        Parameters of the family.
    """

    beta: FloatArray
    theta: FloatArray
    sigma: float
    phi: FloatArray


class SpecifiedFit(Fit):
    """A design with parameters; the random effects that may be kept are those given, or zero.

    Parameters
    ----------
    design, y, prior_weights, call, data
        As for :class:`Fit`.
    family : Family or None
        The family; None for a linear model.
    parameters : Parameters
        The parameters.
    b : tuple of ndarray
        Random effects by term, each (q, S).
    """

    def __init__(
        self, design: Design, y: FloatArray, prior_weights: FloatArray, call: Call, data: Any,
        family: Family | None, parameters: Parameters, b: tuple[FloatArray, ...] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(design, y, prior_weights, call, data)
        self._family, self.parameters = family, parameters
        self._b = b or tuple(np.zeros((term.n_levels, term.size)) for term in design.random)

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.parameters.beta

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,)."""
        return self.parameters.phi

    @property
    def theta_values(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""
        return self.parameters.theta

    @property
    def b(self) -> tuple[FloatArray, ...]:
        """Random effects by term, each (q, S)."""
        return self._b

    @property
    def random_scale(self) -> float:
        """Factor that turns theta into standard deviations."""
        return self.parameters.sigma

    def family(self) -> Family | None:
        """Return the family; None for a linear model."""
        return self._family

    def sigma(self) -> float:
        """Return the residual standard deviation; 1 where there is a family."""
        return self.parameters.sigma


def parameters_of(fit: Fit) -> Parameters:
    """Return the parameters of a fit, as responses are simulated from it."""
    sigma = fit.sigma() if fit.family() is None else fit.random_scale
    return Parameters(fit.beta, fit.theta_values, sigma, fit.drawn_phi)


def with_parameters(fit: Fit, parameters: Parameters) -> SpecifiedFit:
    """Return the model of a fit with other parameters, its random effects kept."""
    return SpecifiedFit(
        fit.design, fit.y, fit.prior_weights, fit.call, fit.data, fit.family(), parameters, fit.b
    )
