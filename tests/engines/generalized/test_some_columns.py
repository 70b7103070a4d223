"""A model without some columns starts from the whole: the same optimum, found sooner where it is near."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized.some_columns import estimates_near
from mixedmodels.models import generalized


def _data(family, seed=4, n=1_500, q=60):
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, q, n), rng.integers(0, 12, n)
    x, z = rng.normal(size=n), rng.normal(size=n)
    f = rng.integers(0, 3, n)
    eta = 0.3 + 0.5 * x + 0.05 * z + 0.6 * rng.normal(size=q)[g] + 0.4 * rng.normal(size=12)[h]
    y = rng.poisson(np.exp(eta)) if family == "poisson" else rng.random(n) < 1.0 / (1.0 + np.exp(-eta))
    columns = {"y": y.astype(float), "x": x, "z": z, "f": pd.Categorical(f), "g": g, "h": h}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("random", ["(1 | g)", "(1 | g) + (1 | h)", "(x | g)"])
@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_drop1_is_that_of_models_fitted_from_the_data(family, random):
    data = _data(family)
    m = mm.glmer(f"y ~ x + z + f + {random}", data, family)
    table = mm.drop1(m)
    for term, others in (("z", "x + f"), ("f", "x + z"), ("x", "z + f")):
        cold = mm.glmer(f"y ~ {others} + {random}", data, family)
        assert table.loc[term, "AIC"] == pytest.approx(cold.aic(), abs=1e-6)
        assert table.loc[term, "npar"] == m.npar - cold.npar


def test_a_term_that_says_little_takes_fewer_evaluations(monkeypatch):
    data = _data("binomial")
    m = mm.glmer("y ~ x + z + f + (1 | g) + (1 | h)", data, "binomial")
    counts, fit = [], generalized.fit_generalized

    def counting(*args, **kwargs):
        estimates = fit(*args, **kwargs)
        counts.append(estimates.optimization.n_evaluations)
        return estimates

    monkeypatch.setattr(generalized, "fit_generalized", counting)
    m.loglik_with_columns(np.array([0, 1, 3, 4]))
    cold = mm.glmer("y ~ x + f + (1 | g) + (1 | h)", data, "binomial").optimization.n_evaluations
    assert counts[0] < 0.7 * cold


def test_the_start_is_the_mean_of_a_normal_distribution_given_zeros():
    m = mm.glmer("y ~ x + z + (1 | g)", _data("poisson"), "poisson")
    kept = np.array([0, 1])
    design = replace(m.design, fixed=m.design.fixed.take(kept), x_names=m.design.x_names[:2])
    smaller = m._arranged(design, m.y, m.prior_weights)
    near = estimates_near(m.problem, m.estimates, smaller, kept)
    optimum = mm.glmer("y ~ x + (1 | g)", _data("poisson"), "poisson")
    # The curvature is the search's own: a third of the change is left at most.
    left = np.abs(near.beta - optimum.estimates.beta).max()
    assert left < np.abs(m.estimates.beta[kept] - optimum.estimates.beta).max() / 3.0


def test_a_fit_at_the_boundary_starts_its_smaller_ones_from_the_data():
    data = _data("binomial")
    # Groups of every level alike: their means differ by less than chance would have it.
    data["g"] = data["y"].groupby(data["y"]).cumcount() % 10
    m = mm.glmer("y ~ x + z + (1 | g)", data, "binomial")
    assert m.is_singular()
    assert m.loglik_with_columns(np.array([0, 1])) is None
    assert np.isfinite(mm.drop1(m)["AIC"]).all()
