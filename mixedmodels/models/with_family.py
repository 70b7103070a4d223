"""What models whose response has a family share."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family
from mixedmodels.models.family_quantities import residuals, response_mean
from mixedmodels.models.fitted_model import FittedModel, ResidualType


class WithFamily(FittedModel):
    """A fitted model whose mean is the inverse link of its linear predictor, ``estimates.eta``."""

    _family: Family
    estimates: Any

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,)."""
        phi: FloatArray = self.estimates.phi
        return phi

    @property
    def linear_predictor(self) -> FloatArray:
        """Linear predictor of each row used, offset included, shape (n,)."""
        eta: FloatArray = self.estimates.eta
        return eta

    @property
    def mean(self) -> FloatArray:
        """Fitted mean of each row used, shape (n,)."""
        return response_mean(self._family, self.linear_predictor, self.phi)

    def family(self) -> Family:
        """Return the family, with its link."""
        return self._family

    def family_parameters(self) -> pd.Series:
        """Return the parameters of the family: dispersion, theta of the negative binomial and the like."""
        return pd.Series(self.phi, index=list(self._family.phi_names), dtype=float)

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        return residuals(self._family, type, self.y, self.linear_predictor, self.prior_weights, self.phi)
