"""Fit a generalized linear mixed model: start, nAGQ = 0, joint optimum, verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import ControlError
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.likelihood.estimates import GeneralizedEstimates
from mixedmodels.likelihood.generalized_objective import Evaluator
from mixedmodels.likelihood.generalized_problem import GeneralizedProblem, Parameters, natural_to_psi, pack
from mixedmodels.likelihood.pirls import Mode, fixed_border
from mixedmodels.likelihood.quadrature import check_quadrature
from mixedmodels.optimization.generalized_verdict import judge, without_vanishing
from mixedmodels.optimization.quasi_newton import Minimum, minimize
from mixedmodels.optimization.report import OptimizationReport
from mixedmodels.optimization.start import column_scales
from mixedmodels.optimization.start_generalized import starting_values

# Decrease of -2 log-likelihood that a further step promises when it stops: 1e-5 of a standard error.
TOLERANCE = 5e-11
# The nAGQ = 0 fit need only lead to where the joint one starts.
ROUGH_TOLERANCE = 0.5
# Largest change of a free parameter in one step, in units of its typical size.
LARGEST_STEP = 5.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of the parameters in the optimiser's vector, and their typical sizes.

    Attributes
    ----------
    outer : ndarray of int
        Free theta and free phi: what the nAGQ = 0 fit varies.
    fixed : slice
        gamma.
    scale : ndarray, shape (m,)
        Typical sizes.
    """

    outer: IntArray
    fixed: slice
    scale: FloatArray


def fit_generalized(
    problem: GeneralizedProblem,
    nAGQ: int = 1,
    start: FloatArray | None = None,
) -> GeneralizedEstimates:
    """Fit by maximum likelihood.

    Parameters
    ----------
    problem : GeneralizedProblem
        From :func:`~mixedmodels.likelihood.generalized.generalized_problem`.
    nAGQ : int
        0 (beta found with u, only theta optimised), 1 (Laplace) or the nodes of adaptive quadrature per
        dimension.
    start : ndarray, shape (m,), optional
        (theta, beta, phi) to start from; by default found from the data and an nAGQ = 0 fit.

    Raises
    ------
    ControlError
        If the random effects do not allow nAGQ > 1.
    ConvergenceError
        If no starting value has a finite likelihood.
    """
    if nAGQ < 0:
        raise ControlError(f"nAGQ must be 0, 1 or more, not {nAGQ}.")
    if nAGQ > 1:
        check_quadrature(problem)
    began = time.perf_counter()
    with np.errstate(all="ignore"):
        return _fit(problem, nAGQ, start, began)


def _fit(
    problem: GeneralizedProblem, nAGQ: int, start: FloatArray | None, began: float
) -> GeneralizedEstimates:
    evaluator, layout = Evaluator(problem, nAGQ), parameter_layout(problem)
    found, psi = _profile_fit(evaluator, layout, start, TOLERANCE if nAGQ == 0 else ROUGH_TOLERANCE)
    n_evaluations = found.n_evaluations
    if nAGQ > 0:
        found, psi = _joint_fit(evaluator, layout, psi, found.inverse_hessian)
        n_evaluations += found.n_evaluations
    psi, objective = without_vanishing(evaluator, psi, found.objective, layout.scale)
    report = OptimizationReport(
        method="BFGS with the exact gradient",
        n_evaluations=n_evaluations,
        seconds=time.perf_counter() - began,
        gradient_norm=float(np.abs(found.gradient).max(initial=0.0)),
        path=found.path,
        message=found.message,
    )
    return _estimates(problem, evaluator, psi, objective, found, report)


def parameter_layout(problem: GeneralizedProblem) -> Layout:
    """Return places and typical sizes of the parameters."""
    k, p = problem.n_theta, problem.n_fixed
    theta = [term.structure.scales(column_scales(term)) for term in problem.terms]
    scale = np.concatenate([*theta, np.full(p, np.sqrt(len(problem.y))), np.ones(problem.n_phi)])
    return Layout(np.r_[0:k, k + p : k + p + problem.n_phi], slice(k, k + p), scale)


def _profile_fit(
    evaluator: Evaluator, layout: Layout, start: FloatArray | None, tolerance: float
) -> tuple[Minimum, FloatArray]:
    """Minimise the nAGQ = 0 objective over theta and phi."""
    problem, outer = evaluator.problem, layout.outer
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    if start is not None:
        psi = _given_start(problem, start)
    scale = layout.scale[outer]
    curvature = np.concatenate([values.curvature, np.full(problem.n_phi, float(len(problem.y)))])

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        full = psi.copy()
        full[outer] = x * scale
        value, gradient = evaluator.profiled(full)
        return value, gradient[outer] * scale

    found = minimize(
        function,
        psi[outer] / scale,
        np.diag(1.0 / (curvature * scale**2)),
        tolerance=tolerance,
        max_step=LARGEST_STEP,
    )
    psi[outer] = found.x * scale
    evaluator.profiled(psi)
    psi[layout.fixed] = evaluator.mode.parameters.gamma
    return found, psi


def _joint_fit(
    evaluator: Evaluator, layout: Layout, psi: FloatArray, inverse_outer: FloatArray
) -> tuple[Minimum, FloatArray]:
    """Minimise the objective over all parameters, from the nAGQ = 0 fit."""
    scale, fixed = layout.scale, layout.fixed
    mode = evaluator.mode
    H = np.zeros((len(psi), len(psi)))
    H[np.ix_(layout.outer, layout.outer)] = inverse_outer
    if mode.border is not None:
        H[fixed, fixed] = 0.5 * mode.border.inverse / np.multiply.outer(scale[fixed], scale[fixed])

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = evaluator(x * scale)
        return value, gradient * scale

    found = minimize(function, psi / scale, H, tolerance=TOLERANCE, max_step=LARGEST_STEP)
    return found, found.x * scale


def _given_start(problem: GeneralizedProblem, start: FloatArray) -> FloatArray:
    """Return the optimiser's vector of (theta, beta, phi)."""
    k, p = problem.n_theta, problem.n_fixed
    if len(start) != k + p + problem.n_phi:
        raise ControlError(
            f"start must hold {k} covariance parameters, {p} fixed effects and {problem.n_phi} family "
            f"parameters, {k + p + problem.n_phi} numbers in all, not {len(start)}."
        )
    return natural_to_psi(problem, np.asarray(start, dtype=np.float64))


def _estimates(
    problem: GeneralizedProblem,
    evaluator: Evaluator,
    psi: FloatArray,
    objective: float,
    found: Minimum,
    report: OptimizationReport,
) -> GeneralizedEstimates:
    """Put the optimum into canonical form."""
    mode = evaluator.mode_at(psi)
    parameters = mode.parameters
    edge = fixed_border(problem, mode.factor, mode.rows.information)
    thetas = tuple(
        t.structure.canonical(theta) for t, theta in zip(problem.terms, parameters.thetas, strict=True)
    )
    return GeneralizedEstimates(
        theta=np.concatenate(thetas),
        beta=problem.unscale @ parameters.gamma,
        phi=parameters.phi,
        u=canonical_effects(problem, parameters, thetas, mode),
        eta=problem.as_given(mode.eta),
        objective=objective,
        nAGQ=evaluator.nAGQ,
        vcov_rx=problem.unscale @ edge.inverse @ problem.unscale.T,
        optimization=report,
        convergence=judge(problem, parameters, found),
    )


def canonical_effects(
    problem: GeneralizedProblem, parameters: Parameters, thetas: tuple[FloatArray, ...], mode: Mode
) -> tuple[FloatArray, ...]:
    """Return the spherical effects of each term, (q, S), with the signs that canonical theta gives them."""
    by_term: dict[int, FloatArray] = {}
    for block, where in zip(problem.system.blocks, problem.system.slices, strict=True):
        u = mode.u[where].reshape(block.size, -1)
        for k, place in term_slices(block):
            structure = problem.terms[k].structure
            before = np.diagonal(structure.factor(parameters.thetas[k]))
            after = np.diagonal(structure.factor(thetas[k]))
            by_term[k] = (u[place] * np.where(before * after < 0.0, -1.0, 1.0)[:, None]).T
    return tuple(np.ascontiguousarray(by_term[k]) for k in range(len(problem.terms)))
