"""A structure of the user's own: exponential decay of correlation with distance.

This is all it takes: one small class with the methods of `CovarianceStructure`. Put it in place of a
term's structure and every engine works with it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mixedmodels.covariance import CovarianceStructure
from mixedmodels.formula import build_design

# Central differences of step 1e-6 of a function with values of order one.
DIFFERENCE_TOLERANCE = 1e-7


@dataclass(frozen=True)
class ExponentialDecay:
    """Coefficients at places with distances D: Cov = sd^2 exp(-D / range); theta = (sd, range)."""

    distances: np.ndarray
    name: str = "exp"
    n_theta: int = 2
    is_unstructured: bool = False

    @property
    def size(self):
        return len(self.distances)

    def start(self):
        return np.array([1.0, self.distances.mean()])

    def correlation(self, theta):
        return np.exp(-self.distances / theta[1])

    def factor(self, theta):
        return theta[0] * np.linalg.cholesky(self.correlation(theta))

    def pullback(self, theta, dT):
        R = np.linalg.cholesky(self.correlation(theta))
        dC = self.correlation(theta) * self.distances / theta[1] ** 2
        # dR = R Phi(R^-1 dC R^-T), Phi keeping the lower triangle and half the diagonal
        inner = np.linalg.solve(R, np.linalg.solve(R, dC).T)
        dR = R @ (np.tril(inner) - np.diag(np.diag(inner)) / 2)
        return np.array([np.sum(np.tril(dT) * R), theta[0] * np.sum(np.tril(dT) * dR)])

    def to_free(self, theta):
        return np.array([theta[0], np.log(theta[1])])

    def from_free(self, free):
        return np.array([free[0], np.exp(free[1])])

    def free_pullback(self, free, dtheta):
        return dtheta * [1.0, np.exp(free[1])]

    def scales(self, column_scale):
        return np.array([np.exp(np.mean(np.log(column_scale))), 1.0])

    def canonical(self, theta):
        return np.abs(theta)

    def is_lower_bound(self):
        return (True, False)

    def places(self):
        columns, rows = np.triu_indices(self.size)
        return rows, columns

    def parameter_at(self):
        return np.full(len(self.places()[0]), -1)

    def bounds_reached(self, theta):
        return ()

    def parameter_names(self, columns):
        return ("sd", "range")


PLACES = np.array([0.0, 1.0, 2.5, 4.0])


@pytest.fixture
def structure():
    return ExponentialDecay(np.abs(np.subtract.outer(PLACES, PLACES)))


def test_it_is_a_covariance_structure(structure):
    methods = [name for name in vars(CovarianceStructure) if not name.startswith("_")]
    assert all(hasattr(structure, name) for name in methods)


def test_its_derivatives_are_exact(structure):
    theta, dT = np.array([1.3, 2.0]), np.random.default_rng(0).normal(size=(4, 4))
    steps = 1e-6 * np.eye(2)
    expected = [
        np.sum(np.tril(dT) * (structure.factor(theta + s) - structure.factor(theta - s))) / 2e-6
        for s in steps
    ]
    np.testing.assert_allclose(structure.pullback(theta, dT), expected, atol=DIFFERENCE_TOLERANCE)


def test_it_fits_into_a_design(structure):
    rng = np.random.default_rng(1)
    data = {"y": rng.normal(size=80), "place": np.tile([0, 1, 2, 3], 20), "g": np.repeat(np.arange(10), 8)}
    design = build_design("y ~ 1 + (0 + factor(place) | g)", data)
    term = replace(design.random[0], structure=structure)
    assert term.structure.factor(term.structure.start()).shape == (term.size, term.size)


def test_it_is_fitted_like_any_other(structure):
    """Simulate with known decay and recover the maximum of the dense likelihood."""
    linear = pytest.importorskip("mixedmodels.engines.linear.fit")
    from mixedmodels.engines.linear.problem import linear_problem

    rng = np.random.default_rng(2)
    g, place = np.repeat(np.arange(40), 8), np.tile([0, 1, 2, 3], 80)
    b = rng.normal(size=(40, 4)) @ structure.factor(np.array([2.0, 2.0])).T
    data = {"y": b[g, place] + rng.normal(size=320), "place": place, "g": g}
    design = build_design("y ~ 1 + (0 + factor(place) | g)", data)
    term = replace(design.random[0], structure=structure)
    problem = linear_problem(design.response.values, design.X, (term,), None, None)
    fit = linear.fit_linear(problem, REML=False)

    def dense(theta):
        T = structure.factor(theta)
        V = np.eye(320) + (g[:, None] == g) * (term.Z @ T @ T.T @ term.Z.T)
        Vi = np.linalg.inv(V)
        X, y = design.X, design.response.values
        residual = y - X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi @ y)
        n = len(y)
        return np.linalg.slogdet(V)[1] + n * (1 + np.log(2 * np.pi * (residual @ Vi @ residual) / n))

    best = dense(fit.theta)
    # The optimiser's tolerance on the objective is 1e-8 or less; the neighbours are worse by far more.
    for shift in ([0.03, 0], [-0.03, 0], [0, 0.1], [0, -0.1]):
        assert dense(fit.theta + shift) > best + 1e-6
