"""Fit a generalized model with one grouping factor over parts: one pass over them for an evaluation."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.doubts import with_doubts
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.exactness import MOST_EVALUATIONS, exactness
from mixedmodels.engines.generalized.fit import effects_by_term, fit_generalized, outer_thetas, search_report
from mixedmodels.engines.generalized.hessian import (
    determined_inverse,
    natural_covariance,
    natural_jacobian,
    natural_parameters,
)
from mixedmodels.engines.generalized.infinite_variance import never_varies
from mixedmodels.engines.generalized.laplace import smallest_curvature
from mixedmodels.engines.generalized.optimum import Layout, Optimum
from mixedmodels.engines.generalized.parts import PartModel, PartRows, Parts, PartsEvaluator
from mixedmodels.engines.generalized.pirls import Mode, fixed_information
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi, unpack_factors
from mixedmodels.engines.generalized.problem_from_data import covariances_at, generalized_problem
from mixedmodels.engines.generalized.search import FINE_TOLERANCE, LARGEST_STEP, ROW_TOLERANCE, TOLERANCE
from mixedmodels.engines.generalized.verdict import (
    BESIDE,
    judge_generalized,
    off_saddle,
    optimum_with_zeros,
    rotated_starts,
)
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.optimization.quasi_newton import minimize
from mixedmodels.optimization.report import ConvergenceReport

#: Rows from which the search's start is taken, of whole levels.
SAMPLE_ROWS = 20_000
#: Share of the largest eigenvalue of the products of orthonormal columns below which a sample lacks one.
RANK = 1e-8
#: Curvature in a fixed effect, relative to the largest, below which its estimate is on its way to infinity.
RUNAWAY = 1e-8
#: Nodes of the least rule that an approximation is compared with.
FEWEST_NODES = 3


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PartsFit:
    """Estimates from parts, and what only a pass over them tells.

    Attributes
    ----------
    estimates : GeneralizedEstimates
        The estimates; the linear predictors of the rows are absent, effects of levels in the order of parts.
    covariance : ndarray, shape (m, m), or None
        Of (theta, beta, phi), from the Hessian of the objective.
    conditional : tuple of ndarray, each (q, S, S)
        Covariances of the random effects given y.
    deviance : float
        Sum of squared deviance residuals given the random effects.
    mean_information : float
        Mean size of the information of a row.
    """

    estimates: GeneralizedEstimates
    covariance: FloatArray | None
    conditional: tuple[FloatArray, ...]
    deviance: float
    mean_information: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Given:
    """What the caller gave to start from.

    Attributes
    ----------
    theta, beta : ndarray or None
        Covariance parameters and fixed effects.
    """

    theta: FloatArray | None
    beta: FloatArray | None


_CONSTANT = (
    "The variance of the random intercepts has no finite estimate: the response is the same in all rows of "
    "each level. The larger the variance the higher the likelihood."
)


def fit_parts(parts: Parts, model: PartModel, nAGQ: int, start: Given) -> PartsFit:
    """Fit by maximum likelihood.

    Parameters
    ----------
    parts : Parts
        The rows.
    model : PartModel
        What they have in common.
    nAGQ : int
        1 (Laplace) or the nodes of adaptive quadrature per dimension.
    start : Given
        Values to start from; by default the estimates from a sample of levels.

    Raises
    ------
    ConvergenceError
        If no starting value has a finite likelihood, or the random effects have no regular mode.
    """
    began = time.perf_counter()
    evaluator = PartsEvaluator(parts, model, nAGQ)
    layout = evaluator.layout()
    try:
        psi, H = _start(evaluator, layout, parts, start)
        optimum = _canonical(evaluator, layout, _minimized(evaluator, layout, psi, H, parts.n_rows))
        optimum, hessian = _last_step(evaluator, layout, optimum)
        return _gathered(evaluator, layout, optimum, hessian, began)
    except np.linalg.LinAlgError as error:
        family = model.family
        raise ConvergenceError(
            f"The random effects have no regular conditional mode under the {family.name} family with link "
            f"{family.link.name!r}: {error}. A link that keeps every mean in its range may fit."
        ) from error


def _start(
    evaluator: PartsEvaluator, layout: Layout, parts: Parts, start: Given
) -> tuple[FloatArray, FloatArray]:
    """Return the optimiser's vector to start from, and an inverse Hessian there."""
    problem = evaluator.problem
    sample = _sampled(evaluator, parts)
    estimates = fit_generalized(sample, 1)
    at = natural_parameters(estimates)
    J = natural_jacobian(sample, natural_to_psi(sample, at))
    covariance = J @ estimates.inverse_hessian @ J.T * (sample.terms[0].n_levels / parts.n_levels)
    k, p = problem.n_theta, problem.n_fixed
    theta = at[:k] if start.theta is None else start.theta
    beta = at[k : k + p] if start.beta is None else start.beta
    psi = natural_to_psi(problem, np.concatenate([theta, beta, at[k + p :]]))
    theta = np.concatenate(unpack_factors(problem, psi)[0])
    # At a zero variance the gradient says nothing.
    zero = boundaries(problem.terms) & (theta == 0.0)
    psi[:k] = np.where(zero, BESIDE * layout.scale[:k], psi[:k])
    back = np.linalg.inv(natural_jacobian(problem, psi))
    H = back @ covariance @ back.T
    H[np.arange(k)[zero], np.arange(k)[zero]] += layout.scale[:k][zero] ** 2 / parts.n_rows
    return psi, 0.5 * (H + H.T)


def _sampled(evaluator: PartsEvaluator, parts: Parts) -> GeneralizedProblem:
    """Return the problem of the first parts alone, as in memory."""
    taken: list[PartRows] = []
    least, rank, p = SAMPLE_ROWS, -1, evaluator.problem.n_fixed
    # A factor may have levels that few rows have: then more are taken, until all are among them.
    while len(taken) < len(parts) and rank < p:
        while len(taken) < len(parts) and sum(len(rows.y) for rows in taken) < least:
            taken.append(parts.rows(len(taken)))
        X = np.concatenate([rows.X for rows in taken]) @ evaluator.problem.unscale
        least, rank = 2 * least, int(np.linalg.matrix_rank(X.T @ X, RANK)) if p else 0
    before = [np.cumsum([0, *(rows.terms[j].n_levels for rows in taken)]) for j in range(len(taken[0].terms))]
    terms = tuple(
        replace(
            term,
            Z=np.concatenate([rows.terms[j].Z for rows in taken]),
            codes=np.concatenate(
                [rows.terms[j].codes + start for rows, start in zip(taken, before[j], strict=False)]
            ).astype(np.int32),
            levels=tuple(map(str, range(int(before[j][-1])))),
        )
        for j, term in enumerate(taken[0].terms)
    )
    y, weights, offset, constant, X = (
        np.concatenate([getattr(rows, name) for rows in taken])
        for name in ("y", "weights", "offset", "constant", "X")
    )
    own = evaluator.problem
    return generalized_problem(y, weights, X, terms, offset, own.family, own.observed, constant)


def _minimized(
    evaluator: PartsEvaluator, layout: Layout, psi: FloatArray, H: FloatArray, n_rows: int
) -> Optimum:
    """Minimise the objective over all parameters."""
    scale, square = layout.scale, np.multiply.outer(layout.scale, layout.scale)
    tolerance = TOLERANCE
    if evaluator.problem.by_level is not None:
        tolerance = min(TOLERANCE, max(FINE_TOLERANCE, ROW_TOLERANCE * n_rows))

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = evaluator(x * scale)
        return value, gradient * scale

    found = minimize(function, psi / scale, H / square, tolerance=tolerance, max_step=LARGEST_STEP)
    if not np.isfinite(found.objective):
        raise ConvergenceError("The likelihood is not finite where the search starts.")
    return Optimum(
        found.x * scale, found.objective, found.inverse_hessian * square, found, found.n_evaluations
    )


def _canonical(evaluator: PartsEvaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Set vanished variances to zero; from a zero that turns out to be a saddle, search again."""
    optimum = optimum_with_zeros(evaluator, layout.scale, optimum)
    beside = off_saddle(evaluator, layout.scale, optimum.psi)
    candidates = [] if beside is None else [beside]
    candidates += rotated_starts(evaluator.problem, layout.scale, optimum.psi)
    for psi in candidates:
        again = _minimized(evaluator, layout, psi, optimum.inverse_hessian, evaluator.n_rows)
        if again.objective < optimum.objective - TOLERANCE * (1.0 + abs(optimum.objective)):
            optimum = optimum_with_zeros(evaluator, layout.scale, again)
    return optimum


def _last_step(evaluator: PartsEvaluator, layout: Layout, optimum: Optimum) -> tuple[Optimum, FloatArray]:
    """Return the optimum after a Newton step with the Hessian itself, which standard errors need anyway."""
    hessian = evaluator.hessian_of_all(optimum.psi, optimum.inverse_hessian)
    inverse = determined_inverse(hessian, layout.fixed)
    value, gradient = evaluator(optimum.psi)
    if inverse is None:
        return replace(optimum, objective=value), hessian
    inverse = np.nan_to_num(inverse)
    at_zero = boundaries(evaluator.problem.terms) & (optimum.psi[: evaluator.problem.n_theta] == 0.0)
    free = np.append(~at_zero, np.ones(len(gradient) - len(at_zero), dtype=bool))
    step = inverse @ np.where(free, gradient, 0.0) * free
    decrement = 0.5 * float(gradient @ step)
    optimum = replace(optimum, objective=value)
    if decrement > 0.0:
        moved, slope = evaluator(optimum.psi - step)
        if moved <= value + FINE_TOLERANCE * abs(value):
            decrement = 0.5 * float((slope * free) @ inverse @ (slope * free))
            optimum = replace(optimum, psi=optimum.psi - step, objective=moved)
            gradient = slope
    found = replace(
        optimum.found,
        x=optimum.psi / layout.scale,
        objective=optimum.objective,
        gradient=gradient * layout.scale,
        inverse_hessian=inverse / np.multiply.outer(layout.scale, layout.scale),
        decrement=max(decrement, 0.0),
    )
    return replace(optimum, inverse_hessian=inverse, found=found), hessian


@dataclass(slots=True, eq=False, repr=False)
class _Gathered:
    """What a pass over the modes adds up."""

    information: FloatArray
    effects: list[tuple[FloatArray, ...]]
    conditional: list[tuple[FloatArray, ...]]
    deviance: float
    row_information: float
    worst: tuple[float, GeneralizedProblem, Mode] | None
    varying: GeneralizedProblem | None


def _gathered(
    evaluator: PartsEvaluator, layout: Layout, optimum: Optimum, hessian: FloatArray, began: float
) -> PartsFit:
    """Return the estimates on the user's scale, after a last pass."""
    problem, method = evaluator.problem, "BFGS with the exact gradient, a part of the levels at a time"
    thetas, _ = unpack_factors(problem, optimum.psi)
    outer = outer_thetas(problem, thetas)
    total = _one_pass(evaluator, optimum.psi, [signs for _, signs in outer])
    k, p = problem.n_theta, problem.n_fixed
    phi = optimum.psi[k + p :]
    absent: FloatArray = AbsentRows(evaluator.n_rows)  # type: ignore[assignment]
    estimates = GeneralizedEstimates(
        theta=np.concatenate([theta for theta, _ in outer]),
        beta=problem.unscale @ optimum.psi[k : k + p],
        phi=problem.family.phi_from_free(phi) if problem.n_phi else phi,
        u=_joined(total.effects),
        eta=absent,
        objective=optimum.objective,
        nAGQ=evaluator.nAGQ,
        vcov_rx=problem.unscale @ np.linalg.pinv(total.information) @ problem.unscale.T,
        inverse_hessian=optimum.inverse_hessian,
        optimization=search_report(optimum, began, method, optimum.found.message),
        convergence=_judged(evaluator, layout, optimum, hessian, total, [theta for theta, _ in outer]),
    )
    covariance = natural_covariance(problem, estimates, hessian)
    conditional = _joined(total.conditional)
    return PartsFit(
        estimates, covariance, conditional, total.deviance, total.row_information / evaluator.n_rows
    )


def _one_pass(evaluator: PartsEvaluator, psi: FloatArray, signs: list[FloatArray]) -> _Gathered:
    p = evaluator.problem.n_fixed
    total = _Gathered(np.zeros((p, p)), [], [], 0.0, 0.0, None, None)
    for _, problem, mode in evaluator.modes_at(psi):
        total.information += fixed_information(problem, mode)
        total.effects.append(effects_by_term(problem, mode.u, signs))
        total.conditional.append(covariances_at(problem, mode))
        family, phi = problem.family, mode.parameters.phi
        mu = family.link.inverse(mode.eta)
        total.deviance += float(family.deviance(problem.y, mu, problem.weights, phi).sum())
        total.row_information += float(np.abs(mode.rows.information).sum())
        if total.varying is None and not never_varies(problem):
            total.varying = problem
        curvature = smallest_curvature(mode)
        if total.worst is None or curvature < total.worst[0]:
            total.worst = curvature, problem, mode
    return total


def _joined(by_part: list[tuple[FloatArray, ...]]) -> tuple[FloatArray, ...]:
    return tuple(np.concatenate(own) for own in zip(*by_part, strict=True))


def _judged(
    evaluator: PartsEvaluator,
    layout: Layout,
    optimum: Optimum,
    hessian: FloatArray,
    total: _Gathered,
    thetas: list[FloatArray],
) -> ConvergenceReport:
    """Return the verdict."""
    assert total.worst is not None
    _, problem, mode = total.worst
    report = judge_generalized(problem, optimum, thetas, mode)
    if total.varying is None:
        return ConvergenceReport("not converged", report.decrement, (_CONSTANT, *report.reasons))
    if reason := _runaway(layout, hessian):
        return ConvergenceReport("not converged", report.decrement, (reason, *report.reasons))
    if evaluator.n_rows * FEWEST_NODES > MOST_EVALUATIONS:
        return report
    nested = evaluator(np.concatenate([np.zeros(problem.n_theta), optimum.psi[problem.n_theta :]]))[0]
    found = exactness(evaluator, optimum, nested)
    return with_doubts(report, total.varying, evaluator.nAGQ, optimum, found, nested)


def _runaway(layout: Layout, hessian: FloatArray) -> str:
    """Say so if a fixed effect is on its way to infinity: hardly any row still depends on it."""
    curvature = np.diagonal(hessian)[layout.fixed]
    if determined_inverse(hessian, layout.fixed) is not None and (
        not len(curvature) or curvature.min() > RUNAWAY * curvature.max()
    ):
        return ""
    return (
        "The data do not determine all fixed effects: a predictor or a combination of several may tell apart "
        "the rows whose response is at the end of its range, where estimates are infinite. Tabulate the "
        "response by the factors among the fixed effects, and leave out or join what has one value only."
    )
