"""What must hold of a family about a nonlinear curve: gradients, glmer where it is linear, brute force."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import mixedmodels as mm
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.engines.nonlinear_family.laplace import evaluate, gradient
from mixedmodels.engines.nonlinear_family.quadrature import quadrature, quadrature_gradient
from mixedmodels.errors import ControlError

GROWTH = "y ~ A / (1 + exp((m - x) / s))"
START = {"A": 25.0, "m": 4.5, "s": 1.0}


def counts(seed=3, groups=12, rows=8):
    """Return counts about logistic growth whose asymptote differs between groups."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    x = rng.uniform(0, 10, len(g))
    A = 30 * np.exp(0.3 * rng.standard_normal(groups))
    y = rng.poisson(A[g] / (1 + np.exp((5 - x) / 1.2))).astype(float)
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{k}" for k in g]})


def responses(seed=5, groups=15, rows=8):
    """Return responses of several families about one linear predictor with random intercepts."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    n, b = len(g), 0.6 * rng.standard_normal(groups)
    x = rng.normal(size=n)
    eta = 0.8 + 0.4 * x + b[g]
    size, p = rng.integers(2, 7, n), special.expit(eta)
    successes = rng.binomial(size, p)
    return pd.DataFrame(
        {
            "x": x, "g": [f"g{k}" for k in g], "count": rng.poisson(np.exp(eta)),
            "s": successes, "f": size - successes, "won": rng.binomial(1, p),
            "time": rng.gamma(3, np.exp(eta) / 3) + 1e-3,
            "many": rng.negative_binomial(2, 2 / (2 + np.exp(eta))),
            "level": np.exp(eta) + 0.4 * rng.normal(size=n),
        }
    )  # fmt: skip


FAMILIES = [mm.poisson("identity"), mm.nbinom2("identity"), mm.Gamma("identity")]


@pytest.mark.parametrize("random", ["(A + m | g)", "(A | g) + (s | g)"])
@pytest.mark.parametrize("hessian", ["observed", "expected"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_gradients_are_those_of_the_objectives(family, hessian, random):
    data = counts()
    data["y"] += 0.5 * (family.name == "Gamma")
    m = mm.nlmer(f"{GROWTH} ~ A | g", data, family=family, start=START, hessian=hessian)
    from_other = mm.nlmer(f"{GROWTH} ~ {random}", data, family=family, start=m.fixef(), hessian=hessian)
    problem, k = from_other.problem, len(from_other.theta_values)
    free = family.phi_to_free(from_other.phi) + 0.1
    x = np.concatenate([np.abs(from_other.theta_values) * 1.1 + 0.05, from_other.beta * 1.01, free])
    nothing, grid = np.zeros(problem.rows.shape), quadrature_grid(3, 2)

    def at(x):
        return evaluate(problem, x[:k], x[k : k + 3], family.phi_from_free(x[k + 3 :]), nothing)

    def differences(function):
        steps = 1e-5 * np.maximum(np.abs(x), 0.1)
        return np.array([(function(x + h) - function(x - h)) / (2 * h.sum()) for h in np.diag(steps)])

    slopes = [gradient(problem, at(x)), quadrature_gradient(problem, at(x), grid)[1]]
    objectives = [lambda x: at(x).objective, lambda x: quadrature(problem, at(x), grid)]
    for found, objective in zip(slopes, objectives, strict=True):
        found = np.concatenate([found.theta, found.beta, found.phi])
        np.testing.assert_allclose(found, differences(objective), rtol=1e-5, atol=1e-5)


LINEAR = [
    ("count", "poisson"), ("won", "binomial"), ("cbind(s, f)", "binomial"),
    ("cbind(s, f)", mm.binomial("probit")),
    ("time", mm.Gamma("log")), ("time", mm.inverse_gaussian("log")), ("many", "nbinom2"), ("many", "nbinom1"),
    ("level", mm.gaussian("log")),
]  # fmt: skip


@pytest.mark.parametrize("nAGQ", [1, 5])
@pytest.mark.parametrize(("y", "family"), LINEAR)
def test_linear_curve_is_glmer(y, family, nAGQ):
    data = responses()
    m = mm.nlmer(f"{y} ~ a + b * x ~ a | g", data, family=family, start={"a": 0.5, "b": 0.1}, nAGQ=nAGQ)
    linear = mm.glmer(f"{y} ~ x + (1 | g)", data, family, nAGQ=nAGQ)
    assert m.loglik() == pytest.approx(linear.loglik(), abs=1e-7)
    # Both searches leave 1e-11 of the likelihood, the square root of which parameters are known to.
    np.testing.assert_allclose(m.beta, linear.beta, atol=3e-6)
    np.testing.assert_allclose(m.theta_values, linear.theta_values, atol=3e-6)
    np.testing.assert_allclose(m.phi, linear.phi, rtol=1e-5)
    np.testing.assert_allclose(m.vcov(), linear.vcov(), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(m.vcov(method="rx"), linear.vcov(method="rx"), rtol=1e-4, atol=1e-8)
    for own, other in zip(m._conditional_covariances(), linear._conditional_covariances(), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4)
    assert m.npar == linear.npar


def by_integration(m, data, log_density):
    """Return -2 log-likelihood by integrating each group's likelihood over its asymptote."""
    A, mid, s = m.beta
    sd, total = float(m.theta_values[0]), 0.0
    for _, own in data.groupby("g", sort=False):
        share = 1 / (1 + np.exp((mid - own["x"].to_numpy()) / s))
        y = own["y"].to_numpy()

        b = np.linspace(-A + 1e-6, 8 * sd, 20001)
        values = log_density(y, (A + b[:, None]) * share).sum(axis=1) + stats.norm.logpdf(b, 0, sd)
        total += values.max() + np.log(integrate.simpson(np.exp(values - values.max()), x=b))
    return -2 * total


def test_quadrature_is_the_likelihood():
    data = counts(groups=5, rows=5)
    m = mm.nlmer(f"{GROWTH} ~ A | g", data, family=mm.poisson("identity"), start=START, nAGQ=25)
    exact = by_integration(m, data, stats.poisson.logpmf)
    assert -2 * m.loglik() == pytest.approx(exact, abs=1e-6)
    laplace = mm.nlmer(f"{GROWTH} ~ A | g", data, family=mm.poisson("identity"), start=START)
    assert -2 * laplace.loglik() == pytest.approx(exact, abs=0.2)


def test_normal_family_is_nlmer_itself():
    data = counts()
    plain = mm.nlmer(f"{GROWTH} ~ A | g", data, start=START)
    assert type(mm.nlmer(f"{GROWTH} ~ A | g", data, start=START, family="gaussian")) is type(plain)
    # The same curve through a logarithm and back, its random effects those of the exponent.
    inside = mm.nlmer("y ~ exp(c + d * log(x + 1)) ~ c | g", data, start={"c": 1, "d": 1}, hessian="observed")
    linked = mm.nlmer(
        "y ~ c + d * log(x + 1) ~ c | g", data, start={"c": 1, "d": 1}, family=mm.gaussian("log")
    )
    assert linked.loglik() == pytest.approx(inside.loglik(), abs=1e-7)
    np.testing.assert_allclose(linked.beta, inside.beta, rtol=1e-5)
    assert linked.theta_values[0] == pytest.approx(inside.theta_values[0] * inside.sigma(), rel=1e-5)


def test_accessors():
    data = responses()
    curve = "cbind(s, f) ~ low + rise / (1 + exp(-x)) ~ low | g"
    m = mm.nlmer(curve, data, family="binomial", start={"low": 0.0, "rise": 1.0})
    mean, eta = m.predict(data), m.predict(data, type="link")
    np.testing.assert_allclose(mean, special.expit(eta))
    np.testing.assert_allclose(mean, m.fitted())
    population = m.predict(data, re_form=mm.NA, interval="confidence", se_fit=True)
    limits = m.predict(data, re_form=mm.NA, interval="confidence", se_fit=True, type="link")
    np.testing.assert_allclose(population["upper"], special.expit(limits["upper"]))
    slope = population["fit"] * (1 - population["fit"])
    np.testing.assert_allclose(population["se_fit"], slope * limits["se_fit"])
    drawn = m.simulate(3, seed=1)
    assert (drawn.to_numpy() <= (data["s"] + data["f"]).to_numpy()[:, None]).all()
    assert m.refit(data["s"]).loglik() == pytest.approx(m.loglik(), abs=1e-8)
    assert "binomial  ( logit )" in repr(m)
    assert "Generalized nonlinear mixed model" in str(m.summary())


def test_impossible_start_and_options():
    data = counts()
    with pytest.raises(ControlError, match="by the identity link is no mean that the poisson family"):
        mm.nlmer(f"{GROWTH} ~ A | g", data, family=mm.poisson("identity"), start={"A": -5, "m": 5, "s": 1})
    with pytest.raises(ControlError, match="method='lindstrom-bates' is for normal residuals"):
        mm.nlmer(f"{GROWTH} ~ A | g", data, family="poisson", start=START, method="lindstrom-bates")
