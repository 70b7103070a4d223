"""What further looks cost, and that they lose nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import mixedmodels as mm
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.fit import _look
from mixedmodels.engines.linear.looks import all_alike
from mixedmodels.engines.linear.search import Search
from mixedmodels.kernels import one_factor_search

FAULTS = Path(__file__).parents[2] / "faults"
#: Logarithms of deviations, and a transformed correlation, from which a dense search starts.
STARTS = ([-0.5, 0.0, -2.0, 0.5], [-3.0, 0.0, -0.5, 1.5], [-1.0, -0.5, -0.5, 0.0], [-0.5, 0.0, -4.0, 1.0])


@pytest.fixture
def counted(monkeypatch):
    """Return a list that grows by one for every evaluation with a gradient."""
    calls, point_at = [], starting.point_at
    monkeypatch.setattr(starting, "point_at", lambda *given: calls.append(1) or point_at(*given))
    return calls


def plots():
    """Return 72 plots in three replicates, each with 24 genotypes in rows."""
    data = pd.read_csv(FAULTS / "ar1-slow" / "data.csv")
    return data.assign(
        rep=pd.Categorical(data.rep), gen=pd.Categorical(data.gen), rf=pd.Categorical(data.row)
    )


def rows_in_order(seed):
    """Return a saturated design: an autoregression over the rows of each group, and a crossed effect."""
    rng = np.random.default_rng(seed)
    n_groups, n_times = int(rng.integers(2, 5)), int(rng.integers(6, 11))
    lag = np.abs(np.subtract.outer(np.arange(n_times), np.arange(n_times)))
    e = rng.multivariate_normal(np.zeros(n_times), rng.uniform(0.2, 0.9) ** lag, size=n_groups).ravel()
    item = np.concatenate([rng.permutation(n_times) for _ in range(n_groups)])
    y = e + rng.uniform() * rng.normal(size=n_times)[item] + 0.5 * rng.uniform() * rng.normal(size=len(e))
    group, time = np.repeat(np.arange(n_groups), n_times), np.tile(np.arange(n_times), n_groups)
    columns = {"g": group, "t": time, "item": item}
    return pd.DataFrame({"y": y, **{name: pd.Categorical(codes) for name, codes in columns.items()}})


def dense_reml(data):
    """Return the REML criterion of log deviations of item, autoregression and residual, and artanh(rho)."""
    codes = {name: data[name].cat.codes.to_numpy() for name in ("g", "t", "item")}
    same = {name: np.equal.outer(code, code) for name, code in codes.items()}
    lag = np.abs(np.subtract.outer(codes["t"].astype(int), codes["t"].astype(int)))
    y, one = data.y.to_numpy(), np.ones(len(data))

    def criterion(x):
        item, own, residual = np.exp(2.0 * np.clip(x[:3], -5.0, 5.0))
        V = item * same["item"] + own * same["g"] * np.tanh(x[3]) ** lag + residual * np.eye(len(y))
        V_one, V_y = np.linalg.solve(V, np.column_stack([one, y])).T
        beta = (one @ V_y) / (one @ V_one)
        rest = y @ (V_y - beta * V_one) + (len(y) - 1) * np.log(2.0 * np.pi)
        return np.linalg.slogdet(V)[1] + np.log(one @ V_one) + rest

    return criterion


def test_looks_from_an_optimum_without_residual_are_few(counted):
    model = mm.lmer("yield ~ rep + (1 | gen) + ar1(0 + rf | rep)", plots())
    assert model.REMLcrit() == pytest.approx(81.93818, abs=1e-4)
    assert len(counted) < 160


@pytest.mark.parametrize("seed", range(5))
def test_no_start_leads_lower_in_saturated_designs(seed):
    data = rows_in_order(seed)
    model = mm.lmer("y ~ 1 + (1 | item) + ar1(0 + t | g)", data)
    assert model.convergence().is_optimum
    criterion = dense_reml(data)
    others = [minimize(criterion, start, method="L-BFGS-B").fun for start in STARTS]
    assert model.REMLcrit() < min(others) + 1e-4
    assert model.REMLcrit() > min(others) - 1e-3


def test_a_start_with_all_elements_alike_has_no_correlation_at_its_end():
    model = mm.lmer("yield ~ rep + (1 | gen) + ar1(0 + rf | rep)", plots())
    np.testing.assert_array_equal(all_alike(model.problem, 2.0), [2.0, 2.0, 0.0])


def test_a_second_look_from_one_place_ends_where_it_first_pauses(monkeypatch):
    monkeypatch.setattr(one_factor_search, "COMPILED", False)  # which goes on without a pause
    model = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    search, theta = Search(model.problem, True, None), starting.first_theta(model.problem)
    assert _look(search, theta, True, np.inf).objective == pytest.approx(model.REMLcrit(), abs=1e-6)
    first = search.n_evaluations
    assert _look(search, 1.1 * theta, True, np.inf) is None
    assert search.n_evaluations - first < first
