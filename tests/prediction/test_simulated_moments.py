"""Simulated responses have the mean and covariance of their model, found here without a simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import roots_hermitenorm

import mixedmodels as mm

#: Standard errors that a simulated moment may be off; there are some hundred of them.
ERRORS = 5.0


def small_design(levels=4, rows=3, seed=5):
    rng = np.random.default_rng(seed)
    n = levels * rows
    return pd.DataFrame(
        {
            "x": rng.normal(size=n).round(2),
            "w": rng.uniform(0.5, 3.0, size=n).round(2),
            "g": np.repeat([f"g{k}" for k in range(levels)], rows),
            "h": np.tile(["a", "b"], n // 2),
        }
    )


def assert_moments(draws, mean, V):
    """Compare the rows' means and covariances over many draws, shape (n, N), with those expected."""
    n_draws = draws.shape[1]
    v = np.diag(V)
    assert np.all(np.abs(draws.mean(axis=1) - mean) < ERRORS * np.sqrt(v / n_draws))
    error = np.sqrt((np.outer(v, v) + V**2) / n_draws)
    assert np.all(np.abs(np.cov(draws) - V) < ERRORS * error)


def dense_covariance(data, sd, cor, sd_h, sigma, weights):
    """V of y ~ x + (x | g) + (1 | h), entry by entry."""
    G = np.array([[sd[0] ** 2, cor * sd[0] * sd[1]], [cor * sd[0] * sd[1], sd[1] ** 2]])
    Z = np.column_stack([np.ones(len(data)), data["x"]])
    same_g = np.equal.outer(data["g"].to_numpy(), data["g"].to_numpy())
    same_h = np.equal.outer(data["h"].to_numpy(), data["h"].to_numpy())
    return same_g * (Z @ G @ Z.T) + sd_h**2 * same_h + np.diag(sigma**2 / weights)


@pytest.mark.parametrize("weights", [None, "w"])
def test_a_linear_model_with_correlated_slopes_two_factors_and_weights(weights):
    data = small_design()
    draws = mm.simulate(
        "y ~ x + (x | g) + (1 | h)", data, nsim=20_000, beta={"x": -1.0, "(Intercept)": 3.0},
        sd={"g": [1.2, 0.7], "h": 0.5}, cor={"g": -0.6}, sigma=1.5, weights=weights, rng=1,
    ).to_numpy()  # fmt: skip
    w = np.ones(len(data)) if weights is None else data["w"].to_numpy()
    assert_moments(draws, 3.0 - data["x"].to_numpy(), dense_covariance(data, (1.2, 0.7), -0.6, 0.5, 1.5, w))


def test_new_parameters_of_a_fit_and_new_rows_of_other_levels():
    sleep = mm.load_dataset("sleepstudy")
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    new = pd.DataFrame({"Days": [0.0, 4.0, 1.0, 2.0], "Subject": ["new", "new", "other", "308"]})
    params = {"beta": {"Days": 5.0}, "sd": {"Subject": [20.0, 6.0]}, "cor": 0.4, "sigma": 10.0}
    draws = m.simulate(20_000, rng=2, newdata=new, allow_new_levels=True, newparams=params).to_numpy()
    d = new["Days"].to_numpy()
    G = np.array([[400.0, 48.0], [48.0, 36.0]])
    Z = np.column_stack([np.ones(4), d])
    same = np.equal.outer(new["Subject"].to_numpy(), new["Subject"].to_numpy())
    assert_moments(draws, m.fixef()["(Intercept)"] + 5.0 * d, same * (Z @ G @ Z.T) + 100.0 * np.eye(4))


def test_random_effects_that_are_kept():
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    draws = m.simulate(4000, rng=3, use_u=True, newparams={"sigma": 2.0}).to_numpy()[:20]
    assert_moments(draws, m.fitted().to_numpy()[:20], 4.0 * np.eye(20))


def test_an_offset_and_weights_of_new_rows():
    data = small_design().assign(y=lambda d: d["x"] + d["w"], o=2.0)
    m = mm.lmer("y ~ x + (1 | h)", data, weights=data["w"].to_numpy(), offset=data["o"].to_numpy())
    new = data.head(3)
    with pytest.raises(mm.DataError, match="weights="):
        m.simulate(1, newdata=new, offset=1.0)
    params = {"beta": [1.0, 0.0], "theta": [0.0], "sigma": 2.0}
    draws = m.simulate(
        8000, rng=4, newdata=new, offset=[10.0, 20.0, 30.0], weights=[1.0, 4.0, 0.25], newparams=params
    ).to_numpy()
    assert_moments(draws, np.array([11.0, 21.0, 31.0]), np.diag([4.0, 1.0, 16.0]))


#: Family, its parameters, weights of the rows, and V(mu) of a row of such a weight.
FAMILIES = [
    (mm.binomial(), [], 8.0, lambda mu, w: mu * (1 - mu) / w),
    (mm.binomial(link="cloglog"), [], 1.0, lambda mu, w: mu * (1 - mu) / w),
    (mm.poisson(), [], 1.0, lambda mu, w: mu),
    (mm.nbinom2(), [1.7], 1.0, lambda mu, w: mu + mu**2 / 1.7),
    (mm.nbinom1(), [0.8], 1.0, lambda mu, w: mu * 1.8),
    (mm.Gamma(link="log"), [0.3], 2.0, lambda mu, w: 0.3 * mu**2 / w),
    (mm.inverse_gaussian(link="log"), [0.2], 2.0, lambda mu, w: 0.2 * mu**3 / w),
    (mm.gaussian(link="log"), [0.5], 2.0, lambda mu, w: np.full_like(mu, 0.5 / w)),
    (mm.beta(), [6.0], 1.0, lambda mu, w: mu * (1 - mu) / 7.0),
    (mm.betabinomial(), [6.0], 5.0, lambda mu, w: mu * (1 - mu) / w * (1 + (w - 1) / 7.0)),
]


@pytest.mark.parametrize(
    ("family", "phi", "weight", "variance"), FAMILIES, ids=lambda v: getattr(v, "name", "")
)
def test_every_family_averaged_over_a_normal_effect(family, phi, weight, variance):
    """Mean E(mu), variance E(V(mu)) + Var(mu), covariance Var(mu) of two rows of one level: by quadrature."""
    data = pd.DataFrame({"g": ["a", "a", "b", "b"], "x": [0.0, 0.5, 0.0, 0.5], "w": weight})
    beta, sd = np.array([-0.3, 0.4]), 0.5
    draws = mm.simulate(
        "y ~ x + (1 | g)", data, nsim=20_000, family=family, beta=beta, sd=sd, phi=phi or None, rng=7,
        weights="w",
    ).to_numpy()  # fmt: skip
    nodes, w = roots_hermitenorm(80)
    w = w / w.sum()
    mu = family.link.inverse((beta[0] + beta[1] * data["x"].to_numpy())[:, None] + sd * nodes)
    mean = mu @ w
    between = (mu * w) @ mu.T - np.outer(mean, mean)
    V = np.equal.outer([0, 0, 1, 1], [0, 0, 1, 1]) * between + np.diag(variance(mu, weight) @ w)
    n_draws = draws.shape[1]
    assert np.all(np.abs(draws.mean(axis=1) - mean) < ERRORS * np.sqrt(np.diag(V) / n_draws))
    # The error of a covariance of what is not normal, from the draws themselves.
    centred = draws - mean[:, None]
    products = np.einsum("ir,jr->ijr", centred, centred)
    error = products.std(axis=2) / np.sqrt(n_draws)
    assert np.all(np.abs(products.mean(axis=2) - V) < ERRORS * error + 1e-12)


def test_trials_without_a_response():
    data = pd.DataFrame({"n": [4, 9, 1, 20] * 5, "g": np.repeat(range(5), 4)})
    draws = mm.simulate(
        "cbind(y, n - y) ~ 1 + (1 | g)", data, nsim=2000, family="binomial", beta=0.0, sd=0.001, rng=1
    ).to_numpy()
    assert np.all((draws >= 0) & (draws <= data["n"].to_numpy()[:, None]))
    n = data["n"].to_numpy()
    assert np.all(np.abs(draws.mean(axis=1) - n / 2) < ERRORS * np.sqrt(n / 4 / 2000))


def test_new_rows_with_a_missing_value_are_missing():
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    g = mm.glmer("TICKS ~ cHEIGHT + (1 | BROOD)", mm.load_dataset("grouseticks"), "poisson")
    new = pd.DataFrame({"Days": [1.0, np.nan], "Subject": ["308", "308"]})
    assert m.simulate(2, rng=1, newdata=new).isna().to_numpy().tolist() == [[False] * 2, [True] * 2]
    new = pd.DataFrame({"cHEIGHT": [np.nan, 1.0], "BROOD": ["501", "501"]})
    assert g.simulate(2, rng=1, newdata=new).isna().to_numpy().tolist() == [[True] * 2, [False] * 2]


def test_means_that_a_family_cannot_have():
    data = pd.DataFrame({"g": np.repeat(range(10), 4)})
    with pytest.raises(mm.DataError, match=r"link 'inverse' to no mean that the Gamma family can have"):
        mm.simulate("y ~ 1 + (1 | g)", data, family="Gamma", beta=0.1, sd=5, phi=1, rng=1)


def test_seed_and_rng_are_one_argument():
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    pd.testing.assert_frame_equal(m.simulate(2, seed=4), m.simulate(2, rng=4))
    pd.testing.assert_frame_equal(m.simulate(2, seed=4), mm.simulate(m, 2, rng=np.random.default_rng(4)))
    with pytest.raises(mm.ControlError, match="two names of one argument"):
        m.simulate(2, seed=4, rng=4)
