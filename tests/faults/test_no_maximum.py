"""Likelihoods without a maximum, starts that mislead, near-duplicates and residuals next to nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from benchmarks.random_models import draw
from mixedmodels.formula.design.theta import term_factors

HERE = Path(__file__).parent
WITHIN = 1e-4


def fitted(kind, seed, start=None):
    """Fit a random model from a start."""
    model = draw(kind, seed)
    return mm.lmer(model.formula, model.data, start=start, **model.arguments)


@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
@pytest.mark.parametrize(
    ("kind", "seed"),
    # Residuals that other starts take to nothing: by a correlation of one, by fixed effects alone (ML).
    [("plain", 206), ("plain", 51097), ("uncentred", 52126)],
)
def test_a_likelihood_without_maximum_is_said_to_have_none_from_every_start(kind, seed):
    default = fitted(kind, seed)
    for fit in (default, fitted(kind, seed, np.full(len(default.theta()), 10.0))):
        assert fit.convergence().verdict == "not converged"
        assert "no maximum" in fit.convergence().reasons[0]
        assert fit.loglik() == pytest.approx(default.loglik(), abs=WITHIN)


def test_a_likelihood_without_maximum_rises_without_end():
    """Follow the edge by dense algebra: random effects that fit every row leave no rank to the covariance."""
    model = draw("plain", 51097)
    X = np.column_stack(
        [np.ones(11), model.data.h1 == "lo", model.data.x1, (model.data.h1 == "lo") * model.data.x1]
    )
    codes, levels = pd.factorize(model.data.g1)
    Z = np.equal.outer(codes, np.arange(len(levels))).astype(float)
    Z = np.column_stack([Z, Z * model.data.x2.to_numpy()[:, None]])
    assert np.linalg.matrix_rank(np.column_stack([X, Z])) == 11
    values = []
    for variance in (1e-4, 1e-6, 1e-8):
        V = Z @ Z.T * model.data.y.var() + variance * np.eye(11)
        W = np.linalg.inv(V)
        e = model.data.y - X @ np.linalg.solve(X.T @ W @ X, X.T @ W @ model.data.y)
        values.append(np.linalg.slogdet(V)[1] + e @ W @ e)
    assert values[0] > values[1] + 1.0 > values[2] + 2.0


@pytest.mark.parametrize("size", [0.1, 30.0])
def test_a_bad_start_is_no_worse_than_none(size):
    data = pd.read_csv(HERE / "basin-uncentred" / "30033.csv")
    formula = "y ~ I(x3^2) + x3 + (x1 + x3 || g1) + (1 | g2) + (1 + x1 | g3)"
    fit = mm.lmer(formula, data, start=np.full(7, size))
    assert fit.REMLcrit() == pytest.approx(119.62383, abs=WITHIN)


def test_unequal_proportions_lead_to_the_lower_of_two_boundaries():
    # From the start of the data alone this ends higher by 0.1155.
    assert -2.0 * fitted("plain", 51030).loglik() == pytest.approx(-552.70720, abs=WITHIN)


def rank_one(seed):
    """Return data whose intercepts and slopes are the same, and a copy of the factor under other names."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(20), 6), rng.normal(size=120)
    y = 1 + 2 * x + rng.normal(size=20)[g] * (1 + x) + rng.normal(size=120)
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g), "h": pd.Categorical(19 - g)})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_relabelled_factor_is_named_at_a_boundary_too(seed):
    with pytest.warns(mm.IdentificationWarning, match=r"\(x \| g\).*\(x \| h\) cannot be told apart"):
        model = mm.lmer("y ~ x + (x | g) + (x | h)", rank_one(seed))
    assert any("follow from" in reason for reason in model.convergence().reasons)
    with pytest.warns(mm.IdentificationWarning):
        assert model.refitML().convergence().verdict == "not identified"
    with pytest.warns(mm.IdentificationWarning):
        assert model.refit(model.y + 1.0).convergence().verdict == "not identified"
    assert model.with_design(model.design).convergence().verdict == "not identified"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_boundary_that_leaves_no_trade_is_a_boundary(seed):
    # The intercepts alone cannot take over what intercepts and slopes have in common.
    assert mm.lmer("y ~ x + (1 | g) + (x | h)", rank_one(seed)).convergence().verdict == "boundary"


def near_copy(moved):
    """Return data of 30 groups and a factor that differs from theirs in some rows."""
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(30), 8)
    h = g.copy()
    h[rng.choice(240, moved, replace=False)] = rng.integers(0, 30, moved)
    y = rng.normal(size=30)[g] + rng.normal(size=240)
    return pd.DataFrame({"y": y, "g": pd.Categorical(g), "h": pd.Categorical(h)})


@pytest.mark.filterwarnings("ignore::mixedmodels.IdentificationWarning")
@pytest.mark.parametrize("moved", [1, 2, 3, 60, 120])
def test_a_near_copy_of_a_factor_is_judged_by_how_the_likelihood_rises(moved):
    """Compare the verdict with the criterion where either factor has taken all the variance of the other."""
    data = near_copy(moved)
    model = mm.lmer("y ~ 1 + (1 | g) + (1 | h)", data)
    only_g, only_h = (mm.lmer(f"y ~ 1 + (1 | {k})", data).REMLcrit() for k in "gh")
    rise = max(only_g, only_h) - model.REMLcrit()
    verdict = model.convergence().verdict
    if rise < 0.5:
        assert verdict == "not identified"
        assert "do not tell the variance of (Intercept) in (1 |" in model.convergence().reasons[0]
    if rise > 4.0:
        assert verdict != "not identified"


@pytest.mark.parametrize("centre", [0.0, 300.0])
@pytest.mark.parametrize("effects", ["full", "one", "none"])
@pytest.mark.parametrize("sd", [1e-6, 1e-8])
def test_slopes_beside_a_vanishing_residual_give_the_limit(effects, centre, sd):
    """The coefficient within groups is least squares on what intercepts and slopes of each group leave."""
    rng = np.random.default_rng(3)
    g, x, w = np.repeat(np.arange(20), 6), centre + rng.normal(size=120), rng.normal(size=120)
    b = rng.normal(size=(20, 2))
    b = {"full": b, "one": b[:, [0, 0]], "none": b * [1.0, 0.0]}[effects]
    noise = sd * (0.5 * w + rng.normal(size=120))
    data = pd.DataFrame(
        {"y": 1 + 2 * x + b[g, 0] + b[g, 1] * x + noise, "x": x, "w": w, "g": pd.Categorical(g)}
    )
    model = mm.lmer("y ~ x + w + (x | g)", data)
    assert model.convergence().is_optimum
    assert 0.7 < model.sigma() / sd < 1.4
    error = np.sqrt(model.vcov().to_numpy()[2, 2])
    assert 0.05 < error / sd < 0.2
    if effects == "full":
        blocks = (np.equal.outer(g, np.arange(20)) * column[:, None] for column in (np.ones(120), x - centre))
        Z = np.column_stack([*blocks, w])
        exact = np.linalg.lstsq(Z, noise, rcond=None)[0][-1]
        assert model.fixef().to_numpy()[2] == pytest.approx(exact, abs=0.05 * error)


@pytest.mark.parametrize(("centre", "sd"), [(300.0, 30.0), (500.0, 10.0)])
def test_the_criterion_keeps_its_digits_beside_large_slopes(centre, sd):
    """Compare with least squares by reflections on rows over the root of their covariance."""
    rng = np.random.default_rng(4)
    g, x = np.arange(24) % 5, centre + rng.normal(size=24)
    b = rng.normal(size=(5, 2)) * sd
    y = b[g, 0] + b[g, 1] * x + rng.normal(size=24)
    model = mm.lmer("y ~ x + (x || g)", pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g)}))
    columns = [np.eye(24)]
    for term, T in zip(
        model.design.random, term_factors(model.design.random, model.estimates.theta), strict=True
    ):
        columns.append(np.equal.outer(g, np.arange(5)) * (term.Z @ T))
    # The root of V by reflections of its factors, which squaring does not touch.
    R = np.linalg.qr(np.concatenate([c.T for c in columns[::-1]]), mode="r")
    X = np.column_stack([np.ones(24), x - centre])
    W = np.linalg.solve(R.T, np.column_stack([X, y]))
    S = np.linalg.qr(W, mode="r")
    value = 2 * np.log(np.abs(np.diag(R))).sum() + 2 * np.log(np.abs(np.diag(S)[:2])).sum()
    value += 22 * (1 + np.log(2 * np.pi * S[2, 2] ** 2 / 22))
    assert model.REMLcrit() == pytest.approx(value, abs=1e-4)
