"""What is to be thought of a generalized fit: vanished variances, saddles and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.hessian import determined_inverse, hessian_at
from mixedmodels.engines.generalized.laplace import smallest_curvature
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Layout, Optimum
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem, unpack_factors
from mixedmodels.engines.generalized.start import reproducing_effects
from mixedmodels.errors import ConvergenceError
from mixedmodels.factorization.weighted.row_inverse import leverages
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.optimization.canonical import PROBE, is_saddle, with_exact_zeros
from mixedmodels.optimization.convergence import DECREMENT, RELATIVE_DECREMENT, boundary_reasons
from mixedmodels.optimization.report import ConvergenceReport

# Newton steps with the Hessian itself after a search that stopped short.
MAX_NEWTON_STEPS = 5
# Largest element of the gradient, in units of a parameter's size, at a decrement that means anything: the
# curvature would be a million times that of a million rows.
STEEP = 1.0
# Curvature at the mode, 1 for the prior alone, below which the Laplace approximation is off by more than 2.
IRREGULAR = 0.02
# A step of so many standard errors is none: the curvature it is made of means nothing.
NO_STEP = 1e4
# Share of the variation of single rows that is nothing.
LEFT_OVER = 1e-4
# A deviation below this, in units of its scale, is looked at from beside.
NEARLY_VANISHED = 1e-2
# Where to start beside a saddle, in units of the scale of a deviation.
BESIDE = 0.1


def polished(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Judge an optimum that the quasi-Newton method did not quite reach by the Hessian itself.

    Its decrement is that of Newton's step with the Hessian from differences of the gradient; a step that is
    worth it is taken. Directions in which the objective is flat count for nothing.
    """
    scale, square = layout.scale, np.multiply.outer(layout.scale, layout.scale)
    for _ in range(MAX_NEWTON_STEPS):
        psi, limit = optimum.psi, DECREMENT + RELATIVE_DECREMENT * abs(optimum.objective)
        steep = is_steep(optimum)
        if evaluator.nAGQ == 0 or (optimum.found.decrement <= limit and not steep):
            break
        inverse = _inverse_hessian(evaluator, layout, optimum)
        if inverse is None:
            return _unproven(optimum) if steep else optimum
        inverse = np.nan_to_num(inverse)
        gradient = evaluator(psi)[1]
        step = inverse @ gradient
        decrement = 0.5 * float(gradient @ step)
        if decrement > limit:
            value, moved = evaluator(psi - step)
            if not value < optimum.objective:
                break
            psi, gradient, decrement = psi - step, moved, 0.5 * float(moved @ inverse @ moved)
            optimum = replace(optimum, objective=value)
        found = replace(
            optimum.found, x=psi / scale, objective=optimum.objective, gradient=gradient * scale,
            inverse_hessian=inverse / square, decrement=decrement, converged=decrement <= limit,
        )  # fmt: skip
        optimum = replace(optimum, psi=psi, inverse_hessian=inverse, found=found)
    return optimum


def _inverse_hessian(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> FloatArray | None:
    """Return the inverse of the Hessian from differences, None if it has none or they leave its domain."""
    try:
        hessian = hessian_at(evaluator, optimum.psi, optimum.inverse_hessian)
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    return determined_inverse(hessian, layout.fixed)


def is_steep(optimum: Optimum) -> bool:
    """Tell whether a search that ended with a small decrement did so where its objective is steep.

    It then takes the curvature for enormous, as at the end of the range of a link, beyond which there is
    nothing.
    """
    return bool(np.abs(optimum.found.gradient).max(initial=0.0) > STEEP)


def _unproven(optimum: Optimum) -> Optimum:
    return replace(optimum, found=replace(optimum.found, decrement=np.inf, converged=False))


def optimum_with_zeros(evaluator: Evaluator, scale: FloatArray, optimum: Optimum) -> Optimum:
    """Set deviations to exactly zero where that does not cost anything.

    At an optimum on the boundary the optimiser stops a rounding error away from zero.
    """
    problem, k = evaluator.problem, evaluator.problem.n_theta

    def psi_at(theta: FloatArray) -> FloatArray:
        return np.concatenate([_free(problem, theta), optimum.psi[k:]])

    def objective(theta: FloatArray) -> float:
        try:
            return evaluator(psi_at(theta))[0]
        except (np.linalg.LinAlgError, ConvergenceError):
            return np.inf

    theta = np.concatenate(unpack_factors(problem, optimum.psi)[0])
    kept, value = with_exact_zeros(objective, problem.terms, theta, scale[:k], optimum.objective)
    if kept is theta:
        return optimum
    return replace(optimum, psi=psi_at(kept), objective=min(value, optimum.objective))


def off_saddle(evaluator: Evaluator, scale: FloatArray, psi: FloatArray) -> FloatArray | None:
    """Return a point beside `psi` if it is a saddle at a zero variance, None if it is an optimum."""
    problem, k = evaluator.problem, evaluator.problem.n_theta
    theta = np.concatenate(unpack_factors(problem, psi)[0])
    zero = boundaries(problem.terms) & (theta == 0.0)
    if not zero.any():
        return None
    probe = np.concatenate([_free(problem, np.where(zero, PROBE * scale[:k], theta)), psi[k:]])
    try:
        gradient = evaluator(probe)[1][:k]
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    if not is_saddle(problem.terms, theta, scale[:k], gradient):
        return None
    return np.concatenate([_free(problem, np.where(zero, BESIDE * scale[:k], theta)), psi[k:]])


def rotated_starts(problem: GeneralizedProblem, scale: FloatArray, psi: FloatArray) -> list[FloatArray]:
    """Return points beside a nearly vanished deviation, its effects following those of the next coefficient.

    Where T_jj = 0 the column below it and the next one can be rotated freely, but only where the column
    below it carries the other's variance does a small T_jj show whether their effects are correlated: an
    optimiser that arrives with that column empty stops at a saddle.
    """
    found = []
    theta = np.concatenate(unpack_factors(problem, psi)[0])
    start = 0
    for term in problem.terms:
        end = start + term.structure.n_theta
        T, size = term.structure.factor(theta[start:end]), term.structure.factor(scale[start:end])
        for j in range(term.size - 1 if term.structure.is_unstructured else 0):
            if abs(T[j, j]) > NEARLY_VANISHED * size[j, j] or not T[j + 1, j + 1]:
                continue
            for sign in (1.0, -1.0):
                turned = T.copy()
                turned[j, j] = NEARLY_VANISHED * size[j, j]
                turned[j + 1 :, j], turned[j + 1 :, j + 1] = sign * T[j + 1 :, j + 1], -sign * T[j + 1 :, j]
                moved = theta.copy()
                moved[start:end] = term.structure.pullback(theta[start:end], turned)
                found.append(np.concatenate([_free(problem, moved), psi[problem.n_theta :]]))
        start = end
    return found


def _free(problem: GeneralizedProblem, theta: FloatArray) -> FloatArray:
    """Return the free coordinates of theta."""
    parts, start = [], 0
    for term in problem.terms:
        end = start + term.structure.n_theta
        parts.append(term.structure.to_free(theta[start:end]))
        start = end
    return np.concatenate(parts)


def judge_generalized(
    problem: GeneralizedProblem,
    optimum: Optimum,
    thetas: Sequence[FloatArray],
    mode: Mode | None = None,
) -> ConvergenceReport:
    """Return the verdict with its reasons; the conditional mode tells whether a dispersion has vanished."""
    decrement = optimum.found.decrement
    boundary = boundary_reasons(problem.terms, np.concatenate(thetas)) + _limits(problem, optimum.psi)
    boundary += () if mode is None else vanished_dispersion(problem, mode)
    if mode is not None and not (problem.has_one_mode or is_regular(mode)):
        reasons = (_irregular(problem), optimum.found.message, *boundary)
        return ConvergenceReport("not converged", decrement, reasons)
    if not has_stopped_moving(optimum):
        moving = _still_moving(problem, optimum) if np.isfinite(decrement) else _at_end(problem, optimum)
        reasons = (moving, optimum.found.message, *boundary)
        return ConvergenceReport("not converged", decrement, reasons)
    return ConvergenceReport("boundary" if boundary else "converged", decrement, boundary)


def has_stopped_moving(optimum: Optimum) -> bool:
    """Tell whether a Newton step would gain nothing worth having."""
    limit = DECREMENT + RELATIVE_DECREMENT * abs(optimum.objective)
    return abs(optimum.found.decrement) <= limit


def is_regular(mode: Mode) -> bool:
    """Tell whether the likelihood has enough curvature at the mode for the Laplace approximation."""
    return smallest_curvature(mode) > IRREGULAR


def _irregular(problem: GeneralizedProblem) -> str:
    """Say that the Laplace approximation has no optimum, and what to do."""
    terms = " + ".join(f"({term.expression})" for term in problem.terms)
    return (
        f"The Laplace approximation has no optimum here: the {problem.family.name} likelihood is nearly flat "
        f"in some random effects of {terms} at their mode, where the approximation to -2 log-likelihood runs "
        "to minus infinity and the likelihood does not follow. The estimates mean nothing. Use fewer random "
        "effects, or another family."
    )


def _limits(problem: GeneralizedProblem, psi: FloatArray) -> tuple[str, ...]:
    """Return one sentence for each parameter of the family at the end of its range."""
    if not problem.n_phi:
        return ()
    return problem.family.phi_limits(problem.family.phi_from_free(psi[problem.n_theta + problem.n_fixed :]))


def vanished_dispersion(problem: GeneralizedProblem, mode: Mode) -> tuple[str, ...]:
    """Say so if effects that can reproduce every row leave no variation to the family's parameter."""
    block = reproducing_effects(problem)
    if block is None:
        return ()
    if left_to_rows(mode) > LEFT_OVER:
        return ()
    name = problem.family.phi_names[0]
    many = "one for each row" if block.size == 1 else "as many as it has rows in each level"
    return (
        f"{name} is at the end of its range: the effects of {block.group}, {many}, take all the variation.",
    )


def left_to_rows(mode: Mode) -> float:
    """Return the share of the variation of rows that random effects leave to them, on average."""
    return float(np.mean(1.0 - mode.rows.information * leverages(mode.factor)))


def _at_end(problem: GeneralizedProblem, optimum: Optimum) -> str:
    """Say that the search ended where the objective is steep."""
    link = problem.family.link
    if not link.is_monotone:
        terms = " + ".join(f"({term.expression})" for term in problem.terms)
        return (
            "The search ended at a jump of the objective (gradient "
            f"{np.abs(optimum.found.gradient).max():.1e}): the {link.name} link gives two values of the "
            f"linear predictor the same mean, levels of {terms} whose rows lie on either side of zero have "
            "several conditional modes, and the approximation jumps from one to another. The log link has "
            "one mode."
        )
    return (
        f"The likelihood still rises steeply (gradient {np.abs(optimum.found.gradient).max():.1e}) where the "
        f"search ended: fitted means may have reached the end of what the {problem.family.link.name} link "
        "allows, or the approximation has no optimum. A simpler model, or another link, may fit."
    )


def _still_moving(problem: GeneralizedProblem, optimum: Optimum) -> str:
    """Name the parameter that a further step would move most, in standard errors."""
    H = optimum.found.inverse_hessian
    spread = np.sqrt(2.0 * np.maximum(np.diagonal(H), np.finfo(np.float64).tiny))
    moves = np.abs(H @ optimum.found.gradient) / spread
    names = [
        f"{name} of ({term.expression})"
        for term in problem.terms
        for name in term.structure.parameter_names(term.columns)
    ]
    if len(moves) == problem.n_theta + problem.n_fixed + problem.n_phi:
        names += ["of the fixed effects"] * problem.n_fixed
    k = int(np.argmax(moves))
    name = [*names, *problem.family.phi_names][k]
    if not moves[k] < NO_STEP:
        return (
            f"The search broke down in the parameter {name}, at a jump or a "
            f"pole of the objective: the {problem.family.name} likelihood has no regular optimum there. The "
            "estimates mean nothing. Use fewer random effects, another family, or other starting values."
        )
    return (
        f"The parameter {name} still moves, by {moves[k]:.1e} standard "
        "errors. Check whether the data identify it, simplify the model, or start from other values."
    )
