"""Random small mixed models for property tests, and the same quantities from plain dense algebra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.unstructured import Unstructured
from mixedmodels.formula.design.design import RandomTerm

#: Grouping factors by name; their codes are made in :func:`_codes`.
LAYOUTS = [
    ("pupil",),
    ("pupil", "class"),
    ("pupil", "class", "school"),
    ("pupil", "item"),
    ("pupil", "class", "item"),
    ("pupil", "item", "rater"),
    ("pupil", "pupil"),
    ("pupil", "pupil", "item"),
]


@dataclass(frozen=True)
class Model:
    """Arrays of one model and a theta."""

    y: FloatArray
    X: FloatArray
    terms: tuple[RandomTerm, ...]
    weights: FloatArray | None
    theta: FloatArray
    REML: bool


def random_term(Z: FloatArray, codes: FloatArray, group: str, **options: object) -> RandomTerm:
    """Return an unstructured term with levels numbered as they occur."""
    levels, numbered = np.unique(codes, return_inverse=True)
    columns = tuple(f"x{i}" for i in range(Z.shape[1]))
    expression = f"{' + '.join(columns)} | {group}"
    structure = Unstructured(Z.shape[1])
    names = tuple(map(str, levels))
    return RandomTerm(
        group, group, expression, columns, Z, numbered.astype(np.int32), names, structure, **options
    )


def _codes(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
    pupil = rng.integers(0, 14, n)
    return {
        "pupil": pupil,
        "class": pupil // 3,
        "school": pupil // 6,
        "item": rng.integers(0, 5, n),
        "rater": rng.integers(0, 3, n),
    }


@st.composite
def models(draw: st.DrawFn, *, singular: bool = False) -> Model:
    """Draw a model: 1-3 factors, nested or crossed, unbalanced, 1-4 coefficients, weights, REML or ML."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(45, 90))
    codes = _codes(rng, n)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 3)) + 1.0])
    terms = []
    for group in draw(st.sampled_from(LAYOUTS)):
        terms.append(random_term(x[:, : draw(st.integers(1, 4))], codes[group], group))
    theta = rng.normal(size=sum(term.structure.n_theta for term in terms))
    if singular:
        bounds = np.array([flag for term in terms for flag in term.structure.is_lower_bound()])
        zeroed = bounds & (rng.random(len(theta)) < 0.6)
        theta[zeroed] = draw(st.sampled_from([0.0, 1e-9, 1e-4]))
    weights = rng.uniform(0.3, 3.0, n) if draw(st.booleans()) else None
    X = x[:, : draw(st.integers(1, 3))]
    y = rng.normal(size=n) + 0.3 * codes["pupil"] + 50.0
    return Model(y, X, tuple(terms), weights, theta, draw(st.booleans()))


def dense_Z(model: Model) -> FloatArray:
    """Return Z Lambda with one column for each spherical random effect, terms in order, levels outermost."""
    columns, start = [], 0
    for term in model.terms:
        T = term.structure.factor(model.theta[start : start + term.structure.n_theta])
        start += term.structure.n_theta
        indicator = (term.codes[:, None] == np.arange(term.n_levels)).astype(float)
        columns.append((indicator[:, :, None] * (term.Z @ T)[:, None, :]).reshape(len(model.y), -1))
    return np.hstack(columns)


def marginal_objective(model: Model, sigma: float | None = None) -> float:
    """Return the objective from the n x n marginal covariance of y, by the textbook formula."""
    n, p = model.X.shape
    w = np.ones(n) if model.weights is None else model.weights
    ZL = dense_Z(model)
    L = np.linalg.cholesky(np.diag(1.0 / w) + ZL @ ZL.T)
    y, X = np.linalg.solve(L, model.y), np.linalg.solve(L, model.X)
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    rss, df = float(residual @ residual), n - p if model.REML else n
    s2 = rss / df if sigma is None else sigma**2
    value = 2.0 * np.log(np.diag(L)).sum() + df * np.log(2.0 * np.pi * s2) + rss / s2
    return float(value + np.linalg.slogdet(X.T @ X)[1]) if model.REML else float(value)
