"""Fits related to one with structured residuals: another response, another criterion, another design."""

from __future__ import annotations

from typing import Any, Self

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.new_response import response_values
from mixedmodels.formula.design.design import Design


class StructuredRefits(Fit):
    """A model with structured residuals that can be fitted again."""

    @classmethod
    def fitted_to(cls, design: Design, y: FloatArray, call: Any, data: Any, REML: bool) -> Self:
        """Return the model fitted to a design and a response."""
        raise NotImplementedError

    def refit(self, newresp: Any) -> Self:
        """Fit the same model to another response.

        Raises
        ------
        DataError
            If the length is wrong or a value is not finite.
        """
        y = response_values(newresp, self.design)
        check_response_varies(y, self.design.response.text)
        return self.fitted_to(self.design, y, self.call, self.data, self.is_reml)

    def refitML(self) -> Self:
        """Fit the same model by maximum likelihood."""
        if not self.is_reml:
            return self
        return self.fitted_to(self.design, self.y, self.call, self.data, False)

    def with_design(self, design: Design) -> Self:
        """Fit the same kind of model to another design with the same response."""
        return self.fitted_to(design, self.y, self.call, self.data, self.is_reml)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> Self:
        """Fit the same kind of model to other rows."""
        return self.fitted_to(design, y, self.call, self.data, self.is_reml)
