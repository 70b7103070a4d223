"""Small generalized models for the tests, and their likelihood by dense algebra: an independent route."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.unstructured import Unstructured
from mixedmodels.engines.generalized.problem import EffectsSystem, GeneralizedProblem, natural_to_psi, unpack
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.families.family import Family
from mixedmodels.formula.design.design import RandomTerm

STRUCTURES = (
    "scalar",
    "vector",
    "nested",
    "crossed",
    "crossed and nested",
    "one level a row",
    "two terms",
    "related levels",
)


def without_loops(problem: GeneralizedProblem) -> GeneralizedProblem:
    """Return a problem whose penalized system has no compiled loops."""
    effects = EffectsSystem(problem.terms)
    effects.__dict__["system"] = replace(problem.system, scalar=None)
    return replace(problem, effects=effects)


def random_term(
    name: str, codes: FloatArray, Z: FloatArray | None = None, relationship: FloatArray | None = None
) -> RandomTerm:
    """Return a term with an unstructured covariance; by default a random intercept."""
    levels, numbers = np.unique(codes, return_inverse=True)
    Z = np.ones((len(codes), 1)) if Z is None else Z
    columns = tuple(f"z{k}" for k in range(Z.shape[1]))
    return RandomTerm(
        name, name, f"1 | {name}", columns, Z, numbers.astype(np.int32), tuple(map(str, levels)),
        Unstructured(Z.shape[1]), relationship,
    )  # fmt: skip


def simulated_response(family: Family, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a response inside the family's range, near the means the tests use."""
    n = len(weights)
    if family.name in ("binomial", "betabinomial"):
        return rng.binomial(weights.astype(int), 0.4) / weights
    if family.name == "beta":
        return rng.beta(2.0, 2.0, n)
    if family.name in ("Gamma", "inverse.gaussian"):
        return rng.gamma(4.0, 0.4, n)
    if family.name == "gaussian":
        return 1.6 + 0.3 * rng.normal(size=n)
    return rng.poisson(2.0, n).astype(float) + (1.0 if "truncated" in family.name else 0.0)


def small_model(
    structure: str, family: Family, seed: int = 1, n: int = 60, observed: bool = True
) -> GeneralizedProblem:
    """Return a model of about sixty rows whose random effects have the given structure."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    school = rng.integers(0, 4, n)
    pupil = school * 10 + rng.integers(0, 3, n)
    other = rng.integers(0, 5, n)
    line = np.column_stack([np.ones(n), z])
    terms = {
        "scalar": lambda: [random_term("pupil", pupil)],
        "vector": lambda: [random_term("pupil", pupil, line)],
        "nested": lambda: [random_term("pupil", pupil, line), random_term("school", school)],
        "crossed": lambda: [random_term("pupil", pupil, line), random_term("other", other)],
        "crossed and nested": lambda: [
            random_term("pupil", pupil),
            random_term("other", other, line),
            random_term("school", school),
        ],
        "one level a row": lambda: [random_term("row", np.arange(n)), random_term("school", school)],
        "two terms": lambda: [random_term("pupil", pupil), random_term("pupil", pupil, z[:, None])],
        "related levels": lambda: [random_term("other", other, line, _relationship(5, rng))],
    }[structure]()
    weights = rng.integers(1, 5, n).astype(float)
    if family.name == "beta":
        weights = np.ones(n)
    y = simulated_response(family, weights, rng)
    return generalized_problem(
        y, weights, np.column_stack([np.ones(n), x]), terms, 0.1 * rng.normal(size=n), family, observed
    )


def _relationship(q: int, rng: np.random.Generator) -> FloatArray:
    A = rng.normal(size=(q, q))
    return np.linalg.cholesky(A @ A.T / q + np.eye(q))


def small_parameters(problem: GeneralizedProblem, seed: int = 2, zero: bool = False) -> FloatArray:
    """Return the optimiser's vector of moderate parameters, the first term's theta zero if asked."""
    rng = np.random.default_rng(seed)
    thetas = [0.3 * rng.normal(size=term.structure.n_theta) + 0.2 for term in problem.terms]
    if zero:
        thetas[0] = np.zeros_like(thetas[0])
    middle = float(problem.family.link.link(np.array([0.4 if problem.y.max() <= 1.0 else 1.7]))[0])
    beta = np.concatenate([[middle], 0.05 * rng.normal(size=problem.n_fixed - 1)])
    phi = np.full(problem.n_phi, 0.4)
    return natural_to_psi(problem, np.concatenate([*thetas, beta, phi]))


def dense_spherical_matrix(problem: GeneralizedProblem, psi: FloatArray) -> FloatArray:
    """Return ``Z Lambda`` as a dense matrix, columns in the order of the flat vector u."""
    n, parts = len(problem.y), []
    for block, by, T in zip(
        problem.system.blocks, problem.system.sums, unpack(problem, psi).factors, strict=True
    ):
        Z = np.zeros((n, block.size, block.n_levels))
        for s, column in enumerate(block.columns):
            Z[np.arange(n), s, by.index] = 1.0 if column is None else column
        if block.relationship is not None:
            Z = Z @ block.relationship
        parts.append(np.einsum("nsq,st->ntq", Z, T).reshape(n, -1))
    return np.hstack(parts)


def central_differences(function: object, psi: FloatArray, step: float = 1e-5) -> FloatArray:
    """Return the gradient of a function of the optimiser's vector by central differences."""
    shifts = step * np.eye(len(psi))
    return np.array([(function(psi + s) - function(psi - s)) / (2.0 * step) for s in shifts])
