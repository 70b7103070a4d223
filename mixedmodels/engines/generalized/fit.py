"""Fit a generalized linear mixed model: start, nAGQ = 0, joint optimum, verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.engines.column_basis import ColumnBasis, moved_theta
from mixedmodels.engines.generalized.course import Course, usual_course
from mixedmodels.engines.generalized.doubts import rejected, with_doubt, with_doubts
from mixedmodels.engines.generalized.equal_rows import EqualRows
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.exactness import Exactness, exactness, nodes_to_search_with, with_search
from mixedmodels.engines.generalized.hessian import natural_parameters
from mixedmodels.engines.generalized.looks import (
    RELATIVE_GAIN,
    SMALLEST_GAIN,
    after_looks,
    better,
    lower_of,
)
from mixedmodels.engines.generalized.objective import Evaluator, LedToEdge
from mixedmodels.engines.generalized.optimum import Layout, Optimum, parameter_layout
from mixedmodels.engines.generalized.pirls import EdgeError
from mixedmodels.engines.generalized.poles import beyond_poles, may_have_poles
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi, pack
from mixedmodels.engines.generalized.quadrature import check_quadrature
from mixedmodels.engines.generalized.quadrature_grid import check_grid
from mixedmodels.engines.generalized.search import (
    first_inverse,
    from_start,
    joint_fit,
)
from mixedmodels.engines.generalized.start import (
    nested_objective,
    reproducing_effects,
    start_from_row_effects,
    starting_values,
    zero_thetas,
)
from mixedmodels.engines.generalized.verdict import (
    judge_generalized,
    off_saddle,
    optimum_with_zeros,
    polished,
    rotated_starts,
)
from mixedmodels.errors import ControlError, ConvergenceError
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.factorization.threads import threads_for
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.optimization.minimum import SETTLED
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport

# How much worse than a singular optimum a point beside it may be to be worth optimising from.
WORTH_A_TRY = 0.1
# Decrement below which earlier estimates are a better start than the data give: ten standard errors. The
# response of a bootstrap is one to four away, and takes half the time from there.
NEAR = 50.0
# How an optimum is found.
SEARCH = "BFGS with the exact gradient"
# Parameters of a family without any.
NO_PHI = np.empty(0)
# Rows beyond which a search from the data beside that from a given start costs too much.
MANY_ROWS = 20_000


def fit_generalized(
    problem: GeneralizedProblem,
    nAGQ: int = 1,
    start: FloatArray | None = None,
    near: GeneralizedEstimates | None = None,
) -> GeneralizedEstimates:
    """Fit by maximum likelihood.

    Parameters
    ----------
    problem : GeneralizedProblem
        From :func:`~mixedmodels.engines.generalized.problem_from_data.generalized_problem`.
    nAGQ : int
        0 (beta found with u, only theta optimised), 1 (Laplace) or the nodes of adaptive quadrature per
        dimension; see :func:`~mixedmodels.engines.generalized.stable_quadrature.fit_until_stable` for "auto".
    start : ndarray, shape (m,), optional
        (theta, beta, phi) to start from; by default found from the data.
    near : GeneralizedEstimates, optional
        Estimates of the same model by another approximation or for a like response, to start from if they
        turn out to be within some standard errors; starting values from the data are better beyond.

    Raises
    ------
    ControlError
        If the random effects do not allow nAGQ > 1, or `start` has the wrong length.
    ConvergenceError
        If no starting value has a finite likelihood, or the random effects have no regular mode; an EdgeError
        where the expected information may have one.
    """
    check_nodes(problem, nAGQ)
    began = time.perf_counter()
    layout = parameter_layout(problem)
    course = usual_course(problem, layout) if nAGQ == 1 and start is None and near is None else None
    if course is not None and course.is_plain:
        return _plain_estimates(problem, course, began)
    evaluator = Evaluator(problem, nAGQ)
    try:
        order = max(problem.system.pattern.n_tail, problem.n_theta + problem.n_fixed)
        with threads_for(order, len(problem.y)):
            if course is None:
                optimum = _optimize(evaluator, layout, start, near)
                optimum = _canonical_optimum(evaluator, layout, optimum)
            else:
                optimum, course = _after_course(evaluator, layout, course)
            return _held_against_nested(evaluator, layout, optimum, began, course)
    except LedToEdge as error:
        raise EdgeError(
            "With the observed information the approximation is best where fitted means reach the end of "
            f"what the {problem.family.link.name} link allows, which is no optimum of the likelihood. "
            "Give hessian='expected', which keeps them inside."
        ) from error
    except np.linalg.LinAlgError as error:
        family = problem.family
        raise ConvergenceError(
            f"The random effects have no regular conditional mode under the {family.name} family with link "
            f"{family.link.name!r}: {error}. A link that keeps every mean in its range may fit."
        ) from error


def _optimize(
    evaluator: Evaluator, layout: Layout, start: FloatArray | None, near: GeneralizedEstimates | None
) -> Optimum:
    """Return the optimum, from earlier estimates where they are near, else from starting values."""
    if near is not None and evaluator.nAGQ > 0:
        optimum = _from_estimates(evaluator, layout, near)
        if optimum is not None:
            return optimum
    if start is None:
        return _from_data(evaluator, layout)
    psi = _given_start(evaluator.problem, start)
    optimum = _no_worse_than_default(evaluator, layout, from_start(evaluator, layout, psi))
    if evaluator.nAGQ > 0:
        optimum = _no_worse_than_start(evaluator, layout, optimum, psi)
    evaluator.forget()
    return optimum


def _after_course(evaluator: Evaluator, layout: Layout, course: Course) -> tuple[Optimum, Course | None]:
    """Return the optimum that looks lead to from the end of a course, and the course if it is that end."""
    first = course.optimum
    evaluator.resume_at(course.u)
    optimum = _canonical_optimum(evaluator, layout, _beyond_first(evaluator, layout, first))
    return optimum, course if optimum is first else None


def _from_data(evaluator: Evaluator, layout: Layout) -> Optimum:
    """Return the lowest optimum that starting values from the data lead to."""
    return _beyond_first(evaluator, layout, from_start(evaluator, layout, None))


def _beyond_first(evaluator: Evaluator, layout: Layout, first: Optimum) -> Optimum:
    """Return the lowest optimum that looks from other starts lead to."""
    optimum = first
    if reproducing_effects(evaluator.problem) is not None:
        by_rows = start_from_row_effects(evaluator.problem, evaluator.mode_at(optimum.psi))
        optimum = better(evaluator, layout, optimum, by_rows)
    optimum = after_looks(evaluator, layout, optimum)
    if not may_have_poles(evaluator):
        return optimum
    optimum, doubt = beyond_poles(evaluator, layout, optimum, first)
    if not evaluator.problem.has_one_mode:
        # Modes where a search was led to a pole say nothing of those at the optimum.
        evaluator.forget()
    return replace(optimum, doubt=doubt)


def check_nodes(problem: GeneralizedProblem, nAGQ: object) -> None:
    """Raise ControlError if nAGQ is not a number of nodes that the model allows."""
    if isinstance(nAGQ, bool) or not isinstance(nAGQ, int | np.integer) or nAGQ < 0:
        raise ControlError(f"nAGQ must be 0, 1, a larger whole number or 'auto', not {nAGQ!r}.")
    if nAGQ > 1:
        check_quadrature(problem)
        check_grid(int(nAGQ), max(block.size for block in problem.system.blocks))


def _no_worse_than_default(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Return the optimum that a given start led to, or the lower one that the data lead to.

    In a large model the data are asked only if the search broke down, or the default start itself is better.
    """
    problem, values = evaluator.problem, starting_values(evaluator.problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    evaluator.forget()
    is_asked_less = len(problem.y) > MANY_ROWS and optimum.found.converged
    if is_asked_less and optimum.objective <= evaluator(psi)[0]:
        return optimum
    try:
        default = _from_data(evaluator, layout)
    except (np.linalg.LinAlgError, ConvergenceError):
        return optimum
    return lower_of(evaluator, optimum, default)


def _no_worse_than_start(evaluator: Evaluator, layout: Layout, optimum: Optimum, psi: FloatArray) -> Optimum:
    """Return the optimum, or that next to a start which is lower itself: nAGQ = 0 may lead away from it."""
    evaluator.forget()
    try:
        first = evaluator(psi)
        if not first[0] < optimum.objective - RELATIVE_GAIN * abs(optimum.objective) - SMALLEST_GAIN:
            return optimum
        H = first_inverse(evaluator, layout, psi)
        return lower_of(evaluator, optimum, joint_fit(evaluator, layout, psi, H, 1, first=first))
    except (np.linalg.LinAlgError, ConvergenceError):
        return optimum


def _from_estimates(evaluator: Evaluator, layout: Layout, near: GeneralizedEstimates) -> Optimum | None:
    """Optimise from the estimates of a like problem; None if they are not near the optimum.

    At a zero variance the objective is flat, whatever the response: such estimates are no start.
    """
    at_zero = boundaries(evaluator.problem.terms) & (near.theta == 0.0)
    if at_zero.any() or not np.diagonal(near.inverse_hessian).all():
        return None
    psi = natural_to_psi(evaluator.problem, natural_parameters(near))
    try:
        value, gradient = evaluator(psi)
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    decrement = 0.5 * float(gradient @ near.inverse_hessian @ gradient)
    if not np.isfinite(value) or not decrement < NEAR:
        return None
    optimum = joint_fit(evaluator, layout, psi, near.inverse_hessian, 1, first=(value, gradient))
    return optimum if optimum.found.converged else None


def _canonical_optimum(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Set vanished variances to zero; from a zero that turns out to be a saddle, optimise again."""
    optimum = optimum_with_zeros(evaluator, layout.scale, polished(evaluator, layout, optimum))
    beside = off_saddle(evaluator, layout.scale, optimum.psi)
    candidates = [] if beside is None else [beside]
    for psi in rotated_starts(evaluator.problem, layout.scale, optimum.psi):
        try:
            if evaluator(psi)[0] < optimum.objective + WORTH_A_TRY:
                candidates.append(psi)
        except (np.linalg.LinAlgError, ConvergenceError):
            continue
    for psi in candidates:
        try:
            again = joint_fit(evaluator, layout, psi, optimum.inverse_hessian, optimum.n_evaluations)
        except (np.linalg.LinAlgError, ConvergenceError):
            continue
        if again.objective < optimum.objective - RELATIVE_GAIN * (1.0 + abs(optimum.objective)):
            optimum = optimum_with_zeros(evaluator, layout.scale, again)
    return optimum


def _held_against_nested(
    evaluator: Evaluator, layout: Layout, optimum: Optimum, began: float, course: Course | None
) -> GeneralizedEstimates:
    """Return the estimates, those without random effects where the likelihood there is higher.

    A course that ended at the optimum knows some of what is asked. What counts is the likelihood by more
    nodes than the optimum was found with: an approximation may fall without end along a variance where the
    likelihood itself does not.
    """
    problem, nAGQ = evaluator.problem, evaluator.nAGQ
    notes: tuple[str, ...] = ()
    nested = nested_objective(problem, optimum.objective) if course is None else course.nested
    known = None if course is None else course.by_nodes
    found = None if nAGQ == 0 else exactness(evaluator, optimum, nested, known)
    value = optimum.objective if found is None else found.least
    other = None
    if value > nested + RELATIVE_GAIN * abs(nested) + SMALLEST_GAIN:
        other = _from_nested(evaluator, layout)
    if other is not None:
        again = None if nAGQ == 0 else exactness(evaluator, other, nested)
        if (other.objective if again is None else again.objective) < value - SMALLEST_GAIN:
            notes = (rejected(nAGQ, optimum, found),)
            optimum, found = other, again
    if found is not None and found.is_doubtful and found.is_close(nested):
        found = _searched(evaluator, layout, optimum, found)
    estimates = _estimates(evaluator, optimum, began)
    report = estimates.convergence
    if nAGQ > 0:
        report = with_doubts(report, problem, nAGQ, optimum, found, nested)
    report = replace(report, reasons=(*report.reasons, *notes))
    return replace(estimates, convergence=with_doubt(report, optimum.doubt))


def _searched(evaluator: Evaluator, layout: Layout, optimum: Optimum, found: Exactness) -> Exactness:
    """Return how far from an optimum a search by more nodes ends."""
    nodes = nodes_to_search_with(evaluator.problem, evaluator.nAGQ, found)
    if nodes is None:
        return found
    try:
        many = evaluator.with_nodes(nodes)
        better = joint_fit(many, layout, optimum.psi, optimum.inverse_hessian, 0)
    except (np.linalg.LinAlgError, ConvergenceError):
        return found
    return with_search(found, optimum, better)


def _from_nested(evaluator: Evaluator, layout: Layout) -> Optimum | None:
    """Return the optimum found from the model without random effects, which may be it; None if none is."""
    problem = evaluator.problem
    values = starting_values(problem)
    psi = pack(problem, zero_thetas(problem), values.gamma, values.phi)
    try:
        if evaluator.nAGQ == 0:
            return _canonical_optimum(evaluator, layout, from_start(evaluator, layout, psi))
        H = first_inverse(evaluator, layout, psi)
        return _canonical_optimum(evaluator, layout, joint_fit(evaluator, layout, psi, H, 0))
    except (np.linalg.LinAlgError, ConvergenceError):
        return None


def _given_start(problem: GeneralizedProblem, start: FloatArray) -> FloatArray:
    """Return the optimiser's vector of (theta, beta, phi)."""
    k, p = problem.n_theta, problem.n_fixed
    if len(start) != k + p + problem.n_phi:
        raise ControlError(
            f"start must hold {k} covariance parameters, {p} fixed effects and {problem.n_phi} family "
            f"parameters, {k + p + problem.n_phi} numbers in all, not {len(start)}."
        )
    return natural_to_psi(problem, np.asarray(start, dtype=np.float64))


def _estimates(evaluator: Evaluator, optimum: Optimum, began: float) -> GeneralizedEstimates:
    """Put the optimum on the user's scale."""
    problem, found = evaluator.problem, optimum.found
    equal = problem.row_origin.equal
    at, mode = evaluator.effects_at(optimum.psi)
    parameters = at.parameters
    outer = outer_thetas(problem, parameters.thetas)
    message = found.message if equal is None else f"{found.message}; {_collapse_message(equal)}"
    return GeneralizedEstimates(
        theta=np.concatenate([theta for theta, _ in outer]),
        beta=problem.unscale @ parameters.gamma,
        phi=problem.user_phi(parameters.phi),
        u=effects_by_term(problem, at.u, [signs for _, signs in outer]),
        eta=problem.as_given(at.eta),
        objective=optimum.objective,
        nAGQ=evaluator.nAGQ,
        vcov_rx=problem.unscale @ evaluator.fixed_inverse(optimum.psi) @ problem.unscale.T,
        inverse_hessian=_canonical_inverse(problem, optimum),
        optimization=search_report(optimum, began, SEARCH, message),
        convergence=judge_generalized(problem, optimum, [theta for theta, _ in outer], mode),
    )


def _plain_estimates(problem: GeneralizedProblem, course: Course, began: float) -> GeneralizedEstimates:
    """Put the end of a usual course on the user's scale, about which there is nothing more to say."""
    x, value, gradient, _, decrement, path, _ = course.end
    psi, equal = x * course.scale, problem.row_origin.equal
    search = OptimizationReport(
        SEARCH, course.n_evaluations, time.perf_counter() - began, float(np.abs(gradient).max()), path,
        np.copy,
        SETTLED if equal is None else f"{SETTLED}; {_collapse_message(equal)}",
    )  # fmt: skip
    return GeneralizedEstimates(
        theta=psi[:1],
        beta=problem.unscale.dot(psi[1:]),
        phi=NO_PHI,
        u=(course.u,),
        eta=problem.as_given(course.eta),
        objective=value,
        nAGQ=1,
        vcov_rx=problem.unscale.dot(course.fixed_inverse).dot(problem.unscale.T),
        inverse_hessian=course.inverse_hessian,
        optimization=search,
        convergence=ConvergenceReport("converged", decrement, ()),
        hessian=course.hessian,
    )


def search_report(optimum: Optimum, began: float, method: str, message: str) -> OptimizationReport:
    """Return how an optimum was found, by a search that began at a time of the performance counter."""
    return OptimizationReport(
        method=method,
        n_evaluations=optimum.n_evaluations,
        seconds=time.perf_counter() - began,
        gradient_norm=float(np.abs(optimum.found.gradient).max(initial=0.0)),
        points=optimum.found.path,
        parameters_at=np.copy,
        message=message,
    )


def outer_thetas(
    problem: GeneralizedProblem, thetas: Sequence[FloatArray]
) -> list[tuple[FloatArray, FloatArray]]:
    """Return, for each term, canonical theta on the user's columns, and the signs of u that go with it."""
    return [
        _outer_theta(term.structure, basis, theta)
        for term, basis, theta in zip(problem.terms, problem.column_bases, thetas, strict=True)
    ]


def _outer_theta(
    structure: CovarianceStructure, basis: ColumnBasis | None, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return canonical theta on the user's columns, and the signs of u that go with it, shape (S,)."""
    own = theta if basis is None else moved_theta(structure, basis.inverse, theta)
    if structure.is_unstructured and structure.factor(own).diagonal().min() > 0.0:
        return own, np.ones(structure.size)
    canonical = structure.canonical(own)
    flipped = np.diagonal(structure.factor(own)) * np.diagonal(structure.factor(canonical)) < 0.0
    return canonical, np.where(flipped, -1.0, 1.0)


def _collapse_message(equal: EqualRows) -> str:
    """Say that equal rows were fitted once."""
    return f"the {len(equal.index)} rows are {len(equal.first)} distinct ones, which were fitted with weights"


def effects_by_term(
    problem: GeneralizedProblem, spherical: FloatArray, signs: Sequence[FloatArray]
) -> tuple[FloatArray, ...]:
    """Return the spherical effects of each term, (q, S), with the signs that match the user's theta."""
    by_term: dict[int, FloatArray] = {}
    for block, where in zip(problem.system.blocks, problem.system.slices, strict=True):
        u = spherical[where].reshape(block.size, -1)
        for k, place in term_slices(block):
            by_term[k] = np.ascontiguousarray(u[place].T * signs[k])
    return tuple(by_term[k] for k in range(len(problem.terms)))


def _canonical_inverse(problem: GeneralizedProblem, optimum: Optimum) -> FloatArray:
    """Return the inverse Hessian at the canonical theta, some of whose signs differ from those found."""
    signs, start = np.ones(len(optimum.psi)), 0
    if all(term.structure.is_unstructured for term in problem.terms) and (
        optimum.psi[: problem.n_theta][boundaries(problem.terms)].min() > 0.0
    ):
        return optimum.inverse_hessian
    for term in problem.terms:
        end = start + term.structure.n_theta
        theta = term.structure.from_free(optimum.psi[start:end])
        signs[start:end] = np.where(term.structure.canonical(theta) * theta < 0.0, -1.0, 1.0)
        start = end
    return optimum.inverse_hessian * np.multiply.outer(signs, signs)
