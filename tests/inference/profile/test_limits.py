"""Limits are where -2 log-likelihood has risen by the quantile of chi-squared, whatever else is minimised."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import mixedmodels as mm
from tests.inference.profile.dense import dense_deviance, least

RISE = stats.chi2.ppf(0.95, 1)
# Of the rise of the deviance at a limit: the search by SciPy ends within this of a minimum.
DEVIANCE = 1e-5


def slopes(seed=1, q=12, n=5, cor=0.3, shift=0.0):
    """Return a small set of data with random intercepts and slopes."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(q), n), rng.uniform(-1.0, 1.0, q * n)
    b = rng.multivariate_normal([0.0, 0.0], [[1.0, cor * 0.8], [cor * 0.8, 0.64]], size=q)
    y = 1.0 + 2.0 * x + b[g, 0] + b[g, 1] * x + 0.7 * rng.normal(size=q * n)
    return pd.DataFrame({"y": y, "x": x + shift, "g": [f"g{k}" for k in g]})


def covariance(sd0, sd1, r):
    return np.array([[sd0**2, r * sd0 * sd1], [r * sd0 * sd1, sd1**2]])


def deviance_of_slopes(data):
    """Return the deviance of (x | g) as a function of both deviations, correlation, sigma and beta."""
    y, X = data["y"].to_numpy(), np.column_stack([np.ones(len(data)), data["x"]])
    codes = data["g"].astype("category").cat.codes.to_numpy()

    def deviance(sd0, sd1, r, sigma, beta=None):
        return dense_deviance(y, X, [(codes, X)], [covariance(sd0, sd1, r)], sigma, beta)

    return deviance


def held_at(deviance, name, value):
    """Return the least deviance with one parameter at a value, over all others."""
    places = {"sd_(Intercept)|g": 0, "sd_x|g": 1, "cor_x.(Intercept)|g": 2, "sigma": 3}

    def natural(free):
        values = [np.exp(free[0]), np.exp(free[1]), np.tanh(free[2]), np.exp(free[3])]
        if name in places:
            values[places[name]] = value
        return values

    if name in places:
        return least(lambda z: deviance(*natural(z)), [0.0, -0.3, 0.2, -0.4])
    k = ("(Intercept)", "x").index(name)

    def with_beta(z):
        beta = np.insert(z[4:], k, value)
        return deviance(*natural(z), beta)

    return least(with_beta, [0.0, -0.3, 0.2, -0.4, 1.5])


def test_deviance_has_risen_by_the_quantile_at_every_limit():
    data = slopes(5)
    model = mm.lmer("y ~ x + (x | g)", data)
    deviance = deviance_of_slopes(data)
    least_of_all = model.refitML().deviance()
    table = model.confint(signames=False)
    for name, ends in table.iterrows():
        for end in ends:
            if name.startswith("sd") and end == 0.0:
                continue
            if name.startswith("cor") and abs(end) == 1.0:
                continue
            rise = held_at(deviance, name, end) - least_of_all
            assert rise == pytest.approx(RISE, abs=DEVIANCE), name


def test_poisson_limits_by_quadrature_of_each_group():
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(15), 4), np.tile([-1.0, 0.0, 0.5, 1.0], 15)
    y = rng.poisson(np.exp(0.5 + 0.4 * x + 0.6 * rng.normal(size=15)[g]))
    data = pd.DataFrame({"y": y, "x": x, "g": [f"g{k}" for k in g]})
    model = mm.glmer("y ~ x + (1 | g)", data, family="poisson", nAGQ=25)
    nodes = np.linspace(-8.0, 8.0, 301)
    weights = stats.norm.pdf(nodes) * (nodes[1] - nodes[0])

    def deviance(sd, beta):
        eta = beta[0] + beta[1] * x[:, None] + sd * nodes
        terms = stats.poisson.logpmf(y[:, None], np.exp(eta))
        by_group = np.add.reduceat(terms, np.arange(0, len(y), 4), axis=0)
        return -2.0 * np.log(np.exp(by_group) @ weights).sum()

    least_of_all = least(lambda z: deviance(np.exp(z[0]), z[1:]), [-0.5, 0.5, 0.4])
    table = model.confint()
    for end in table.loc[".sig01"]:
        assert least(lambda z, end=end: deviance(end, z), [0.5, 0.4]) - least_of_all == pytest.approx(
            RISE, abs=DEVIANCE
        )
    for end in table.loc["x"]:
        rise = least(lambda z, end=end: deviance(np.exp(z[0]), [z[1], end]), [-0.5, 0.5]) - least_of_all
        assert rise == pytest.approx(RISE, abs=DEVIANCE)


@pytest.mark.parametrize("term", ["cs(0 + t | g, hom = TRUE)", "ar1(0 + t | g)"])
def test_structured_terms_have_limits_of_their_own_parameters(term):
    rng = np.random.default_rng(8)
    g, t = np.repeat(np.arange(14), 6), np.tile([0, 0, 1, 1, 2, 2], 14)
    L = np.linalg.cholesky([[1.0, 0.6, 0.3], [0.6, 1.0, 0.6], [0.3, 0.6, 1.0]])
    b = rng.normal(size=(14, 3)) @ L.T
    y = 3.0 + b[g, t] + 0.8 * rng.normal(size=len(g))
    data = pd.DataFrame({"y": y, "t": pd.Categorical([f"t{k}" for k in t]), "g": [f"g{k}" for k in g]})
    model = mm.lmer(f"y ~ 1 + {term}", data, REML=False)
    Z, X = np.eye(3)[t], np.ones((len(y), 1))
    lag = np.abs(np.subtract.outer(range(3), range(3)))

    def deviance(values):
        sd, r, sigma = values
        R = r**lag if term.startswith("ar1") else np.where(lag == 0, 1.0, r)
        try:
            return dense_deviance(y, X, [(g, Z)], [sd**2 * R], sigma)
        except np.linalg.LinAlgError:
            return np.inf

    table = model.confint("theta_", signames=False)
    assert table.index.tolist() == ["sd|g", "rho|g", "sigma"]
    start = np.array([0.9, 0.5, 0.8])
    for k, ends in enumerate(table.to_numpy()):
        for end in ends:
            if end in (0.0, -1.0, 1.0):
                continue
            found = optimize.minimize(
                lambda z, k=k, end=end: deviance(np.insert(z, k, end)),
                np.delete(start, k),
                method="Nelder-Mead",
                options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000, "maxfev": 4000},
            )
            assert found.fun - model.deviance() == pytest.approx(RISE, abs=1e-4), table.index[k]


def test_units_and_order_of_rows_do_not_matter():
    data = slopes(7, shift=0.5)
    table = mm.lmer("y ~ x + (x | g)", data).confint(signames=False)
    shuffled = data.sample(frac=1.0, random_state=1).assign(
        y=lambda d: 1e3 * d["y"], x=lambda d: d["x"] / 50.0
    )
    other = mm.lmer("y ~ x + (x | g)", shuffled).confint(signames=False)
    factor = {"sd_x|g": 5e4, "x": 5e4, "cor_x.(Intercept)|g": 1.0}
    scale = np.array([factor.get(name, 1e3) for name in table.index])
    np.testing.assert_allclose(other.to_numpy() / scale[:, None], table, rtol=1e-5)


def test_origin_of_a_predictor_matters_only_to_the_intercept():
    near, far = slopes(1, shift=0.0), slopes(1, shift=1990.0)
    rows = ["sd_x|g", "sigma", "x"]
    first = mm.lmer("y ~ x + (x | g)", near).confint(rows, signames=False)
    second = mm.lmer("y ~ x + (x | g)", far).confint(rows, signames=False)
    np.testing.assert_allclose(second, first, rtol=1e-4)


def test_singular_fits_say_where_an_interval_ends_at_a_bound():
    data = slopes(2)
    data["y"] -= 0.9 * data.groupby("g")["y"].transform("mean")
    model = mm.lmer("y ~ x + (1 | g)", data)
    assert model.is_singular()
    table = model.confint()
    assert table.loc[".sig01", "2.5 %"] == 0.0
    assert "reaches its bound 0" in table.notes[0]
    assert "reaches its bound 0" in " ".join(repr(table).split())
    wald = model.confint(method="wald")
    assert wald.notna().all(axis=None)
    assert "likelihood ratio" in wald.notes[0]


def test_a_correlation_is_free_where_a_deviation_may_be_zero():
    rng = np.random.default_rng(6)
    data = slopes(6).assign(y=lambda d: d["x"] + rng.normal(size=len(d)) + 0.7 * (d["g"] < "g5"))
    table = mm.lmer("y ~ x + (x | g)", data).confint(signames=False)
    assert table.loc["sd_x|g", "2.5 %"] == 0.0
    assert table.loc["cor_x.(Intercept)|g"].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("family", ["nbinom2", "Gamma"])
def test_families_with_parameters_of_their_own(family):
    rng = np.random.default_rng(4)
    g, x = np.repeat(np.arange(20), 6), np.tile(np.linspace(-1.0, 1.0, 6), 20)
    mu = np.exp(1.0 + 0.5 * x + 0.5 * rng.normal(size=20)[g])
    y = rng.negative_binomial(3, 3 / (3 + mu)) if family == "nbinom2" else mu * rng.gamma(4.0, 0.25, len(g))
    chosen = family if family == "nbinom2" else mm.Gamma(link="log")
    model = mm.glmer("y ~ x + (1 | g)", {"y": y, "x": x, "g": [f"g{k}" for k in g]}, family=chosen)
    table = model.confint()
    name = model.family_parameters().index[0]
    assert table.index.tolist() == [".sig01", name, "(Intercept)", "x"]
    low, high = table.loc[name]
    assert low < model.family_parameters()[name] < high
    wald = model.confint(method="wald")
    np.testing.assert_allclose(wald.loc[["x", name]], table.loc[["x", name]], rtol=0.12)
    # The same likelihood with the parameter known has risen by the quantile.
    if family == "nbinom2":
        known = mm.glmer(
            "y ~ x + (1 | g)",
            {"y": y, "x": x, "g": [f"g{k}" for k in g]},
            family=mm.negative_binomial(theta=high),
        )
        assert 2.0 * (model.loglik() - known.loglik()) == pytest.approx(RISE, abs=DEVIANCE)


def test_a_fit_that_is_not_at_its_optimum_says_where_to_fit_again():
    model = mm.lmer("y ~ x + (1 | g)", slopes(1), REML=False)
    off = mm.LinearMixedModel(
        model.design, model.y, model.call, model.data, _with_theta(model, 3.0), model.problem
    )
    with pytest.raises(mm.ConvergenceError, match=r"not at its optimum.*start=\{'theta'"):
        off.confint(".sig01")


def _with_theta(model, factor):
    from dataclasses import replace

    from mixedmodels.engines.linear.reml import solve

    theta = factor * model.theta_values
    at = solve(model.problem, theta, False)
    return replace(model.estimates, theta=theta, solution=at)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"parm": "nothing"}, mm.ControlError, "sd_x|g"),
        ({"parm": 17}, mm.ControlError, "has 6"),
        ({"parm": True}, mm.ControlError, "not a parameter"),
        ({"level": 95}, mm.ControlError, "between 0 and 1"),
        ({"method": "boots"}, mm.ControlError, "profile"),
    ],
)
def test_wrong_arguments_are_named(options, error, words):
    with pytest.raises(error, match=words.replace("|", r"\|")):
        mm.lmer("y ~ x + (x | g)", slopes(1)).confint(**options)


def test_fits_without_a_likelihood_of_all_parameters():
    data = slopes(1).assign(z=lambda d: (d["y"] > 1.0).astype(int))
    quick = mm.glmer("z ~ x + (1 | g)", data, family="binomial", nAGQ=0)
    assert quick.confint().index.tolist() == ["(Intercept)", "x"]
    with pytest.raises(mm.NotAvailableError, match="nAGQ=1"):
        quick.confint(method="profile")
    with pytest.raises(mm.NotAvailableError, match="likelihood"):
        mm.lm("y ~ x", data).confint(method="profile")
