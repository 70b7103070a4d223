"""Maxima at the end of a link's range, against closed forms and a general optimiser."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.families import binomial, poisson

CELL = np.repeat([0, 1, 2], 12)
X = np.column_stack([np.ones(36), CELL == 1, CELL == 2]).astype(float)


@pytest.mark.parametrize("link", ["log", "identity"])
def test_cell_of_successes_has_probability_one(link):
    y = np.where(CELL == 1, 1.0, np.resize([0.0, 1.0, 0.0], 36))
    fit = fit_glm(y, np.ones(36), X, None, binomial(link))
    np.testing.assert_allclose([fit.mu[k == CELL].mean() for k in range(3)], [1 / 3, 1.0, 1 / 3], atol=1e-8)
    assert fit.convergence.verdict == "boundary"
    assert "12 rows are 1" in fit.convergence.reasons[0]


def test_cell_of_zero_counts_has_mean_zero():
    y = np.where(CELL == 2, 0.0, np.resize([3.0, 0.0, 2.0, 1.0], 36))
    fit = fit_glm(y, np.ones(36), X, None, poisson("identity"))
    np.testing.assert_allclose(fit.beta, [1.5, 0.0, -1.5], atol=1e-8)
    assert fit.convergence.verdict == "boundary"


@pytest.mark.parametrize("seed", range(6))
def test_slope_that_one_row_stops(seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.0, 1.0, 40)
    y = np.where(x < 0.5, 0.0, rng.poisson(8.0 * np.maximum(x - 0.4, 0.0))).astype(float)
    design = np.column_stack([np.ones(40), x])
    fit = fit_glm(y, np.ones(40), design, None, poisson("identity"))
    found = minimize(
        lambda beta: float(np.sum(design @ beta - y * np.log(np.maximum(design @ beta, 1e-300)))),
        np.array([0.5, 1.0]),
        jac=lambda beta: design.T @ (1.0 - y / np.maximum(design @ beta, 1e-300)),
        constraints={"type": "ineq", "fun": lambda beta: design @ beta, "jac": lambda beta: design},
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    np.testing.assert_allclose(fit.beta, found.x, atol=2e-5)
    assert fit.convergence.is_optimum
