"""Processes over places at new ones: the conditional mean and variance, by one dense normal distribution."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError

PROCESSES = {
    "exp": lambda d, rho: np.exp(-d / rho[0]),
    "gau": lambda d, rho: np.exp(-((d / rho[0]) ** 2)),
    "mat": lambda d, rho: (1.0 + d / rho[0]) * np.exp(-d / rho[0]),
}


def fields(seed=3, groups=6, places=15):
    """Return rows of places of fields, with a smooth process in each."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(0.0, 4.0, (places, 2)).round(2)
    data = pd.DataFrame(
        [(g, *at[k], rng.normal()) for g in range(groups) for k in range(places) for _ in range(2)],
        columns=["g", "u", "v", "x"],
    )
    L = np.linalg.cholesky(np.exp(-np.linalg.norm(at[:, None] - at, axis=2)) + 1e-9 * np.eye(places))
    effects = np.repeat((rng.normal(size=(groups, places)) @ L.T).ravel(), 2)
    data["y"] = 1.0 + data["x"] + effects + 0.5 * rng.normal(size=len(data))
    return data


def by_hand(m, new, process):
    """Return conditional mean and variance at new rows, fixed effects estimated (universal kriging)."""
    old, (sd, *rho) = m.data, m.theta_values
    sigma2 = m.sigma() ** 2

    def covariance(a, b):
        d = np.linalg.norm(a[["u", "v"]].to_numpy()[:, None] - b[["u", "v"]].to_numpy(), axis=2)
        return sigma2 * sd**2 * process(d, rho) * np.equal.outer(a["g"].to_numpy(), b["g"].to_numpy())

    V = covariance(old, old) + sigma2 * np.eye(len(old))
    X, Xn = (np.column_stack([np.ones(len(t)), t["x"]]) for t in (old, new))
    across = covariance(new, old)
    A = np.linalg.solve(V, across.T).T
    beta = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, old["y"]))
    left = Xn - A @ X
    of_beta = left @ np.linalg.solve(X.T @ np.linalg.solve(V, X), left.T)
    mean = Xn @ beta + A @ (old["y"].to_numpy() - X @ beta)
    return mean, np.diag(covariance(new, new) - A @ across.T + of_beta)


@pytest.mark.parametrize("name", PROCESSES)
def test_new_places_have_the_conditional_mean_and_variance(name):
    data = fields()
    m = mm.lmer(f"y ~ x + {name}(u + v | g{', nu = 1.5' if name == 'mat' else ''})", data)
    new = pd.DataFrame(
        {
            "g": [0, 1, 2, 3, 4],
            "u": [1.0, 2.5, 0.3, 40.0, data["u"][0]],
            "v": [1.0, 0.2, 3.9, 40.0, data["v"][0]],
        }
    ).assign(x=[0.0, 1.0, -1.0, 0.5, 0.2])
    mean, variance = by_hand(m, new, PROCESSES[name])
    found = m.predict(new, se_fit=True)
    assert found["fit"].to_numpy() == pytest.approx(mean, abs=1e-6)
    assert found["se_fit"].to_numpy() == pytest.approx(np.sqrt(variance), abs=1e-6)
    limits = m.predict(new, interval="prediction")
    half = (limits["upper"] - limits["lower"]).to_numpy() / 2.0
    ratio = half / np.sqrt(variance + m.sigma() ** 2)
    assert ratio == pytest.approx(np.full(len(new), ratio[0]), rel=1e-6)


def test_places_of_the_fit_are_as_they_were():
    data = fields()
    m = mm.lmer("y ~ x + exp(u + v | g)", data)
    assert m.predict(data).to_numpy() == pytest.approx(m.fitted().to_numpy(), abs=1e-12)
    at_rows, again = m.predict(se_fit=True), m.predict(data, se_fit=True)
    assert again["se_fit"].to_numpy() == pytest.approx(at_rows["se_fit"].to_numpy(), rel=1e-10)


def test_new_groups_at_new_places_have_the_variance_of_the_process():
    data = fields()
    m = mm.lmer("y ~ x + exp(u + v | g)", data)
    new = pd.DataFrame({"g": ["new"], "u": [1.234], "v": [2.345], "x": [0.0]}).astype({"g": object})
    found = m.predict(new, allow_new_levels=True, se_fit=True)
    fixed = m.predict(new, re_form=mm.NA, se_fit=True)
    sd = m.theta_values[0] * m.sigma()
    assert found["fit"].iloc[0] == pytest.approx(fixed["fit"].iloc[0])
    assert found["se_fit"].iloc[0] ** 2 == pytest.approx(fixed["se_fit"].iloc[0] ** 2 + sd**2, rel=1e-8)


def test_without_the_process_prediction_limits_have_its_whole_variance():
    data = fields()
    m = mm.lmer("y ~ x + exp(u + v | g)", data)
    new = data.head(2).assign(u=[0.777, 1.777])
    old = m.predict(data.head(2), re_form=mm.NA, interval="prediction")
    limits = m.predict(new, re_form=mm.NA, interval="prediction")
    assert (limits["upper"] - limits["lower"]).to_numpy() == pytest.approx(
        (old["upper"] - old["lower"]).to_numpy(), rel=1e-8
    )


def test_processes_of_counts_are_interpolated_too():
    data = fields().assign(count=lambda d: np.random.default_rng(1).poisson(np.exp(0.3 * d["y"])))
    m = mm.glmer("count ~ x + exp(u + v | g)", data, "poisson")
    near = data.head(1).assign(u=lambda d: d["u"] + 1e-7)
    at, beside = m.predict(data.head(1), se_fit=True), m.predict(near, se_fit=True)
    assert beside["fit"].to_numpy() == pytest.approx(at["fit"].to_numpy(), abs=1e-4)
    assert beside["se_fit"].to_numpy() == pytest.approx(at["se_fit"].to_numpy(), abs=1e-3)


def test_draws_at_new_places_say_what_is_not_there():
    data = fields()
    m = mm.lmer("y ~ x + exp(u + v | g)", data)
    with pytest.raises(DataError, match="none of the 15 places"):
        m.simulate(1, seed=1, newdata=data.head(2).assign(u=9.0))
