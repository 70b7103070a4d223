"""The fit of a mixed model by penalized quasi-likelihood: arrays and the last working model."""

from __future__ import annotations

from functools import cached_property
from typing import NoReturn

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.engines.pql import PqlEstimates
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.family_fit import FamilyFit
from mixedmodels.fits.linear_equations import LinearEquationsFit


class PqlFit(FamilyFit[PqlEstimates], LinearEquationsFit):
    """A mixed model fitted by penalized quasi-likelihood.

    Parameters as for :class:`mixedmodels.QuasiLikelihoodMixedModel`.
    """

    estimates: PqlEstimates

    @cached_property
    def problem(self) -> LinearProblem:
        """The last working linear mixed model."""
        e, design = self.estimates, self.design
        return linear_problem(e.working_response, design.X, design.random, e.working_weights)

    @property
    def phi(self) -> FloatArray:
        """The dispersion if the family has one, shape (0,) or (1,)."""
        return np.array([self.sigma() ** 2] if self._family.has_dispersion else [])

    @property
    def solution(self) -> LinearSolution:
        """What follows from theta in the last working model."""
        return self.estimates.linear.solution

    @property
    def row_information(self) -> FloatArray:
        """Working weights."""
        return self.estimates.working_weights

    @property
    def has_likelihood(self) -> bool:
        """False: there is no likelihood to compare."""
        return False

    def loglik(self) -> NoReturn:
        """Raise: penalized quasi-likelihood has no likelihood.

        Raises
        ------
        NotAvailableError
            Always, with the alternatives.
        """
        raise NotAvailableError(
            "A fit by penalized quasi-likelihood has no likelihood, so loglik, AIC, BIC and anova are not "
            "defined. Fit the model with method='ml' (Laplace or nAGQ > 1) to compare models."
        )
