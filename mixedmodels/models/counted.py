"""A generalized linear mixed model that was fitted to counted rows: everything but the rows."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.checks import warn_unless_converged
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.counted_design import CountedDesign
from mixedmodels.fits.joint_covariance import JointCovariance
from mixedmodels.fits.mixed_model_equations import JointSystem
from mixedmodels.formula.design.design import Design
from mixedmodels.models.generalized import GeneralizedLinearMixedModel
from mixedmodels.models.streamed_generalized import StreamedGeneralizedRows
from mixedmodels.reports.blocks_text import block_table
from mixedmodels.reports.printed import Printed


class CountedGeneralizedLinearMixedModel(StreamedGeneralizedRows):
    """A generalized linear mixed model fitted to the different rows of a source, each counted.

    Made by :func:`mixedmodels.glmer` of a source that is read in batches. Estimates, tests, intervals, random
    effects and predictions at new rows are those of :class:`GeneralizedLinearMixedModel`; what needs every
    row it was fitted to says so.

    Parameters
    ----------
    counted : CountedDesign
        The different rows.
    call : Call
        How the model was asked for.
    family : Family
        Distribution of the response.
    estimates : GeneralizedEstimates
        The fit.
    observed : bool
        Whether log|L| takes the observed information.
    problem : GeneralizedProblem, optional
        The engine's form of the rows; rebuilt when needed.
    """

    counted: CountedDesign

    def __init__(
        self,
        counted: CountedDesign,
        call: Call,
        family: Family,
        estimates: GeneralizedEstimates,
        observed: bool,
        problem: GeneralizedProblem | None = None,
    ) -> None:
        absent: Any = AbsentRows(counted.n_rows)
        without = replace(estimates, eta=absent)
        super().__init__(
            counted.without_rows(),
            counted.response(),
            absent,
            call,
            absent,
            family,
            without,
            observed,
            problem,
        )
        self.counted, self.row_summary = counted, counted.summary
        self._eta = estimates.eta

    @cached_property
    def problem(self) -> GeneralizedProblem:
        """The engine's form of the rows."""
        c = self.counted
        return generalized_problem(
            c.y,
            c.weights,
            c.design.X,
            c.design.random,
            c.design.offset,
            self._family,
            self.observed,
            c.constant,
        )

    @cached_property
    def _on_counted_rows(self) -> GeneralizedLinearMixedModel:
        """The same fit as one to the different rows, each with the weight of all that are equal."""
        c, absent = self.counted, self.data
        estimates = replace(self.estimates, eta=self._eta)
        return GeneralizedLinearMixedModel(
            c.design, c.y, c.weights, self.call, absent, self._family, estimates, self.observed, self.problem
        )

    @property
    def mean_information(self) -> float:
        """Mean size of the weights of the rows."""
        return float(np.abs(self._on_counted_rows.row_information).sum()) / self.counted.n_rows

    @property
    def joint_covariance(self) -> JointCovariance | None:
        """The joint covariance of (b, beta), entry by entry; None where it cannot be factorized by blocks."""
        return self._on_counted_rows.joint_covariance

    def joint_system(self) -> JointSystem:
        """Return the factorized mixed-model equations at the estimates."""
        return self._on_counted_rows.joint_system()

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        table = block_table(self.problem.system.pattern, len(self.beta))
        kinds, n = len(self.problem.y), self.counted.n_rows
        return Printed(f"{table}\n{n:,} rows of {kinds:,} kinds, equal rows fitted once")

    def with_design(self, design: Design) -> CountedGeneralizedLinearMixedModel:
        """Fit the same kind of model to some of its fixed and random effects.

        Raises
        ------
        NotAvailableError
            If a column is not among those of the model.
        """
        c = self.counted.smaller(design)
        problem = generalized_problem(
            c.y, c.weights, c.design.X, c.design.random, c.design.offset, self._family, self.observed,
            c.constant,
        )  # fmt: skip
        estimates = fit_generalized(problem, self.estimates.nAGQ)
        warn_unless_converged(estimates.convergence)
        return CountedGeneralizedLinearMixedModel(
            c, self.call, self._family, estimates, self.observed, problem
        )

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return self.counted.n_observations

    def deviance(self) -> float:
        """Return the sum of squared deviance residuals given the random effects, as lme4."""
        return self._on_counted_rows.deviance() + self.counted.deviance_within

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is rebuilt from the counted rows."""
        state = super().__getstate__()
        state.pop("_on_counted_rows", None)
        return state
