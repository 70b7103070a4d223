"""How far the objective at an optimum is from the likelihood itself: one evaluation with more nodes.

Laplace's approximation is a quadrature of one node, and a value of quadrature is the likelihood only if more
nodes do not change it. The gradient by more nodes at the optimum found, times the inverse Hessian, is how far
their own optimum lies from it. Where the first comparison shows no difference, which is so for nearly every
model, it is the only one; else nodes are added until rules agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.importance_sampling import sampled
from mixedmodels.engines.generalized.nested_quadrature import MOST_NODES as MOST_NESTED_NODES
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Optimum
from mixedmodels.engines.generalized.problem import GeneralizedProblem, unpack_factors
from mixedmodels.engines.generalized.quadrature import check_quadrature
from mixedmodels.engines.generalized.quadrature_grid import (
    LARGEST_PRODUCT_DIMENSION,
    MOST_NODES,
    MOST_POINTS,
    SEQUENCE,
    n_points,
)
from mixedmodels.errors import ControlError, ConvergenceError

# Two rules agree if they would move no estimate apart by more standard errors: less than half of what counts.
SAME_ESTIMATES = 0.2
# Error of -2 log-likelihood that is let pass, and share of what the random effects improve it by that may be
# error where it is more: of the Laplace approximation, which is known to be one, less than the 3.84 of a
# test; of quadrature, which is taken for exact, what no comparison of models turns on, whatever the gain.
LAPLACE_ERROR, QUADRATURE_ERROR = (2.0, 0.1), (0.5, 0.0)
# Deviation of the linear predictor beyond which rules must agree twice in a row: means then jump from 0 to 1
# between nodes, and the error of quadrature changes sign as nodes are added.
WIDE = 2.0
# Nodes at which one comparison will do all the same.
MANY = 25
# Deviation beyond which a rule is compared with many nodes at once: a level's integrand may be flat for a
# long way, and small rules agree with each other on a wrong value.
VERY_WIDE = 5.0
# Largest move of an estimate, in standard errors, at which the approximation still serves: an interval of 95%
# about an estimate that is off by half a standard error covers in 92% of samples.
LARGEST_MOVE = 0.5
# Rules that a model needs whose likelihood is nearly quadratic; where more are needed it may be flat for a
# long way, and a quadratic model knows nothing of what lies beyond.
USUAL_RULES = 2
# Standard errors that chance is given before a sample counts, and the standard error of -2 log-likelihood
# beyond which it says nothing.
CHANCE, MOST_CHANCE = 3.0, 0.5
# Most nodes, and most evaluations of a row for one value, of a search for the likelihood's own optimum.
SEARCH_NODES, SEARCH_EVALUATIONS = SEQUENCE[-1], 2e6
# The next rule tried has at least so many times the nodes: fewer are as wrong in the same way.
MORE = 1.4
# Evaluations of a row beyond which a rule is not tried, a second or so, unless it is only so many times as
# large as the rule of the fit.
MOST_EVALUATIONS, TIMES_THE_FIT = 5e7, 5.0
# The first rule that the Laplace approximation is compared with.
FEWEST_NODES = next(nodes for nodes in SEQUENCE if nodes >= MORE)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Exactness:
    """The objective at an optimum by more nodes than it was found with.

    Attributes
    ----------
    nAGQ : int
        Nodes per dimension.
    objective : float
        -2 log-likelihood by these nodes, at the optimum found with fewer.
    move : float
        How far, in standard errors, these nodes would move an estimate, by a quadratic model.
    is_settled : bool
        Whether the last rules tried agree.
    n_rules : int
        How many rules were tried.
    error : float
        What the objective of the fit is below that of these nodes: at the optimum found, or if it was found
        by quadrature at the optimum that these nodes are expected to have, if that is further off.
    allowed : (float, float)
        Error that is let pass, and share of the gain that is.
    n_draws : int
        Size of the sample where there is no quadrature, of crossed and related effects; else 0. Move and
        error are then what is left of them when chance has had ``CHANCE`` standard errors.
    standard_error : float
        Of the objective by a sample.
    """

    nAGQ: int
    objective: float
    move: float
    is_settled: bool
    n_rules: int
    error: float
    allowed: tuple[float, float]
    n_draws: int = 0
    standard_error: float = 0.0

    @property
    def least(self) -> float:
        """The lowest value that the objective may have, chance taken into account."""
        return self.objective - CHANCE * self.standard_error

    def is_close(self, nested: float) -> bool:
        """Tell whether the optimum found is as good as one of the likelihood itself.

        `nested` is -2 log-likelihood of the model without random effects.
        """
        least, share = self.allowed
        is_small = abs(self.error) <= max(least, share * (nested - self.objective))
        return self.is_settled and self.move <= LARGEST_MOVE and is_small

    @property
    def is_exact(self) -> bool:
        """Whether more nodes change nothing worth saying."""
        return self.is_settled and self.move <= SAME_ESTIMATES and abs(self.error) <= self.allowed[0]

    @property
    def is_doubtful(self) -> bool:
        """Whether so many rules were needed that only a search by more nodes tells where their optimum is."""
        return self.is_settled and self.n_rules > USUAL_RULES


def exactness(
    evaluator: Evaluator,
    optimum: Optimum,
    nested: float,
    known: tuple[float, FloatArray] | None = None,
) -> Exactness | None:
    """Return the objective at an optimum by more nodes; None where no more can be had.

    Crossed and related levels have no quadrature: a sample stands for it where it is cheap. Without variance
    there is nothing to integrate. An optimum that is found to be worse than that without random effects, with
    -2 log-likelihood `nested`, is not looked at further. What the fewest nodes say at the optimum,
    objective and gradient, may be `known`.
    """
    problem, psi = evaluator.problem, optimum.psi
    if not any(T.any() for T in unpack_factors(problem, psi)[1]):
        return None
    if not has_quadrature(problem):
        return _by_sample(evaluator, optimum)
    found, value, last, n_agreeing = None, optimum.objective, None, 0
    allowed = LAPLACE_ERROR if evaluator.nAGQ <= 1 else QUADRATURE_ERROR
    widest = float(np.abs(optimum.found.x[: problem.n_theta]).max())
    # Under a link with two branches there may be several modes, of which few nodes see one.
    has_branches = not problem.family.link.is_monotone
    needed = 2 if has_branches or (widest > WIDE and evaluator.nAGQ < MANY) else 1
    least = SEQUENCE[-1] if has_branches or widest > VERY_WIDE else 0
    spread = np.sqrt(2.0 * np.maximum(np.diagonal(optimum.inverse_hessian), 0.0))
    for tried, nAGQ in enumerate(more_nodes(problem, evaluator.nAGQ, least), start=1):
        try:
            following, slope = (
                evaluator.with_nodes(nAGQ)(psi) if nAGQ > FEWEST_NODES or known is None else known
            )
        except (np.linalg.LinAlgError, ConvergenceError):
            break
        step = optimum.inverse_hessian @ slope
        move, error = _largest(step, spread), following - optimum.objective
        apart = move if last is None else _largest(step - last, spread)
        agree = apart <= SAME_ESTIMATES and abs(following - value) <= allowed[0]
        n_agreeing = n_agreeing + 1 if agree else 0
        if evaluator.nAGQ > 1:
            # What is taken for exact must have the right optimum, which lies lower still.
            error = min(error, error - 0.5 * float(slope @ step), key=lambda value: -abs(value))
        found = Exactness(nAGQ, following, move, n_agreeing >= needed, tried, error, allowed)
        if found.is_settled or following > nested + LAPLACE_ERROR[0]:
            return found
        value, last = following, step
    return found if found is None or not n_agreeing else replace(found, is_settled=True)


def _by_sample(evaluator: Evaluator, optimum: Optimum) -> Exactness | None:
    """Return the objective by importance sampling; None where that costs too much or says nothing."""
    mode = evaluator.mode_at(optimum.psi)
    sample = sampled(evaluator.problem, mode, optimum.psi, optimum.inverse_hessian)
    if sample is None or sample.standard_error > MOST_CHANCE:
        return None
    spread = np.sqrt(2.0 * np.maximum(np.diagonal(optimum.inverse_hessian), 0.0))
    surely = np.maximum(np.abs(sample.steps) - CHANCE * sample.step_errors, 0.0)
    error = sample.objective - optimum.objective
    error = float(np.sign(error)) * max(abs(error) - CHANCE * sample.standard_error, 0.0)
    move = _largest(surely, spread)
    return Exactness(
        1, sample.objective, move, True, 1, error, LAPLACE_ERROR, sample.n_draws, sample.standard_error
    )


def has_quadrature(problem: GeneralizedProblem) -> bool:
    """Tell whether the effects fall into independent groups."""
    try:
        check_quadrature(problem)
    except ControlError:
        return False
    return True


def nodes_to_search_with(problem: GeneralizedProblem, nAGQ: int, found: Exactness) -> int | None:
    """Return with how many nodes to search for the likelihood's own optimum; None if that is too much.

    Nested factors have too many nodes, whatever their rows.
    """
    nodes = min(found.nAGQ, SEARCH_NODES)
    sizes = [block.size for block in problem.system.blocks]
    too_much = len(sizes) > 1 or _points(nodes, sizes) * len(problem.y) > SEARCH_EVALUATIONS
    return None if too_much or nodes <= nAGQ else nodes


def with_search(found: Exactness, optimum: Optimum, better: Optimum) -> Exactness:
    """Return the move that a search by more nodes has made."""
    spread = np.sqrt(2.0 * np.maximum(np.diagonal(better.inverse_hessian), 0.0))
    return replace(found, move=max(found.move, _largest(better.psi - optimum.psi, spread)))


def more_nodes(problem: GeneralizedProblem, nAGQ: int, least: int = 0) -> Iterator[int]:
    """Yield larger and larger numbers of nodes that the model can be evaluated with, none below `least`."""
    sizes, n = [block.size for block in problem.system.blocks], len(problem.y)
    if max(sizes) > LARGEST_PRODUCT_DIMENSION:
        return
    most = max(MOST_EVALUATIONS, TIMES_THE_FIT * _points(nAGQ, sizes) * n)
    most = min(most, MOST_NESTED_NODES) if len(sizes) > 1 else most
    if _points(least, sizes) * n > most:
        least = 0
    for nodes in _following(nAGQ):
        if nodes < least:
            continue
        points = _points(nodes, sizes)
        if points > MOST_POINTS or points * n > most:
            return
        yield nodes


def _points(nAGQ: int, sizes: list[int]) -> float:
    """Return how often a row is evaluated."""
    return math.prod(float(n_points(nAGQ, size)) for size in sizes)


def _following(nAGQ: int) -> Iterator[int]:
    """Yield numbers of nodes beyond `nAGQ`; one below it where no more can be had."""
    if nAGQ * MORE > MOST_NODES:
        yield int(nAGQ / MORE)
    for nodes in SEQUENCE:
        if nodes >= MORE * nAGQ:
            yield nodes
    nodes = int(MORE * max(nAGQ, SEQUENCE[-1]))
    while nodes <= MOST_NODES:
        yield nodes
        nodes = int(MORE * nodes)


def _largest(move: FloatArray, spread: FloatArray) -> float:
    """Return the largest move in standard errors, parameters at the end of their range left out."""
    free = spread > 0.0
    return float(np.abs(move[free] / spread[free]).max(initial=0.0))
