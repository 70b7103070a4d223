"""The fit of a generalized linear mixed model: arrays and the engine's form of the design."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.problem_from_data import (
    conditional_covariances,
    generalized_problem,
    vcov_hessian,
)
from mixedmodels.families import log_constant
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_dispersion import with_dispersion_of
from mixedmodels.fits.family_fit import FamilyFit
from mixedmodels.fits.family_quantities import response_scale
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.design import Design
from mixedmodels.reports.blocks_text import block_table
from mixedmodels.reports.printed import Printed

if TYPE_CHECKING:
    from mixedmodels.fits.counted_design import CountedDesign


class GeneralizedFit(FamilyFit[GeneralizedEstimates], MixedFit):
    """A generalized linear mixed model, fitted.

    Parameters as for :class:`mixedmodels.GeneralizedLinearMixedModel`.
    """

    estimates: GeneralizedEstimates
    #: Where the fit was to counted rows: these rows.
    counted: CountedDesign | None = None

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        prior_weights: FloatArray,
        call: Call,
        data: Any,
        family: Family,
        estimates: GeneralizedEstimates,
        observed: bool = True,
        problem: GeneralizedProblem | None = None,
    ) -> None:
        super().__init__(design, y, prior_weights, call, data, family, estimates)
        self.observed = observed
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> GeneralizedProblem:
        """The engine's form of the design."""
        return self._arranged(self.design, self.y, self.prior_weights)

    @property
    def phi(self) -> FloatArray:
        """Parameters of the family, shape (n_phi,)."""
        return self.estimates.phi

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1``, the dispersion taken out, shape (p, p)."""
        return self.estimates.vcov_rx / self.sigma() ** 2

    @property
    def residual_sd(self) -> float | None:
        """None: there is no residual row."""
        return None

    @property
    def row_information(self) -> FloatArray:
        """Information of each row about eta at the mode, as it enters L."""
        at = self._family.evaluate(
            self.y, self.estimates.eta, self.prior_weights, self.phi, observed=self.observed
        )
        return at.information

    def sigma(self) -> float:
        """Return the square root of the dispersion; 1 for families without one."""
        return response_scale(self._family, self.phi)

    @cached_property
    def hessian_covariance(self) -> FloatArray | None:
        """Covariance of (theta, beta, phi) from the Hessian of the objective; None if that is singular."""
        return vcov_hessian(self.problem, self.estimates)

    def _fixed_covariance(self) -> FloatArray:
        if self.estimates.nAGQ == 0 or self.hessian_covariance is None:
            return self.estimates.vcov_rx
        fixed = slice(len(self.theta_values), len(self.theta_values) + len(self.beta))
        return self.hessian_covariance[fixed, fixed]

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        return conditional_covariances(self.problem, self.estimates)

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        problem, n = self.problem, len(self.y)
        table = block_table(problem.system.pattern, len(self.beta))
        equal = "" if len(problem.y) == n else f"\n{n} rows of {len(problem.y)} kinds, equal rows fitted once"
        return Printed(table + equal)

    @property
    def approximation(self) -> str:
        """Arguments that chose how the likelihood is approximated."""
        nodes = "'auto'" if len(self.estimates.quadrature_sequence) > 1 else self.estimates.nAGQ
        family = self._family
        differs = not self.observed and family.has_expected_information and not family.is_canonical
        return f"nAGQ={nodes}, hessian={'expected' if differs else 'observed'!r}"

    def loglik(self) -> float:
        """Return the log-likelihood with its full normalising constant."""
        return -0.5 * self.estimates.objective

    def _arranged(self, design: Design, y: FloatArray, weights: FloatArray) -> GeneralizedProblem:
        return generalized_problem(
            y, weights, design.X, design.random, design.offset, with_dispersion_of(design, self._family),
            self.observed,
            log_constant(design, y, weights, self._family),
        )  # fmt: skip
