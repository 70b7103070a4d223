"""The generalized linear model, as fitted by ``glm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.families import initialize, log_constant
from mixedmodels.fits.glm import GlmFit
from mixedmodels.fits.new_response import new_response
from mixedmodels.formula.design.design import Design
from mixedmodels.models.fixed_effects_model import FixedEffectsModel

with on_first_use():
    from mixedmodels.reports import family_text, fit_text

if TYPE_CHECKING:
    from mixedmodels.reports.fit_text import FitDescription


class GeneralizedLinearModel(FixedEffectsModel, GlmFit):
    """A fitted generalized linear model.

    Made by :func:`mixedmodels.glm`.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y, prior_weights : ndarray, shape (n,)
        Response and weights as the family reads them.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    family : Family
        Distribution of the response.
    estimates : GlmEstimates
        The fit.
    """

    def refit(self, newresp: Any) -> GeneralizedLinearModel:
        """Fit the same model to another response, given as for a mixed model.

        Raises
        ------
        DataError, FamilyError
            If the length is wrong or a value is outside the range of the family.
        """
        response = new_response(newresp, self.design)
        y, weights = initialize(response, self.design.weights, self._family)
        return self._sibling(self.design, y, weights)

    def refitML(self) -> GeneralizedLinearModel:
        """Return the model itself, which is fitted by maximum likelihood."""
        return self

    def with_design(self, design: Design) -> GeneralizedLinearModel:
        """Fit the same kind of model to another design with the same response."""
        return self._sibling(design, self.y, self.prior_weights)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> GeneralizedLinearModel:
        """Fit the same kind of model to other rows."""
        return self._sibling(design, y, prior_weights)

    def _sibling(self, design: Design, y: FloatArray, weights: FloatArray) -> GeneralizedLinearModel:
        constant = log_constant(design, y, weights, self._family)
        estimates = fit_glm(y, weights, design.X, design.offset, self._family, constant)
        return GeneralizedLinearModel(design, y, weights, self.call, self.data, self._family, estimates)

    def _describe(self) -> FitDescription:
        quasi = self._family.is_quasi
        e = self.estimates
        deviances = (
            f"null deviance {e.null_deviance:.5g} on {e.df_null} degrees of freedom",
            f"residual deviance {e.deviance:.5g} on {e.df_residual} degrees of freedom",
        )
        if self.test_df is not None:
            dispersion: tuple[str, ...] = (f"dispersion {e.dispersion:.4g}",)
        else:
            dispersion = family_text.family_note(self._family, self.phi)
        return fit_text.FitDescription(
            title=f"Generalized linear model fit by maximum {'quasi-' if quasi else ''}likelihood",
            class_name="glm",
            formula=self.formula(),
            criteria={} if quasi else self._likelihood_criteria(),
            terms=(),
            residual_sd=None,
            nobs=self.nobs(),
            ngrps={},
            family=(family_text.family_label(self._family, self.phi), self._family.link.name),
            call=self.call.lines(),
            notes=(*self._notes(), *deviances, *dispersion),
            warnings=self._fit_warnings(),
            optimizer="Fisher scoring",
            messages=() if e.convergence.is_optimum else e.convergence.reasons,
            converged=e.convergence.is_optimum,
        )
