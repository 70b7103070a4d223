"""An optimum of an approximation that the likelihood does not have is never called converged."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_expit

import mixedmodels as mm

HERE = Path(__file__).parent


def exact(frame, eta, sd, group="g"):
    """Return -2 log-likelihood of a random intercept by the trapezoid rule."""
    b = np.arange(-9.0 * sd, 9.0 * sd, 0.05)
    prior = -0.5 * (b / sd) ** 2 - np.log(sd * np.sqrt(2.0 * np.pi)) + np.log(0.05)
    sign = np.where(frame["y"].to_numpy() == 1, 1.0, -1.0)
    total = 0.0
    for rows in frame.groupby(group).indices.values():
        terms = log_expit(sign[rows, None] * (eta[rows, None] + b)).sum(axis=0) + prior
        total += np.logaddexp.reduce(terms)
    return -2.0 * total


def fixed_part(model):
    return np.asarray(model.model_matrix()) @ np.asarray(model.fixef())


DOUBTS = (mm.ApproximationWarning, mm.ConvergenceWarning)


def fit(formula, frame, **options):
    """Return the model and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = mm.glmer(formula, frame, family="binomial", **options)
    return model, [str(w.message) for w in caught if issubclass(w.category, DOUBTS)]


def constant_groups(seed, q, size):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(q) < max(2, q // 3)).astype(int)
    g = np.repeat(np.arange(q), size)
    return pd.DataFrame({"y": y[g], "g": g.astype(str), "x": rng.normal(size=q * size)})


def infinite():
    return pd.read_csv(HERE / "agq-infinite-variance" / "data.csv").astype({"g": str})


@pytest.mark.parametrize("nAGQ", [1, 5, 9, 25])
@pytest.mark.parametrize(
    "frame",
    [infinite(), constant_groups(1, 12, 3), constant_groups(2, 30, 8)],
    ids=lambda frame: f"{len(frame)} rows",
)
def test_groups_that_never_vary_have_no_finite_variance(frame, nAGQ):
    model, messages = fit("y ~ 1 + (1 | g)", frame, nAGQ=nAGQ)
    assert model.convergence().verdict == "not converged"
    share, q = frame.groupby("g").y.first().mean(), frame.g.nunique()
    bound = -2.0 * q * (share * np.log(share) + (1.0 - share) * np.log(1.0 - share))
    assert f"{bound:.4f}, its bound" in messages[0]
    assert "variance of (Intercept) in (1 | g) has no finite estimate" in messages[0]
    assert "no finite estimate" in str(model.summary())


def test_counts_of_trials_that_never_vary_too():
    frame = constant_groups(3, 15, 1).assign(n=6)
    model, messages = fit(
        "cbind(6 * y, n - 6 * y) ~ 1 + (1 | g)", frame, control={"check_random_terms": "ignore"}
    )
    assert "no finite estimate" in messages[0] and not model.convergence().is_optimum


@pytest.mark.parametrize("nAGQ", [1, 9])
def test_covariates_do_not_hide_it(nAGQ):
    model, messages = fit("y ~ x + (1 | g)", constant_groups(4, 25, 5), nAGQ=nAGQ)
    assert "no finite estimate" in messages[0] and not model.convergence().is_optimum


def test_groups_of_one_row_or_with_variation_are_no_such_case():
    rng = np.random.default_rng(5)
    frame = constant_groups(6, 30, 6)
    frame["y"] = (rng.normal(size=180) + np.repeat(rng.normal(size=30), 6) > 0.0).astype(int)
    model, messages = fit("y ~ x + (1 | g)", frame)
    assert not messages and model.convergence().verdict == "converged"


def near_constant():
    return pd.read_csv(HERE / "laplace-near-constant" / "data.csv").astype({"g": str})


@pytest.mark.parametrize("nAGQ", [1, 3, 5, 9])
def test_nearly_constant_groups_are_too_much_for_few_nodes(nAGQ):
    model, messages = fit("y ~ x + (1 | g)", near_constant(), nAGQ=nAGQ)
    assert model.convergence().verdict == "inexact"
    assert "nAGQ='auto'" in messages[0] and "standard errors" in messages[0]
    assert "quadrature nodes give" in str(model.summary())


def test_enough_nodes_for_nearly_constant_groups():
    frame = near_constant()
    model, messages = fit("y ~ x + (1 | g)", frame, nAGQ="auto")
    assert not messages and model.convergence().is_optimum
    value = exact(frame, fixed_part(model), float(model.theta().iloc[0]))
    assert value == pytest.approx(-2.0 * model.loglik(), abs=0.1)
    assert value == pytest.approx(90.896, abs=0.1)  # by brute force, 2,001 points


@pytest.mark.parametrize("seed", range(6))
def test_what_is_called_converged_is_the_likelihood(seed):
    """Few rows a group and large variances: either the value is exact, or the verdict says that it is not."""
    rng = np.random.default_rng(seed)
    q, size, sd = 40, int(rng.integers(2, 8)), float(rng.choice([1.0, 3.0, 8.0]))
    g, x = np.repeat(np.arange(q), size), rng.normal(size=q * size)
    eta = 0.5 * x + sd * rng.normal(size=q)[g]
    frame = pd.DataFrame(
        {"y": (rng.random(q * size) < 1.0 / (1.0 + np.exp(-eta))).astype(int), "x": x, "g": g}
    )
    auto = fit("y ~ x + (1 | g)", frame, nAGQ="auto")[0]
    scale = np.sqrt(np.diag(auto.vcov()))
    for nAGQ in (1, 3, 9, 25):
        model, messages = fit("y ~ x + (1 | g)", frame, nAGQ=nAGQ)
        assert bool(messages) == (not model.convergence().is_optimum)
        if model.convergence().is_optimum and auto.convergence().is_optimum:
            # Half a standard error by a quadratic model, and what that leaves out.
            assert (np.abs(model.fixef() - auto.fixef()) < 0.75 * scale).all()


def hazard():
    person = pd.read_csv(HERE / "hazard-runaway" / "firstarrest.csv")
    frame = person.loc[person.index.repeat(person["last"] - person["first"] + 1)].reset_index(drop=True)
    frame["t"] = frame["first"] + frame.groupby("id").cumcount()
    return frame.assign(y=((frame["t"] == frame["last"]) & (frame["event"] == 1)).astype(int))


ARREST = "y ~ factor(t) + abused * black"


def test_a_hazard_whose_frailty_laplace_cannot_see():
    frame = hazard()
    nested = mm.glm(ARREST, frame, family="binomial")
    assert -2.0 * nested.loglik() == pytest.approx(3049.392, abs=1e-3)
    laplace, messages = fit(f"{ARREST} + (1 | id)", frame)
    assert laplace.convergence().verdict == "inexact"
    assert "worse than without random effects" in messages[0]
    model, messages = fit(f"{ARREST} + (1 | id)", frame, nAGQ=25)
    assert not messages and model.convergence().is_optimum
    # The likelihood has its optimum at a deviation of 1.67, a little above that of a zero variance.
    assert -2.0 * model.loglik() == pytest.approx(3048.26, abs=0.01)
    sd = float(model.theta().iloc[0])
    assert exact(frame, fixed_part(model), sd, "id") == pytest.approx(-2.0 * model.loglik(), abs=0.01)


@pytest.mark.parametrize(("name", "words"), [("toenail", "coarse"), ("cbpp", ""), ("ohio", "coarse")])
def test_published_data(name, words):
    formulas = {
        "toenail": "outcome ~ time * treatment + (1 | patientID)",
        "cbpp": "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        "ohio": "resp ~ age * smoke + (1 | id)",
    }
    model, messages = fit(formulas[name], mm.load_dataset(name))
    assert words in str(model.convergence()) and bool(messages) == bool(words)
    exact_enough, messages = fit(formulas[name], mm.load_dataset(name), nAGQ=25)
    assert not messages and exact_enough.convergence().verdict == "converged"


def single_events(seed):
    """Persons at risk until their first event: a frailty that the data hardly tell from none."""
    rng = np.random.default_rng(seed)
    last, x, b = rng.integers(3, 12, 300), rng.normal(size=300), 0.5 * seed * rng.normal(size=300)
    rows = []
    for i in range(300):
        for t in range(last[i]):
            event = rng.random() < 1.0 / (1.0 + np.exp(3.5 - 0.15 * t - 0.5 * x[i] - b[i]))
            rows.append((str(i), t, x[i], int(event)))
            if event:
                break
    return pd.DataFrame(rows, columns=["g", "t", "x", "y"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_evidence_for_a_frailty_is_not_that_of_laplace(seed):
    frame = single_events(seed)
    nested = -2.0 * mm.glm("y ~ t + x", frame, family="binomial").loglik()
    laplace, messages = fit("y ~ t + x + (1 | g)", frame)
    assert messages and laplace.convergence().verdict == "inexact"
    model, _ = fit("y ~ t + x + (1 | g)", frame, nAGQ="auto")
    value = exact(frame, fixed_part(model), float(model.theta().iloc[0])) if model.theta().iloc[0] else nested
    assert value == pytest.approx(-2.0 * model.loglik(), abs=0.1)
    assert value < nested + 1e-6
    assert nested + 2.0 * laplace.loglik() > 2.0 + nested - value  # a test by Laplace would be misled
