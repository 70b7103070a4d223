"""Fits whose optimum lies on the boundary of a structure: perfect correlation, zero deviation."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.formula.design.model_terms import model_terms

# The factor stays 1e-12 of the interval inside its bounds; the optimiser ends where the objective changes
# by less than 1e-9, which on a slope of a few units leaves rho this near to its bound.
AT_BOUND = 1e-4
# The engine and dense algebra agree to rounding, relative to objectives of a few hundred.
DENSE = 1e-7

FORMULA = "y ~ f + {}(0 + f | g, hom = FALSE)"


def simulated(effects, seed=4):
    """Return 25 groups of six rows whose effects have the given pattern."""
    rng = np.random.default_rng(seed)
    b = effects(rng.normal(size=(25, 3)))
    f, g = np.tile(np.repeat(np.arange(3), 2), 25), np.repeat(np.arange(25), 6)
    return pd.DataFrame({"y": b[g, f] + rng.normal(size=150), "f": np.array(list("abc"))[f], "g": g})


def dense_deviance(formula, data, theta):
    """Return -2 log-likelihood (ML) at theta, by dense algebra."""
    pieces = model_terms(formula, data)
    ZL = (pieces.Z @ pieces.lambda_at(theta)).toarray()
    V, X, y = np.eye(len(data)) + ZL @ ZL.T, pieces.X.to_numpy(), pieces.y
    Vi = np.linalg.inv(V)
    residual = y - X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi @ y)
    n = len(y)
    return np.linalg.slogdet(V)[1] + n * (1 + np.log(2 * np.pi * (residual @ Vi @ residual) / n))


@pytest.mark.parametrize("name", ["cs", "ar1"])
def test_perfect_correlation_is_reached(name):
    data, formula = simulated(lambda b: b[:, :1] * [1.0, 2.0, 3.0]), FORMULA.format(name)
    model = mm.lmer(formula, data, REML=False)
    theta = np.asarray(model.theta())
    assert theta[-1] == pytest.approx(1.0, abs=AT_BOUND)
    deviance = -2 * float(model.loglik())
    assert deviance == pytest.approx(dense_deviance(formula, data, theta), rel=DENSE)
    assert deviance < dense_deviance(formula, data, theta * [1, 1, 1, 0.99])


def test_the_least_correlation_is_reached():
    data, formula = simulated(lambda b: b * [1.0, 0.0, 1.0], seed=1), FORMULA.format("cs")
    model = mm.lmer(formula, data, REML=False)
    theta = np.asarray(model.theta())
    assert theta[-1] == pytest.approx(-0.5, abs=AT_BOUND)
    deviance = -2 * float(model.loglik())
    assert deviance == pytest.approx(dense_deviance(formula, data, theta), rel=DENSE)
    assert deviance < dense_deviance(formula, data, theta * [1, 1, 1, 0.95])


def test_a_zero_deviation_is_reached():
    data, formula = simulated(lambda b: b * [1.0, 0.0, 1.0], seed=0), FORMULA.format("cs")
    model = mm.lmer(formula, data, REML=False)
    theta = np.asarray(model.theta())
    assert theta[1] == pytest.approx(0.0, abs=AT_BOUND)
    deviance = -2 * float(model.loglik())
    assert deviance == pytest.approx(dense_deviance(formula, data, theta), rel=DENSE)
    assert deviance < dense_deviance(formula, data, theta + np.array([0, 0.05, 0, 0]))
