"""A few rows of a model with crossed random effects, tied together: their covariance is formed.

What the residual parameters do to it is what they do to all rows: the curvature in them is that of these
rows times how many times more there are; and parameters that these rows tell apart, all rows tell apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.differences import hessian
from mixedmodels.engines.residual.batches import row_order
from mixedmodels.engines.residual.model import CovarianceModel
from mixedmodels.engines.residual.objective import Evaluation, evaluation, gradient
from mixedmodels.engines.residual.problem import ResidualProblem, with_batches

#: Rows that are taken, of whole residual groups where these are shorter.
MOST_ROWS = 300


def tied_sample(problem: ResidualProblem) -> ResidualProblem:
    """Return the model of some rows of a problem, without fixed effects, random effects in its clusters."""
    at = _sampled_rows(problem)
    model = problem.model
    terms = tuple(replace(term, Z=term.Z[at], codes=term.codes[at]) for term in model.terms)
    own = CovarianceModel(terms, model.bases, model.structure, model.variances, model.scales)
    few = replace(
        problem,
        model=own,
        projection=np.empty(0),
        M=problem.M[at, -1:],
        kept=problem.kept[at],
        root_weights=problem.root_weights[at],
    )
    return with_batches(few, problem.rows.take(at), is_crossed=False)


def _sampled_rows(problem: ResidualProblem) -> IntArray:
    """Return the first rows of residual groups that lie apart, in order of groups and positions."""
    order = row_order(problem.rows, problem.rows.codes)
    codes = problem.rows.codes[order]
    sizes = np.bincount(codes)
    groups = np.flatnonzero(sizes)
    wanted = max(1, int(MOST_ROWS / sizes[groups].mean()))
    chosen = groups[np.unique(np.linspace(0, len(groups) - 1, wanted).astype(np.intp))]
    return np.asarray(order[np.isin(codes, chosen)][:MOST_ROWS])


def theta_slopes(problem: ResidualProblem, found: Evaluation, REML: bool, step: float) -> FloatArray:
    """Return the rows of the Hessian that are those of the random effects, by differences, (n_theta, k)."""
    n_theta, rows = problem.model.n_theta, []
    for k in range(n_theta):
        ends = []
        for sign in (1.0, -1.0):
            free = found.free.copy()
            free[k] += sign * step
            ends.append(gradient(problem, evaluation(problem, free, REML), REML))
        rows.append((ends[0] - ends[1]) / (2.0 * step))
    return np.array(rows).reshape(n_theta, len(found.free))


def full_hessian(problem: ResidualProblem, free: FloatArray, REML: bool, step: float) -> FloatArray:
    """Return the Hessian of the objective by differences of its gradient, whose error is of order step^4."""

    def slope(x: FloatArray) -> FloatArray:
        return gradient(problem, evaluation(problem, x, REML), REML)

    near, far = (hessian(slope, free, np.full(len(free), width)) for width in (step, 2.0 * step))
    return np.asarray((4.0 * near - far) / 3.0)
