"""A fit whose response has a family."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_quantities import ResidualType, residuals, response_mean
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import Design


class FamilyEstimates(Protocol):
    """What the estimates of such a model hold in common."""

    @property
    def eta(self) -> FloatArray:
        """Linear predictor of each row used, shape (n,)."""


Estimates = TypeVar("Estimates", bound=FamilyEstimates)


class FamilyFit(Fit, Generic[Estimates]):
    """A fit whose mean is the inverse link of its linear predictor, ``estimates.eta``."""

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        prior_weights: FloatArray,
        call: Call,
        data: Any,
        family: Family,
        estimates: Estimates,
    ) -> None:
        super().__init__(design, y, prior_weights, call, data)
        self._family = family
        self.estimates = estimates

    @property
    @abstractmethod
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,)."""

    @property
    def linear_predictor(self) -> FloatArray:
        """Linear predictor of each row used, offset included, shape (n,)."""
        return self.estimates.eta

    @property
    def mean(self) -> FloatArray:
        """Fitted mean of each row used, shape (n,)."""
        return response_mean(self._family, self.linear_predictor, self.phi)

    def family(self) -> Family:
        """Return the family, with its link."""
        return self._family

    def family_parameters(self) -> pd.Series[float]:
        """Return the parameters of the family: dispersion, theta of the negative binomial and the like."""
        return pd.Series(self.phi, index=list(self._family.phi_names), dtype=float)

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        return residuals(self._family, type, self.y, self.linear_predictor, self.prior_weights, self.phi)
