"""Many minimisations at once end where each ends alone."""

from __future__ import annotations

import numpy as np

from mixedmodels.optimization.batched_quasi_newton import minimize_batch
from mixedmodels.optimization.quasi_newton import minimize


def valley(x, steepness):
    """Rosenbrock's valley, value and gradient."""
    f = (1.0 - x[0]) ** 2 + steepness * (x[1] - x[0] ** 2) ** 2
    slope = steepness * (x[1] - x[0] ** 2)
    return f, np.array([-2.0 * (1.0 - x[0]) - 4.0 * x[0] * slope, 2.0 * slope])


def test_valleys_of_all_kinds():
    rng = np.random.default_rng(1)
    R = 40
    steepness, start = rng.uniform(1.0, 100.0, R), rng.normal(size=(2, R)) * 2.0
    H = np.repeat(np.eye(2)[:, :, None], R, axis=2)
    found = minimize_batch(
        lambda x, which: valley(x, steepness[which]), start, H, valley(start, steepness),
        np.full(R, 1e-12), 400,
    )  # fmt: skip
    assert found.converged.all()
    np.testing.assert_allclose(found.x, 1.0, atol=1e-4)
    alone = minimize(lambda x: valley(x, steepness[3]), start[:, 3], np.eye(2), tolerance=1e-12)
    np.testing.assert_allclose(found.x[:, 3], alone.x, atol=1e-4)


def test_what_cannot_be_computed_or_has_no_end_is_told():
    def function(x, which):
        f = np.where(which == 0, x[0] ** 2, np.where(which == 1, -x[0], np.inf))
        return f, np.where(which == 0, 2.0 * x[0], np.where(which == 1, -1.0, 0.0))[None]

    start = np.ones((1, 3))
    H = np.full((1, 1, 3), 0.5)
    found = minimize_batch(function, start, H, function(start, np.arange(3)), np.full(3, 1e-10), 30)
    assert found.converged.tolist() == [True, False, False]
    assert abs(found.x[0, 0]) < 1e-5
