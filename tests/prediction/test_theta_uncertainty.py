"""Limits that count theta and sigma as estimates, against dense algebra and the tests of fixed effects."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.formula.design.theta import term_factors

# Differences with steps of 1e-4 here and of 1e-3 in the dense route.
DIFFERENCES = 1e-5


def data(seed, n_groups=9):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_groups), rng.integers(3, 8, n_groups))
    h = rng.integers(0, 6, len(g))
    x = rng.normal(size=len(g))
    effects = rng.normal(size=(n_groups, 2)) * [1.2, 0.8]
    y = 1.0 + 0.5 * x + effects[g, 0] + effects[g, 1] * x + rng.normal(size=6)[h] + rng.normal(size=len(g))
    table = {"y": y, "x": x, "g": [f"g{k}" for k in g], "h": [f"h{k}" for k in h], "w": 1.0 + g % 3}
    return pd.DataFrame(table)


def dense(m, theta, rows, x, weights, of_response):
    """Return BLUP and variance over sigma^2 of rows, from Henderson's equations written out."""
    d = m.design
    Z, blocks, new = [], [], []
    for term, T in zip(m.random, term_factors(m.random, theta), strict=True):
        one = np.eye(term.n_levels)
        Z.append(np.einsum("ns,nl->nls", term.Z, one[term.codes]).reshape(len(term.Z), -1))
        blocks.append(np.kron(one, T @ T.T))
        own = np.einsum("ns,nl->nls", term.Z[rows], one[term.codes[rows]]).reshape(len(rows), -1)
        new.append(own)
    Z, z = np.hstack(Z), np.hstack(new)
    G = np.zeros((Z.shape[1], Z.shape[1]))
    start = 0
    for block in blocks:
        G[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    V = Z @ G @ Z.T + np.diag(1.0 / m.prior_weights)
    Vi, X = np.linalg.inv(V), d.X
    Phi = np.linalg.inv(X.T @ Vi @ X)
    beta = Phi @ X.T @ Vi @ m.y
    b = G @ Z.T @ Vi @ (m.y - X @ beta)
    C = z @ G @ Z.T @ Vi
    rest = x - C @ X
    variance = np.diag(z @ G @ z.T - C @ Z @ G @ z.T + rest @ Phi @ rest.T)
    return x @ beta + z @ b, variance + (1.0 / weights if of_response else 0.0)


@pytest.mark.parametrize("bars", ["(x | g)", "(1 | g) + (1 | h)", "cs(1 + x | g)"])
@pytest.mark.parametrize("interval", ["confidence", "prediction"])
def test_limits_are_those_of_dense_algebra(bars, interval):
    m = mm.lmer(f"y ~ x + {bars}", data(4), weights="w")
    assert not m.is_singular()
    found = m.predict(interval=interval, df="satterthwaite", se_fit=True, level=0.9)
    rows = np.arange(0, len(m.y), 7)
    sigma, theta, w = m.sigma(), m.theta_values, m.prior_weights[rows]
    W = m.parameter_covariance.of_theta_and_sigma()

    def at(theta):
        return dense(m, theta, rows, m.design.X[rows], w, interval == "prediction")

    eta, c = at(theta)
    d, g = np.zeros((len(W), len(rows))), np.zeros((len(W), len(rows)))
    g[-1] = 2.0 * sigma * c
    for k in range(len(theta)):
        h = 1e-3 * max(abs(theta[k]), 0.1) * np.eye(len(theta))[k]
        ends = [at(theta + s * h) for s in (2.0, 1.0, -1.0, -2.0)]
        for target, j, scale in ((d, 0, 1.0), (g, 1, sigma**2)):
            far, near = ends[0][j] - ends[3][j], ends[1][j] - ends[2][j]
            target[k] = scale * (8.0 * near - far) / (12.0 * h[k])
    df = 2.0 * (sigma**2 * c) ** 2 / np.einsum("km,kl,lm->m", g, W, g)
    added = 2.0 * np.einsum("km,kl,lm->m", d, W, d)
    half = stats.t.ppf(0.95, df) * np.sqrt(sigma**2 * c + added)
    np.testing.assert_allclose(found["fit"].iloc[rows], eta, rtol=1e-6)
    np.testing.assert_allclose((found["upper"] - found["fit"]).iloc[rows], half, rtol=DIFFERENCES)
    np.testing.assert_allclose((found["fit"] - found["lower"]).iloc[rows], half, rtol=DIFFERENCES)
    plain = m.predict(se_fit=True)["se_fit"].iloc[rows]
    np.testing.assert_allclose(found["se_fit"].iloc[rows], np.sqrt(plain**2 + added), rtol=DIFFERENCES)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_limits_of_the_population_are_those_of_marginal_means(seed):
    m = mm.lmer("y ~ x + (x | g)", data(seed))
    new = pd.DataFrame({"x": [-1.0, 0.0, 2.0]})
    found = m.predict(new, re_form="0", interval="confidence", df="satterthwaite")
    means = mm.emmeans(m, "x", at={"x": [-1.0, 0.0, 2.0]}).to_frame()
    np.testing.assert_allclose(found["lower"], means["lower.CL"], rtol=1e-6)
    np.testing.assert_allclose(found["upper"], means["upper.CL"], rtol=1e-6)


def test_response_of_a_new_group_of_a_balanced_one_way_layout():
    """Its variance is a combination of two mean squares."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"g": np.repeat([f"g{i}" for i in range(8)], 5)})
    table["y"] = rng.normal(size=8).repeat(5) + rng.normal(size=40)
    m = mm.lmer("y ~ 1 + (1 | g)", table)
    between = 5.0 * table.groupby("g")["y"].mean().var()
    within = table.groupby("g")["y"].var().mean()
    # Var(new response) = (1 + 1/8) MSA / 5 + (1 - 1/5) MSE, degrees of freedom by Satterthwaite (1946).
    parts = np.array([9.0 / 8.0 * between / 5.0, 0.8 * within])
    df = parts.sum() ** 2 / np.sum(parts**2 / np.array([7.0, 32.0]))
    found = m.predict(
        pd.DataFrame({"g": ["new"]}), allow_new_levels=True, interval="prediction", df="satterthwaite"
    )
    half = stats.t.ppf(0.975, df) * np.sqrt(parts.sum())
    assert float((found["upper"] - found["fit"]).iloc[0]) == pytest.approx(half, rel=1e-5)
    averaged = m.predict(re_form="0", interval="prediction", df="satterthwaite").iloc[0]
    assert averaged["upper"] - averaged["fit"] == pytest.approx(half, rel=1e-5)


def test_a_singular_fit_has_limits_with_zero_variances_known():
    table = mm.load_dataset("Dyestuff2")
    m = mm.lmer("Yield ~ 1 + (1 | Batch)", table)
    found = m.predict(interval="confidence", df="satterthwaite")
    half = stats.t.ppf(0.975, 29.0) * m.standard_errors().iloc[0]
    np.testing.assert_allclose(found["upper"] - found["fit"], half, rtol=1e-5)


def test_other_models():
    table = data(1)
    least = mm.lm("y ~ x", table)
    pd.testing.assert_frame_equal(
        least.predict(interval="prediction", df="satterthwaite"), least.predict(interval="prediction")
    )
    counts = mm.glmer("k ~ x + (1 | g)", table.assign(k=np.arange(len(table)) % 4), family="poisson")
    with pytest.raises(mm.NotAvailableError, match=r"lmer\(\) and lm\(\)"):
        counts.predict(interval="confidence", df="satterthwaite")
    m = mm.lmer("y ~ x + (1 | g)", table)
    with pytest.raises(mm.ControlError, match="re_form='0'"):
        m.predict(re_form="average", interval="confidence", df="satterthwaite")
    with pytest.raises(mm.ControlError, match="satterthwaite"):
        m.predict(interval="confidence", df="kenward-roger")


def test_missing_rows_stay_missing():
    m = mm.lmer("y ~ x + (1 | g)", data(1))
    new = pd.DataFrame({"x": [0.0, np.nan, 1.0], "g": ["g1", "g2", "g3"]})
    found = m.predict(new, interval="prediction", df="satterthwaite")
    assert found.isna().any(axis=1).tolist() == [False, True, False]
    again = m.predict(new.iloc[[0, 2]], interval="prediction", df="satterthwaite")
    np.testing.assert_allclose(found.iloc[[0, 2]], again, rtol=1e-12)
