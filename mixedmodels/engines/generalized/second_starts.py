"""When the optimum of a generalized model may not be the lowest, and where else to start.

With a dispersion the likelihood can have an optimum in which single rows vary much and levels little, and
another the other way round. Without one second optima are found beside a vanished deviation, and where
deviations are large: levels whose rows all agree then tell nothing of their effect but its sign, the
objective falls off on either side of a long flat valley, and each way of sharing the deviations out (which
term takes all of it, which correlation) can have a bottom of its own. One deviation has nothing to share.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.problem import GeneralizedProblem, pack, unpack_factors
from mixedmodels.engines.generalized.start import (
    free_with_little_variation,
    information_by_level,
    reproducing_effects,
    row_effects,
    starting_values,
)
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.factorization.weighted.penalized_system import sum_by_level
from mixedmodels.families.modelled_dispersion import base_of
from mixedmodels.families.zero_part import WithZeroPart
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import boundaries, column_scales

# Deviation of an effect, in units of its column's size on the scale of the link, that counts as large; and as
# vanished.
LARGE, VANISHED = 3.0, 0.05
# Deviations that other searches start from.
FAR, FARTHER, FARTHEST = 3.0, 10.0, 30.0
# Deviations to start from where the search was led to a pole of the approximation: it has none near zero.
NEAR = (0.3, 0.1)
# Rows up to which a look costs so little that there may be many.
FEW_ROWS = 2000
# Change of a covariance parameter, relative to its own and the typical size, that stays in a basin.
SAME_BASIN = 0.25
# Probability of a zero of its own that is next to none.
LITTLE_INFLATION = 0.01
# Least dispersion to start from, relative to that without random effects.
SMALLEST_SHARE = 1e-4


def other_starts(
    problem: GeneralizedProblem, psi: FloatArray, scale: FloatArray, is_optimum: bool = True
) -> list[FloatArray]:
    """Return the optimiser's vectors to start other searches from, none where one optimum is all there is.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    psi : ndarray, shape (m,)
        The optimum found.
    scale : ndarray, shape (m,)
        Typical sizes of the optimiser's parameters.
    is_optimum : bool
        Whether the search has ended at an optimum that the likelihood can have.
    """
    n_terms, size = len(problem.terms), _sizes(problem, psi, scale)
    starts: list[FloatArray] = [] if is_optimum else _near(problem)
    is_large = size.max(initial=0.0) > LARGE and problem.n_theta > 1
    if problem.family.has_dispersion and row_effects(problem) is None:
        by_levels = start_from_levels(problem)
        phi = problem.family.phi_from_free(by_levels[problem.n_theta + problem.n_fixed :])
        far = [np.full(n_terms, deviation) for deviation in (FAR, FARTHEST)]
        starts += [by_levels, *(start_far(problem, deviations, phi) for deviations in far)]
        is_large = is_large and n_terms > 1
    elif not is_optimum or (size.min(initial=1.0) < VANISHED and problem.n_theta > 1):
        starts += _given_to_levels(problem) if is_optimum else []
        # The best of those near zero is tried before these, the others after: looks have a budget.
        starts[1:1] = [start_far(problem, deviations) for deviations in _all_far(problem, FAR)]
    if is_large:
        starts += [start_far(problem, deviations) for deviations in _all_far(problem, FARTHER)]
        if n_terms > 1:
            starts += [start_far(problem, deviations) for deviations in _one_far(n_terms)]
        starts += _correlated(problem, FARTHER)
    return starts + _uninflated(problem, psi)


def _sizes(problem: GeneralizedProblem, psi: FloatArray, scale: FloatArray) -> FloatArray:
    """Return the deviations, given the effects before in a term, in units of their typical sizes."""
    theta = np.concatenate(unpack_factors(problem, psi)[0])
    return np.asarray((np.abs(theta) / scale[: problem.n_theta])[boundaries(problem.terms)])


def has_vanished(problem: GeneralizedProblem, psi: FloatArray, scale: FloatArray) -> bool:
    """Tell whether some deviation is as good as zero."""
    return bool(_sizes(problem, psi, scale).min(initial=1.0) < VANISHED)


def exchanged_starts(problem: GeneralizedProblem, psi: FloatArray) -> list[FloatArray]:
    """Return starts at which a term without variation has that of another, which has none at all.

    An intercept and the slope of a predictor far from zero describe nearly the same, as do nested factors:
    there may be an optimum with either. Zeros stay zeros in a search, which so stays clear of poles beside
    them; whether the optimum that it leads to is a saddle is asked of every optimum.
    """
    if len(problem.y) > FEW_ROWS:
        return []
    thetas = unpack_factors(problem, psi)[0]
    sizes = np.array(
        [
            (np.linalg.norm(term.structure.factor(theta), axis=1) / column_scales(term)).max()
            for term, theta in zip(problem.terms, thetas, strict=True)
        ]
    )
    starts = []
    for k in np.flatnonzero(sizes < VANISHED):
        for j in np.flatnonzero(sizes >= VANISHED):
            exchanged = list(thetas)
            exchanged[k] = _theta_of_sizes(problem.terms[k], sizes[j] * column_scales(problem.terms[k]))
            exchanged[j] = np.zeros_like(thetas[j])
            free = [
                term.structure.to_free(theta) for term, theta in zip(problem.terms, exchanged, strict=True)
            ]
            starts.append(np.concatenate([*free, psi[problem.n_theta :]]))
    return starts


def _given_to_levels(problem: GeneralizedProblem) -> list[FloatArray]:
    """Return the start at which levels have the variation that a parameter of the family describes.

    With few rows a level its effects can reproduce them all, and there may be an optimum where they do.
    """
    if not problem.n_phi or reproducing_effects(problem) is not None or len(problem.y) > FEW_ROWS:
        return []
    k = problem.n_theta + problem.n_fixed
    start, mu = (
        start_from_levels(problem),
        problem.family.link.inverse(problem.fixed_basis @ starting_values(problem).gamma + problem.offset),
    )
    start[k] = free_with_little_variation(problem, mu, start[k:])[0]
    return [start]


def _uninflated(problem: GeneralizedProblem, psi: FloatArray) -> list[FloatArray]:
    """Return the starts without zero inflation and with levels far apart, unless there is next to none of it.

    Zeros may come from inflation, from overdispersion or from levels of small mean, and there may be an
    optimum with each: that of the smaller model must not be missed.
    """
    family, k = problem.family, problem.n_theta + problem.n_fixed
    counts = base_of(family)
    if not isinstance(counts, WithZeroPart) or counts.part != "inflated":
        return []
    if family.phi_from_free(psi[k:])[-1] < LITTLE_INFLATION:
        return []
    values = starting_values(problem)
    mu = family.link.inverse(problem.fixed_basis @ values.gamma + problem.offset)
    phi = np.append(family.start_phi(problem.y, mu, problem.weights)[:-1], LITTLE_INFLATION)
    by_levels = start_far(problem, np.full(len(problem.terms), FARTHER))
    return [pack(problem, values.thetas, values.gamma, phi), by_levels]


def _all_far(problem: GeneralizedProblem, usual: float) -> list[FloatArray]:
    """Return deviations all alike: the usual ones, and others where searches cost little."""
    others = [size for size in (FAR, FARTHER, FARTHEST) if size != usual]
    sizes = [usual, *others] if len(problem.y) <= FEW_ROWS else [usual]
    return [np.full(len(problem.terms), size) for size in sizes]


def _near(problem: GeneralizedProblem) -> list[FloatArray]:
    """Return starts with small deviations, first those of correlated effects.

    Effects that follow from each other have fewer dimensions in which the approximation can have a pole.
    """
    plain = [start_far(problem, np.full(len(problem.terms), deviation)) for deviation in NEAR]
    return [start for deviation in NEAR for start in _correlated(problem, deviation)] + plain


def _correlated(problem: GeneralizedProblem, deviation: float) -> list[FloatArray]:
    """Return starts with given deviations whose effects are strongly correlated, of either sign.

    Only where searches cost little, and a term has correlations.
    """
    if len(problem.y) > FEW_ROWS or all(term.size == 1 for term in problem.terms):
        return []
    independent = start_far(problem, np.full(len(problem.terms), deviation))
    thetas = unpack_factors(problem, independent)[0]
    return [
        np.concatenate(
            [
                *(_turned(term, theta, sign) for term, theta in zip(problem.terms, thetas, strict=True)),
                independent[problem.n_theta :],
            ]
        )
        for sign in (1.0, -1.0)
    ]


def _turned(term: RandomTerm, theta: FloatArray, sign: float) -> FloatArray:
    """Return free coordinates with every off-diagonal element of T as large as its row's diagonal one."""
    if not term.structure.is_unstructured:
        return term.structure.to_free(theta)
    T = term.structure.factor(theta)
    turned = np.tril(sign * np.diagonal(T)[:, None] * np.ones_like(T), -1) + np.diag(np.diagonal(T))
    return term.structure.to_free(term.structure.pullback(theta, turned))


def is_same_basin(problem: GeneralizedProblem, scale: FloatArray, psi: FloatArray, other: FloatArray) -> bool:
    """Tell whether the covariance parameters of two ends of a search are nearly the same, up to signs."""
    first, second = (_canonical(problem, vector) for vector in (psi, other))
    size = scale[: problem.n_theta] + np.abs(first)
    return bool(np.all(np.abs(first - second) <= SAME_BASIN * size))


def _canonical(problem: GeneralizedProblem, psi: FloatArray) -> FloatArray:
    """Return the canonical covariance parameters."""
    thetas = unpack_factors(problem, psi)[0]
    return np.concatenate(
        [term.structure.canonical(theta) for term, theta in zip(problem.terms, thetas, strict=True)]
    )


def _one_far(n_terms: int) -> FloatArray:
    """Return deviations with those of one term far larger than the others, a row for each term."""
    return np.asarray(1.0 + (FARTHEST - 1.0) * np.eye(n_terms))


def start_far(
    problem: GeneralizedProblem, deviations: FloatArray, phi: FloatArray | None = None
) -> FloatArray:
    """Return a start with given deviations of the effects of each term, in units of a column's size."""
    values, thetas = starting_values(problem), []
    for term, deviation in zip(problem.terms, deviations, strict=True):
        thetas.append(_theta_of_sizes(term, deviation * column_scales(term)))
    return pack(problem, thetas, values.gamma, values.phi if phi is None else phi)


def start_from_levels(problem: GeneralizedProblem) -> FloatArray:
    """Return a start with the deviations of the levels' own coefficients, and the dispersion they leave.

    The coefficients are those of a regression of the transformed response, one block after the other.
    """
    plain = starting_values(problem)
    eta, W = _transformed(problem)
    if not W.any():
        return pack(problem, plain.thetas, plain.gamma, plain.phi)
    root, left = np.sqrt(W), eta - problem.offset
    gamma = np.asarray(
        np.linalg.lstsq(problem.fixed_basis * root[:, None], left * root, rcond=None)[0], dtype=np.float64
    )
    left = left - problem.fixed_basis @ gamma
    thetas: dict[int, FloatArray] = {}
    for b, block in enumerate(problem.system.blocks):
        A = information_by_level(problem.system, b, W)
        own = np.divide(sum_by_level(problem.system, b, W * left), A, out=np.zeros_like(A), where=A > 0.0)
        sizes = np.sqrt(np.einsum("sl,sl->s", own, own) / block.n_levels)
        for k, place in term_slices(block):
            thetas[k] = _theta_of_sizes(problem.terms[k], sizes[place])
        first = block.columns[0]
        left = left - own[0][block.codes] * (1.0 if first is None else first)
    mu = problem.family.link.inverse(eta - np.where(W > 0.0, left, 0.0))
    phi = np.asarray(
        np.maximum(problem.family.start_phi(problem.y, mu, W), SMALLEST_SHARE * plain.phi), dtype=np.float64
    )
    return pack(problem, [thetas[k] for k in range(len(problem.terms))], gamma, phi)


def _transformed(problem: GeneralizedProblem) -> tuple[FloatArray, FloatArray]:
    """Return the response on the scale of the link, and weights that are zero where it has no value there."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        eta = np.asarray(problem.family.link.link(problem.y))
    finite = np.isfinite(eta)
    return np.where(finite, eta, problem.offset), np.where(finite, problem.weights, 0.0)


def _theta_of_sizes(term: RandomTerm, sizes: FloatArray) -> FloatArray:
    """Return theta of given deviations, none of them vanished."""
    structure, typical = term.structure, column_scales(term)
    sizes = np.clip(sizes, VANISHED * typical, FARTHEST * typical)
    return structure.from_free(structure.to_free(structure.start()) * structure.scales(sizes))
