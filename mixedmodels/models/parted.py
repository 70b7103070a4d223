"""A generalized linear mixed model that was fitted part by part: everything but the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mixedmodels.absent_rows import NO_ROWS, AbsentResponse, AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.parts_fit import PartsFit
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.row_summary import RowSummary
from mixedmodels.formula.design.design import Design
from mixedmodels.models.streamed_generalized import StreamedGeneralizedRows
from mixedmodels.reports.printed import Printed


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What is known of the rows that were read.

    Attributes
    ----------
    rows : int
        Number of rows used.
    observations : int
        The same without those of zero weight.
    square : float
        Weighted sum of the squared responses.
    parts : int
        Number of parts.
    outer : str
        The grouping factor by whose levels they are divided.
    summary : RowSummary
        Means, values and cells of the predictors.
    """

    rows: int
    observations: int
    square: float
    parts: int
    outer: str
    summary: RowSummary


class PartedGeneralizedLinearMixedModel(StreamedGeneralizedRows):
    """A generalized linear mixed model of nested grouping factors, fitted a part of the levels at a time.

    Made by :func:`mixedmodels.glmer` of a source whose different rows are more than memory should hold.
    Estimates, tests, random effects and predictions at new rows are those of
    :class:`GeneralizedLinearMixedModel`; what needs the rows it was fitted to says so.

    Parameters
    ----------
    design : Design
        Names, levels and recipes.
    counts : RowCounts
        How many rows there were.
    call : Call
        How the model was asked for.
    family : Family
        Distribution of the response.
    found : PartsFit
        The fit, its effects in the order of the levels of the design.
    observed : bool
        Whether log|L| takes the observed information.
    """

    def __init__(
        self,
        design: Design,
        counts: RowCounts,
        call: Call,
        family: Family,
        found: PartsFit,
        observed: bool,
    ) -> None:
        absent: Any = AbsentRows(counts.rows)
        y: Any = AbsentResponse(counts.rows, counts.square)
        super().__init__(design, y, absent, call, absent, family, found.estimates, observed)
        self.counts, self.found, self.row_summary = counts, found, counts.summary

    @cached_property
    def problem(self) -> GeneralizedProblem:
        """Not available: it has rows.

        Raises
        ------
        NotAvailableError
            Always.
        """
        raise NotAvailableError(NO_ROWS)

    @cached_property
    def hessian_covariance(self) -> FloatArray | None:
        """Covariance of (theta, beta, phi) from the Hessian of the objective; None if that is singular."""
        return self.found.covariance

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        return self.found.conditional

    @property
    def mean_information(self) -> float:
        """Mean size of the weights of the rows."""
        return self.found.mean_information

    @property
    def factorization(self) -> Printed:
        """How the model was fitted."""
        c = self.counts
        return Printed(
            f"{c.rows:,} rows in {c.parts} parts on disk, each with all rows of some of "
            f"the {self.ngrps()[c.outer]:,} levels of {c.outer}; one pass an evaluation"
        )

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return self.counts.observations

    def deviance(self) -> float:
        """Return the sum of squared deviance residuals given the random effects, as lme4."""
        return self.found.deviance
