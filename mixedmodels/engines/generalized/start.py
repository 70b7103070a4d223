"""Starting values of a generalized linear mixed model: the model without random effects, and its score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.compiled_search import is_usual, level_objective
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem, pack
from mixedmodels.engines.generalized.scalar_modes import scalar_search
from mixedmodels.engines.glm.newton import GlmPoint, evaluate_point, starting_point
from mixedmodels.engines.glm.recession import LEAST_PULL
from mixedmodels.engines.weighted_gram import weighted_gram
from mixedmodels.errors import ConvergenceError
from mixedmodels.factorization.blocks import Block, term_slices
from mixedmodels.factorization.weighted.penalized_system import PenalizedSystem, product_sums, sum_by_level
from mixedmodels.families.family import Derivatives, Family
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import column_scales
from mixedmodels.kernels.scalar_modes import MOST_FIXED

if TYPE_CHECKING:
    from mixedmodels.kernels._scalar_modes import ScalarModes

# Smallest starting deviation, in standard errors of one level's effect estimated from its own rows.
SMALLEST = 0.5
# Change of a free parameter of the family that takes nearly all the variation from it.
FAR_PHI = 4.0
# Scoring steps from R's starting values.
N_SCORING_STEPS = 2
# Further ones to its optimum, and the gain in log-likelihood at which it is near enough.
MOST_SCORING_STEPS, SMALLEST_GAIN = 20, 1e-3
# Fixed effects from which products with all columns cost much more than an evaluation: scoring steps then
# share one factor of the information for as long as each gains at most this share of what the last one did.
WIDE, FAST_GAIN = 100, 0.25
# Steps before them that know of the information only its size along gamma and elsewhere; of those one is
# enough where the last of these gains so much less than the first.
N_ROUGH_STEPS, ROUGH_GAIN = 2, 0.5
# Share of what random effects gain that the gain of a step is small beside.
SMALL_SHARE = 0.005
# Relative difference of weights that is the rounding of equal ones.
SAME_WEIGHTS = 1e-12
# The same as kernels/levels_course.py takes it.
SCORING = (N_SCORING_STEPS, MOST_SCORING_STEPS, SMALLEST_GAIN, SMALLEST)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scoring:
    """The information of a scoring step in the model without random effects.

    Attributes
    ----------
    W : ndarray, shape (n,)
        Expected information of the rows.
    information : ndarray, shape (p, p)
        ``Q'WQ``.
    L : ndarray, shape (p, p)
        Its lower Cholesky factor.
    """

    W: FloatArray
    information: FloatArray
    L: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Start:
    """Where the optimisation starts.

    Attributes
    ----------
    thetas : tuple of ndarray
        Covariance parameters of each term.
    curvature : ndarray, shape (n_theta,)
        Approximate second derivatives of -2 log-likelihood in the free covariance parameters.
    gamma, phi : ndarray
        Estimates of the model without random effects.
    nested : float or None
        -2 log-likelihood of that model at its optimum, where that was found on the way.
    scoring : Scoring or None
        Information of the last scoring step, of many fixed effects.
    """

    thetas: tuple[FloatArray, ...]
    curvature: FloatArray
    gamma: FloatArray
    phi: FloatArray
    nested: float | None = None
    scoring: Scoring | None = None


# Starting values of the problems there are: each is asked for them by the first search, by looks elsewhere
# and by the comparison with the model without random effects.
_KNOWN: WeakKeyDictionary[GeneralizedProblem, Start] = WeakKeyDictionary()
# Where scoring steps of the model without random effects have ended, of many fixed effects.
_NESTED: WeakKeyDictionary[GeneralizedProblem, tuple[GlmPoint, Scoring | None]] = WeakKeyDictionary()


def starting_values(problem: GeneralizedProblem) -> Start:
    """Return starting values from the model without random effects, found once for each problem."""
    known = _KNOWN.get(problem)
    if known is None:
        known = _KNOWN[problem] = _starting_values(problem)
    return known


def _starting_values(problem: GeneralizedProblem) -> Start:
    compiled, scoring = _compiled_scoring(problem), None
    if compiled is None:
        point, scoring = _scored(problem)
        gamma, phi, nested = point.beta, point.phi, None
        score, W = point.rows.d1, np.maximum(point.rows.information, 0.0)
    else:
        (gamma, score, W, nested), phi = compiled, np.zeros(0)
    by_term: dict[int, tuple[FloatArray, FloatArray]] = {}
    for b, block in enumerate(problem.system.blocks):
        A = information_by_level(problem.system, b, W)
        deviations = score_deviations(sum_by_level(problem.system, b, score), A)
        for k, place in term_slices(block):
            by_term[k] = _term_start(problem.terms[k], deviations[place], A[place])
    ordered = [by_term[k] for k in range(len(problem.terms))]
    return Start(
        tuple(theta for theta, _ in ordered),
        np.concatenate([curvature for _, curvature in ordered]),
        gamma,
        phi,
        nested,
        scoring if problem.n_fixed >= WIDE else None,
    )


def _compiled_scoring(
    problem: GeneralizedProblem,
) -> tuple[FloatArray, FloatArray, FloatArray, float] | None:
    """Return gamma without random effects, the rows' scores and information, and the objective in the end."""
    objective = level_objective(problem, None) if is_usual(problem) else _scalar_search(problem)
    if objective is None:
        return None
    eta = problem.family.link.link(problem.family.start_mu(problem.y, problem.weights))
    return objective.without_random_effects(eta, N_SCORING_STEPS, MOST_SCORING_STEPS, SMALLEST_GAIN)


def _scalar_search(problem: GeneralizedProblem) -> ScalarModes | None:
    """Return the compiled loops that know the rows of a model; None for columns that are left to BLAS."""
    return scalar_search(problem) if problem.n_fixed <= MOST_FIXED else None


def curvature_at(
    problem: GeneralizedProblem, scale: FloatArray, psi: FloatArray, values: Start
) -> FloatArray:
    """Return approximate second derivatives in the free covariance parameters at a start of one's own.

    For q levels whose deviation s is large, -2 log-likelihood is nearly 2 q log s + sum b^2 / s^2: with
    curvature 4 q / s^2 at its minimum, far less than at the usual start.
    """
    bounds, start = [], 0
    q = {k: block.n_levels for block in problem.system.blocks for k in block.terms}
    for k, term in enumerate(problem.terms):
        end = start + term.structure.n_theta
        size = float(np.abs(psi[start:end] / scale[start:end]).max())
        bounds.append(4.0 * q[k] / np.maximum(size * scale[start:end], np.finfo(np.float64).tiny) ** 2)
        start = end
    return np.minimum(values.curvature, np.concatenate(bounds))


def row_effects(problem: GeneralizedProblem) -> Block | None:
    """Return the block of a random intercept with one level for each row, if the family has parameters too.

    Both then describe the variation of single rows, and the likelihood may have an optimum with either.
    """
    for block in problem.system.blocks:
        intercept = block.size == 1 and block.columns[0] is None
        if problem.n_phi and intercept and block.n_levels == len(problem.y):
            return block
    return None


def reproducing_effects(problem: GeneralizedProblem) -> Block | None:
    """Return the block whose levels have no more rows than effects, if the family has parameters too.

    As row effects have, and intercept and slope with two rows a level: they can reproduce every row.
    """
    for block in problem.system.blocks:
        if problem.n_phi and np.bincount(block.codes).max() <= block.size:
            return block
    return None


def start_from_row_effects(problem: GeneralizedProblem, mode: Mode) -> FloatArray:
    """Return a start at which effects that can have taken over the variation that the family describes.

    Returns
    -------
    ndarray, shape (m,)
        The optimiser's vector.
    """
    block, parameters = reproducing_effects(problem), mode.parameters
    assert block is not None
    mu = problem.family.link.inverse(mode.eta)
    free = free_with_little_variation(problem, mu, problem.family.phi_to_free(parameters.phi))
    W = mode.rows.information
    noise = float((1.0 / W[W > 0.0]).mean()) if (W > 0.0).any() else 1.0
    thetas = list(parameters.thetas)
    for k in block.terms:
        thetas[k] = _with_variance(problem.terms[k], thetas[k], noise)
    return pack(problem, thetas, parameters.gamma, problem.family.phi_from_free(free))


def _with_variance(term: RandomTerm, theta: FloatArray, added: float) -> FloatArray:
    """Return theta of independent effects whose variances, in units of the columns' sizes, are larger."""
    T, structure = term.structure.factor(theta), term.structure
    sizes = np.sqrt((T**2).sum(axis=1) + added * column_scales(term) ** 2)
    return structure.from_free(structure.to_free(structure.start()) * structure.scales(sizes))


def free_with_little_variation(problem: GeneralizedProblem, mu: FloatArray, free: FloatArray) -> FloatArray:
    """Return the family's free parameters with nearly all variation of single rows taken from them."""
    family = problem.family

    def variation(side: FloatArray) -> float:
        phi = family.phi_from_free(side)
        return float((family.variance(mu, phi) * family.variance_inflation(problem.weights, phi)).mean())

    return min((free - FAR_PHI, free + FAR_PHI), key=variation)


def without_random_effects(problem: GeneralizedProblem) -> GlmPoint:
    """Return nearly the generalized linear model's fit, in the orthonormal basis.

    A few scoring steps are enough to start from, and coefficients that run to infinity do not get far.

    Raises
    ------
    ConvergenceError
        If no starting value gives a finite likelihood.
    """
    return _scored(problem)[0]


def _scored(problem: GeneralizedProblem) -> tuple[GlmPoint, Scoring | None]:
    """Return where a few scoring steps from the best of some starts lead, and the last one's information."""
    data = _data(problem)
    point = _working_start(problem) if problem.family.is_canonical and not problem.n_phi else None
    if point is None:
        point = starting_point(*data)
    if point is None:
        raise ConvergenceError(
            f"No starting value gives the {problem.family.name} family with link "
            f"{problem.family.link.name!r} a finite likelihood."
        )
    if problem.n_fixed < WIDE:
        return _climb(problem, point, None, N_SCORING_STEPS, 0.0)
    point, is_near = _roughly_climbed(problem, point)
    return _climb(problem, point, None, N_SCORING_STEPS - is_near, 0.0)


def _roughly_climbed(problem: GeneralizedProblem, point: GlmPoint) -> tuple[GlmPoint, bool]:
    """Return where a few steps with no product of all columns lead, and whether that is near the optimum."""
    gains = []
    for _ in range(N_ROUGH_STEPS):
        rough = _rough_scoring(problem, point)
        if rough is None:
            break
        moved = _moved(problem, point, rough)
        gains.append(moved.loglik - point.loglik)
        point = moved
    return point, len(gains) == N_ROUGH_STEPS and 0.0 < gains[-1] < ROUGH_GAIN * gains[0]


def _climb(
    problem: GeneralizedProblem, point: GlmPoint, scoring: Scoring | None, most: int, enough: float
) -> tuple[GlmPoint, Scoring | None]:
    """Return where `most` scoring steps lead, or as many as gain more than `enough`, and the information.

    Of many fixed effects steps share the `scoring` given, or that of an earlier one, while each gains much
    less than the one before.
    """
    before, is_fast = (0.0, False) if scoring is None else (math.inf, True)
    for _ in range(most):
        is_own = scoring is None or not is_fast or problem.n_fixed < WIDE
        if is_own:
            scoring = _scoring(problem, point.rows)
        if scoring is None:
            break
        moved = _moved(problem, point, scoring)
        gain = moved.loglik - point.loglik
        is_fast = 0.0 < gain <= FAST_GAIN * before
        point, before = moved, gain
        if gain <= enough and (is_own or is_fast):
            break
    return point, scoring


def nested_objective(problem: GeneralizedProblem, objective: float) -> float:
    """Return -2 log-likelihood of the model without random effects, or a little more.

    Parameters of the family keep their starting values, and a coefficient without a finite estimate does not
    get far. Of many fixed effects the last steps are left out where the value, which is held against the
    `objective` of a model with random effects, is far from it.
    """
    start = starting_values(problem)
    if start.nested is not None:
        return start.nested
    point = evaluate_point(*_data(problem), start.gamma, start.phi)
    apart = -2.0 * point.loglik - objective if problem.n_fixed >= WIDE else 0.0
    enough = max(SMALLEST_GAIN, SMALL_SHARE * apart)
    point, scoring = _climb(problem, point, start.scoring, MOST_SCORING_STEPS, enough)
    if problem.n_fixed >= WIDE:
        _NESTED[problem] = point, scoring
    return -2.0 * point.loglik


def balanced_pulls(problem: GeneralizedProblem) -> FloatArray | None:
    """Return u with ``X'u = 0``, nearly the scores s of the rows in the model without random effects.

    Of many fixed effects, whose scoring steps have left all it takes: ``u = s - WQ (Q'WQ)^-1 Q's``, larger
    scores in the place of those next to nothing. None where they have not, or equal rows were fitted once.

    Returns
    -------
    ndarray, shape (n,), or None
        In the order of the data.
    """
    point, scoring = _NESTED.get(problem, (None, None))
    if point is None or scoring is None or problem.row_origin.equal is not None:
        return None
    size = np.abs(point.rows.d1)
    scores = np.sign(point.rows.d1) * np.maximum(size, LEAST_PULL * size.mean())
    moved = problem.fixed_basis @ _scoring_step(problem, scores, scoring)
    return problem.as_given(scores - scoring.W * moved)


def _data(
    problem: GeneralizedProblem,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, Family, FloatArray]:
    """Return what a generalized linear model is evaluated with."""
    return problem.y, problem.weights, problem.fixed_basis, problem.offset, problem.family, problem.constant


def _moved(problem: GeneralizedProblem, point: GlmPoint, scoring: Scoring) -> GlmPoint:
    """Return where a scoring step leads, halved until the likelihood grows; the point if it never does."""
    data, step = _data(problem), _scoring_step(problem, point.rows.d1, scoring)
    for length in (1.0, 0.5, 0.25, 0.125):
        moved = evaluate_point(*data, point.beta + length * step, point.phi)
        if moved.loglik > point.loglik:
            return moved
    return point


def zero_thetas(problem: GeneralizedProblem) -> tuple[FloatArray, ...]:
    """Return covariance parameters of every term at which all variances are zero."""
    return tuple(
        np.where(term.structure.is_lower_bound(), 0.0, term.structure.start()) for term in problem.terms
    )


def _working_start(problem: GeneralizedProblem) -> GlmPoint | None:
    """Return R's start, one least-squares step from fitted values close to y; None if it is not finite."""
    family, no_phi = problem.family, np.zeros(0)
    eta = family.link.link(family.start_mu(problem.y, problem.weights))
    rows = problem.evaluate(eta, no_phi)
    working = rows.d1 + rows.information * (eta - problem.offset)
    scoring = _scoring(problem, rows)
    gamma = np.zeros(problem.n_fixed) if scoring is None else _scoring_step(problem, working, scoring)
    eta = problem.fixed_basis @ gamma + problem.offset
    rows = problem.evaluate(eta, no_phi)
    loglik = float(rows.loglik.sum())
    return GlmPoint(gamma, no_phi, eta, rows, loglik) if np.isfinite(loglik) else None


def _scoring(problem: GeneralizedProblem, rows: Derivatives) -> Scoring | None:
    """Return the expected information in gamma; None where it is singular."""
    W = np.maximum(rows.information, 0.0)
    largest = float(W.max(initial=0.0))
    if problem.n_fixed and largest > 0.0 and largest - float(W.min()) <= SAME_WEIGHTS * largest:
        # Q'Q = I.
        return Scoring(W, largest * np.eye(problem.n_fixed), math.sqrt(largest) * np.eye(problem.n_fixed))
    information = weighted_gram(problem.fixed_basis, W)
    L, info = dpotrf(information, lower=1)
    return None if info != 0 or not len(L) else Scoring(W, information, L)


def _rough_scoring(problem: GeneralizedProblem, point: GlmPoint) -> Scoring | None:
    """Return ``w I + (v - w) g g'`` for ``Q'WQ``: v along gamma, g its direction, and w elsewhere.

    Weights differ with the linear predictor first of all, and so along gamma; elsewhere the orthonormal
    columns average them. None where that is not positive.
    """
    W, along = np.maximum(point.rows.information, 0.0), point.eta - problem.offset
    square = float(point.beta @ point.beta)
    if not square > 0.0:
        return None
    elsewhere = float(W.mean())
    excess = float(W @ along**2) / square - elsewhere
    information = elsewhere * np.eye(problem.n_fixed)
    information += excess / square * np.multiply.outer(point.beta, point.beta)
    L, info = dpotrf(information, lower=1)
    return None if info != 0 else Scoring(W, information, L)


def _scoring_step(problem: GeneralizedProblem, score: FloatArray, scoring: Scoring) -> FloatArray:
    """Return a Fisher scoring step in gamma for scores of the rows."""
    step, _ = dpotrs(scoring.L, problem.fixed_basis.T @ score, lower=1)
    return np.asarray(step)


def information_by_level(system: PenalizedSystem, k: int, W: FloatArray) -> FloatArray:
    """Return the information about each coefficient of each level of block k, shape (S, q)."""
    columns = [1.0 if column is None else column for column in system.blocks[k].columns]
    return np.stack([product_sums(system.sums[k], W, column, column) for column in columns])


def score_deviations(score: FloatArray, A: FloatArray) -> FloatArray:
    """Return standard deviations of the coefficients from the scores at zero variance, shape (S,).

    There the score of a level has mean square ``A + T^2 A^2``; solved for T^2 over all levels.
    """
    deviations = np.ones(len(A))
    for s, (information, own) in enumerate(zip(A, score, strict=True)):
        squares, total = float(information.dot(information)), float(information.sum())
        if squares > 0.0:
            variance = (float(own.dot(own)) - total) / squares
            deviations[s] = math.sqrt(max(variance, SMALLEST**2 * len(information) / total))
    return deviations


def _term_start(term: RandomTerm, sizes: FloatArray, A: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return theta for deviations `sizes`, and the curvature in the free parameters."""
    structure = term.structure
    if structure.is_unstructured and term.size == 1:
        # Of one coefficient theta is its deviation.
        known = A[0] / (1.0 + sizes[0] ** 2 * A[0])
        return sizes, np.full(1, 4.0 * sizes[0] ** 2 * known.dot(known))
    free = structure.to_free(structure.start()) * structure.scales(sizes)
    theta = structure.from_free(free)
    known = A / (1.0 + sizes[:, None] ** 2 * A)
    metric = 2.0 * known @ (sizes[:, None] ** 2 * known).T
    curvature = np.zeros(structure.n_theta)
    for a in range(term.size):
        for b in range(a + 1):
            unit = np.zeros((term.size, term.size))
            unit[a, b] = 1.0
            derivative = structure.free_pullback(free, structure.pullback(theta, unit))
            curvature += (2.0 if a == b else 1.0) * metric[a, b] * derivative**2
    return theta, np.maximum(curvature, 1e-8 / structure.scales(sizes) ** 2)
