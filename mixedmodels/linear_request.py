"""A request for a linear mixed model, carried out: checks, the fit and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.checks import (
    check_design,
    check_tied_rows,
    numeric_response,
    refuse_constant_levels,
    refuse_reproduced_response,
    unfit,
    warn_unless_converged,
)
from mixedmodels.control import LmerControl, Start, starting_values
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.errors import ControlError, DataError
from mixedmodels.models.linear import LinearMixedModel, judged
from mixedmodels.request import Request

with on_first_use():
    from mixedmodels.models import structured_mixed

if TYPE_CHECKING:
    from mixedmodels.models.structured_mixed import StructuredLinearMixedModel

#: Share of the sum of squares left as residual below which a random term may be the response in disguise.
NOTHING_LEFT = 1e-10


def fit_linear_request(request: Request, REML: bool, start: Start, options: LmerControl) -> LinearMixedModel:
    """Check what was asked for and fit its linear mixed model."""
    design = request.design
    y = numeric_response(design)
    check_design(design, options, linear=True)
    theta = starting_values(start, "theta", sum(t.structure.n_theta for t in design.random), ("theta",))
    problem = linear_problem(y, design.fixed, design.random, design.weights, design.offset)
    # Without fixed effects both criteria are one; lme4 calls the fit ML.
    try:
        estimates = fit_linear(problem, REML and design.fixed.shape[1] > 0, theta, y=y)
    except DataError:
        refuse_reproduced_response(design)
        raise
    except np.linalg.LinAlgError as error:
        refuse_reproduced_response(design)
        raise unfit(start is not None) from error
    if (
        not estimates.convergence.is_optimum
        or estimates.solution.pwrss < NOTHING_LEFT * problem.equations.rss
    ):
        refuse_reproduced_response(design)
        refuse_constant_levels(design, y)
    estimates = judged(design, problem, estimates)
    warn_unless_converged(estimates.convergence)
    return LinearMixedModel(design, y, request.call, request.data, estimates, problem)


def fit_structured_request(
    request: Request, REML: bool, start: Start, options: LmerControl
) -> StructuredLinearMixedModel:
    """Check what was asked for and fit its linear mixed model with structured residuals."""
    if start is not None:
        raise ControlError(
            "start= is for models without residual= and dispersion=, which find their own starting values."
        )
    design = request.design
    y = numeric_response(design)
    check_design(design, options, linear=True)
    check_tied_rows(design)
    return structured_mixed.StructuredLinearMixedModel.fitted_to(design, y, request.call, request.data, REML)
