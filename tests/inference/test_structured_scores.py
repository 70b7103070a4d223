"""Scores and information of models with structured residuals against differences of dense likelihoods."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import mixedmodels as mm
from mixedmodels.differences import jacobian
from mixedmodels.fits.structured import residual_rows
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.inference.structured_scores import total_score
from tests.engines.residual.dense import covariance
from tests.engines.residual.test_crossed import crossed
from tests.engines.residual.test_objective import table

MODELS = {
    "gls": lambda d: mm.gls("y ~ x", d, residual="ar1h(visit | g)", weights="w", REML=False),
    "unstructured": lambda d: mm.gls("y ~ x", d, residual="us(visit | g)", REML=False),
    "arms": lambda d: mm.gls("y ~ x", d, residual="cs(visit | arm / g)", dispersion="exp(z)", REML=False),
    "places": lambda d: mm.gls("y ~ x", d, residual="exp(visit + z | g, nugget = TRUE)", REML=False),
    "mixed": lambda d: mm.lmer("y ~ x + (1 | g)", d, residual="ar1(visit | g)", REML=False),
    "slopes": lambda d: mm.lmer("y ~ x + (1 + x | g)", d, dispersion="power(z)", weights="w", REML=False),
    "reml": lambda d: mm.lmer("y ~ x + (1 | g)", d, residual="ar1(visit | g)"),
}


def loglik_by_group(m, groups, at):
    """Return the log-likelihood of each group at parameters, from one matrix a group."""
    p, rows = len(m.beta), residual_rows(m.design)
    parameters = m.residual_problem.model.split(at[p:-1])
    factors = term_factors(m.random, parameters.theta)
    V = covariance(rows, at[-1], parameters, m.prior_weights, m.random, factors)
    mean = m.design.X @ at[:p]
    logs = []
    for g in np.unique(groups):
        own = np.flatnonzero(groups == g)
        logs.append(multivariate_normal.logpdf(m.y[own], mean[own], V[np.ix_(own, own)]))
    return np.array(logs)


def estimates(m):
    """Return all parameters, one after the other."""
    return np.concatenate([m.beta, m.residual_estimates.parameters.stacked, [m.sigma()]])


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_differences_of_the_log_likelihood_of_each_group(name):
    data = table(7, 40)
    m = MODELS[name](data)
    found = mm.estfun(m, "g")
    groups = data["g"].to_numpy()
    at = estimates(m)
    slopes = jacobian(lambda x: loglik_by_group(m, groups, x), at, np.full(len(at), 1e-5))
    order = [list(map(str, found.index)).index(str(g)) for g in np.unique(groups)]
    assert found.to_numpy()[order] == pytest.approx(slopes, abs=2e-5)
    if name != "reml":
        assert np.abs(found.sum()).max() < 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_information_is_that_of_differences_of_the_score(name):
    m = MODELS[name](table(7, 40))
    groups, at = m.data["g"].to_numpy(), estimates(m)
    moved = at + 1e-3 * np.random.default_rng(1).normal(size=len(at))
    slope = jacobian(lambda x: loglik_by_group(m, groups, x).sum()[None], moved, np.full(len(at), 1e-5))[0]
    assert total_score(m, moved) == pytest.approx(slope, abs=1e-4)
    found, order = mm.information(m), list(mm.estfun(m, "g").columns)
    assert list(found.index) == list(found.columns) == order
    H = -jacobian(lambda x: total_score(m, x), at, np.full(len(at), 1e-5))
    assert found.to_numpy() == pytest.approx(0.5 * (H + H.T), rel=1e-5, abs=1e-5 * np.abs(H).max())


def test_information_of_fixed_effects_is_the_inverse_of_their_covariance():
    m = MODELS["gls"](table(7, 40))
    p = len(m.beta)
    known = np.linalg.inv(m.vcov().to_numpy()) * m.covariance_factor
    assert mm.information(m).to_numpy()[:p, :p] == pytest.approx(known, rel=1e-6)


def test_mmrm_has_scores_by_subject():
    data = table(7, 40).assign(visit=lambda d: d["visit"].astype("category"))
    m = mm.mmrm("y ~ x + us(visit | g)", data, REML=False)
    scores = mm.estfun(m)
    assert scores.shape == (40, 2 + 10 + 4 + 1)
    assert np.abs(scores.sum()).max() < 1e-3
    # The sum of their squares is another estimate of the information.
    share = np.diag(scores.T @ scores) / np.diag(mm.information(m))
    assert 0.4 < np.median(share) < 2.5


def test_crossed_models_have_information_and_say_that_no_cluster_is_independent():
    m = mm.lmer("y ~ x + (1 | s) + (1 | i)", crossed(11, 20, 12), residual="ar1(t | s)", REML=False)
    p = len(m.beta)
    found = mm.information(m).to_numpy()
    assert found[:p, :p] == pytest.approx(np.linalg.inv(m.vcov().to_numpy()), rel=1e-5)
    assert np.linalg.eigvalsh(found).min() > 0.0
    with pytest.raises(mm.NotAvailableError, match="independent"):
        mm.estfun(m)


def test_a_parameter_at_its_bound_has_no_information():
    m = mm.gls(
        "y ~ x",
        table(7, 40).assign(y=lambda d: (-1.0) ** d["visit"] + 0.2 * d["x"] + 0.1 * d["z"]),
        residual="car1(visit | g)",
    )
    assert m.residual_parameters[1][0] < 1e-6
    with pytest.raises(mm.NotAvailableError, match="Phi is at a bound"):
        mm.information(m)


def test_variances_that_go_by_fitted_values_have_no_scores():
    data = table(7, 40).assign(y=lambda d: d["y"] + 20.0)
    m = mm.gls("y ~ x", data, residual="ar1(visit | g)", dispersion="power(fitted)")
    with pytest.raises(mm.NotAvailableError, match="fitted values"):
        mm.estfun(m)
    with pytest.raises(mm.NotAvailableError, match="fitted values"):
        mm.information(m)
