"""Where a parameter runs to the end of its range, rounding must not leave a negative variance behind."""

import numpy as np

import mixedmodels as mm


def test_a_correlation_that_runs_to_its_bound_leaves_no_negative_variance():
    noise = np.random.default_rng(2).normal(size=(54, 40))
    noise = (noise - noise.mean())[:, 29]
    data = mm.load_dataset("Machines").assign(y=noise)
    m = mm.lmer("y ~ Machine + cs(0 + Machine | Worker, hom = TRUE)", data)
    assert m.convergence().verdict == "boundary"
    assert (m.estimates.inverse_hessian.diagonal() >= 0.0).all()
