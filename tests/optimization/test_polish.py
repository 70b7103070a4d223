"""The last digits of estimates, beside Newton's method from differences of the exact gradient."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.reml import solve
from mixedmodels.engines.linear.start import point_at
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.polish import POLISHED, is_polished, polished
from mixedmodels.optimization.quasi_newton import minimize


def t_statistics(problem, theta, REML):
    """Return the t statistics of the fixed effects at a theta."""
    at = solve(problem, theta, REML)
    return at.beta / (at.sigma * np.sqrt(np.diagonal(at.unscaled_vcov)))


def newton(model):
    """Return the optimum by Newton's method in the free coordinates that are not zero."""
    problem, REML = model.problem, model.is_reml
    free = starting.free_of(problem, model.theta_values)
    moving = np.flatnonzero(free)
    for _ in range(4):
        H = np.empty((len(moving), len(moving)))
        for i, k in enumerate(moving):
            step = np.zeros(len(free))
            step[k] = 1e-4 * max(abs(free[k]), 0.1)
            above, below = (point_at(problem, free + s * step, REML, None).gradient for s in (1, -1))
            H[i] = (above - below)[moving] / (2 * step[k])
        gradient = point_at(problem, free, REML, None).gradient[moving]
        free[moving] -= np.linalg.solve((H + H.T) / 2, gradient)
    return starting.theta_of(problem, free)


def crossed(seed):
    """Return a design of two crossed factors, one with slopes, and a response with any variances."""
    rng = np.random.default_rng(seed)
    g, h, x = np.repeat(np.arange(12), 6), rng.integers(0, 5, 72), rng.normal(size=72)
    b = rng.normal(size=(12, 2)) * rng.choice([0.0, 0.5, 2.0], 2)
    y = x + b[g, 0] + b[g, 1] * x + rng.normal(size=5)[h] * rng.choice([0.0, 1.0]) + rng.normal(size=72)
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g), "h": pd.Categorical(h)})


@pytest.mark.parametrize("formula", ["y ~ x + (x | g) + (1 | h)", "y ~ x + (x || g) + (1 | h)"])
@pytest.mark.parametrize("seed", range(15))
def test_t_statistics_are_those_of_the_exact_optimum(formula, seed):
    model = mm.lmer(formula, crossed(seed), REML=bool(seed % 2))
    ours = t_statistics(model.problem, model.theta_values, model.is_reml)
    np.testing.assert_allclose(ours, t_statistics(model.problem, newton(model), model.is_reml), rtol=1e-6)


def test_zeros_stay_zeros():
    model = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff2"))
    assert model.theta_values.tolist() == [0.0]


def rosenbrock(x):
    a, b = x
    value = (1 - a) ** 2 + 10 * (b - a * a) ** 2
    return value, np.array([-2 * (1 - a) - 40 * a * (b - a * a), 20 * (b - a * a)])


def test_a_rough_end_is_not_polished_and_becomes_so():
    rough = minimize(rosenbrock, np.array([0.2, 0.3]), np.eye(2), tolerance=1e-3)
    assert not is_polished(rough)
    last = polished(rosenbrock, rough.x - rough.inverse_hessian @ rough.gradient, rough)
    assert last.decrement <= POLISHED
    np.testing.assert_allclose(last.x, 1.0, atol=1e-6)


def test_coordinates_at_zero_do_not_move():
    found = minimize(lambda x: (float(x @ x), 2 * x), np.array([0.3, 0.2]), np.eye(2) / 3, tolerance=1e-2)
    H = np.array([[0.5, 0.2], [0.2, 0.4]])
    last = polished(
        lambda x: (float((x[0] - 1) ** 2 + x[1] ** 2), 2 * (x - [1, 0])),
        np.array([0.9, 0.0]),
        Minimum(found.x, 1.0, found.gradient, H, 1.0, 1, (), True, ""),
    )
    assert last.x[1] == 0.0
    assert last.x[0] == pytest.approx(1.0, abs=1e-6)
