"""Terms that stand for each other, levels for the variation of rows, optima beyond poles or of none."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import norm

import mixedmodels as mm
from mixedmodels.engines.generalized.importance_sampling import sampled
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import natural_to_psi

FAULTS = Path(__file__).parents[2] / "faults" / "terms-trade-places"
# Two searches for one optimum, as the verdict demands of each.
AGAIN = 1e-4


def quietly(*given, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        return mm.glmer(*given, **options)


def test_an_intercept_and_a_slope_far_from_zero_trade_places():
    # The optimum with the slope alone is at 33.2191, and from most starts a search ends there.
    data = pd.read_csv(FAULTS / "inverse_gaussian.csv").astype({"g": str})
    family = mm.inverse_gaussian("log")
    both = quietly("y ~ z + (z || g)", data, family)
    # The search is led to a pole; from near zero none leads away from 54.4106, without a variance.
    alone = quietly("y ~ z + (1 | g)", data, family)
    assert both.loglik() == pytest.approx(alone.loglik(), abs=AGAIN)
    assert -2.0 * both.loglik() == pytest.approx(33.09137, abs=AGAIN)


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "Gamma"])
@pytest.mark.parametrize("seed", range(2))
def test_two_terms_are_never_worse_than_either(family, seed):
    rng = np.random.default_rng([91, seed])
    g, z = np.repeat(np.arange(6), 5), 10.0 + rng.normal(size=30)
    mu = np.exp(0.5 + 0.2 * (z - 10.0) + 0.6 * rng.normal(size=6)[g])
    y = rng.gamma(2.0, mu / 2.0) if family == "Gamma" else rng.poisson(mu * rng.gamma(2.0, 0.5, 30))
    data, chosen = pd.DataFrame({"y": y, "z": z, "g": g.astype(str)}), getattr(mm, family)(link="log")
    both = quietly("y ~ z + (z || g)", data, chosen)
    for term in ("(1 | g)", "(0 + z | g)"):
        assert both.loglik() >= quietly(f"y ~ z + {term}", data, chosen).loglik() - AGAIN


def _limit(data):
    """Return the least -2 log-density of y if probit(y) is normal, given effects of levels.

    As the precision of a beta response grows without end y tends to its mean, given the effects.
    """
    t, x = norm.ppf(data.y.to_numpy()), data.x.to_numpy().reshape(-1, 2)
    Z = np.stack([np.ones_like(x), x], axis=-1)

    def objective(at):
        A = Z @ np.array([[at[2], 0.0], [at[3], at[4]]])
        left = np.linalg.solve(A, (t.reshape(-1, 2) - Z @ at[:2])[..., None])
        log_det = 2.0 * np.log(np.abs(np.linalg.det(A))).sum()
        return log_det + np.square(left).sum() - np.square(t).sum()

    return min(minimize(objective, [0.4, 0.4, *T]).fun for T in ([0.5, 0.9, 0.4], [1.0, 0.0, 1.0]))


def test_levels_with_as_many_effects_as_rows_take_all_the_variation():
    # Without random effects, where the search from the data ends, -2 log-likelihood is 0.66 higher.
    data = pd.read_csv(FAULTS / "beta_probit.csv")
    fit = quietly("y ~ x + (x | g)", data, mm.beta("probit"))
    assert -2.0 * fit.loglik() == pytest.approx(_limit(data), abs=1e-4)
    assert fit.convergence().verdict == "boundary"
    assert fit.convergence().reasons[0] == (
        "precision is at the end of its range: the effects of g, as many as it has rows in each level, take "
        "all the variation."
    )


def test_rounding_does_not_decide_whether_levels_take_all_the_variation():
    # The search for that optimum runs towards a precision at which values have lost all their digits; with
    # predictors a few units in the last place away, as another machine rounds, it missed it as often as not.
    data, rng = pd.read_csv(FAULTS / "beta_probit.csv"), np.random.default_rng(0)
    for _ in range(20):
        rounded = data.assign(x=data.x * (1.0 + 1e-15 * rng.integers(-4, 5, len(data))))
        fit = quietly("y ~ x + (x | g)", rounded, mm.beta("probit"))
        assert -2.0 * fit.loglik() == pytest.approx(_limit(data), abs=1e-4)


def test_an_optimum_of_the_approximation_alone_is_left_where_effects_cross():
    data = pd.read_csv(FAULTS / "crossed_beta_binomial.csv")
    fit = quietly("y ~ x + (1 | g) + (1 | h)", data, mm.betabinomial("probit"), weights="w", offset="off")
    assert -2.0 * fit.loglik() == pytest.approx(16.64776, abs=AGAIN)
    assert (
        "optimum of 15.759 at larger variances that is none of the likelihood"
        in fit.convergence().reasons[-1]
    )


def _crossed(seed, deviation, n_g=6, n_each=4):
    rng = np.random.default_rng(seed)
    g, h = np.repeat(np.arange(n_g), n_each), np.tile(np.arange(2), n_g * n_each // 2)
    x = rng.normal(size=len(g))
    eta = 0.3 * x + deviation * (rng.normal(size=n_g)[g] + rng.normal(size=2)[h])
    y = rng.binomial(1, expit(eta))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{k}" for k in g], "h": [f"h{k}" for k in h]})


def _exact(data, theta, beta):
    """Return -2 log-likelihood of two crossed intercepts, by grids over the levels of h and of g."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    log_weights = np.log(weights) - 0.5 * np.log(2.0 * np.pi)
    eta, y = beta[0] + beta[1] * data.x.to_numpy(), data.y.to_numpy()
    h, outer = (data.h == "h1").to_numpy(), 0.0
    for rows in data.groupby("g").indices.values():
        at = (eta[rows] + theta[0] * nodes[:, None])[:, None] + theta[1] * nodes[:, None]
        loglik = log_expit(np.where(y[rows] == 1, at, -at))
        first, second = (loglik[..., h[rows] == side].sum(axis=-1) for side in (False, True))
        outer += logsumexp(first[:, :, None] + second[:, None, :] + log_weights[:, None, None], axis=0)
    return -2.0 * float(logsumexp(outer + log_weights[:, None] + log_weights))


@pytest.mark.parametrize(("seed", "theta"), [(0, (0.7, 0.4)), (1, (2.0, 1.0)), (2, (4.0, 3.0))])
def test_a_sample_of_crossed_effects_is_within_its_errors_of_the_integral(seed, theta):
    data, beta = _crossed(seed, 1.0), np.array([0.2, 0.5])
    problem = quietly("y ~ x + (1 | g) + (1 | h)", data, "binomial").problem
    psi = natural_to_psi(problem, np.concatenate([_in_order(problem, theta), beta]))
    mode = Evaluator(problem, 1).mode_at(psi)
    found = sampled(problem, mode, psi, np.eye(len(psi)))
    right = _exact(data, theta, beta)
    assert abs(found.objective - right) < 4.0 * found.standard_error
    assert found.standard_error < 0.3
    # The gradient, with the identity for inverse Hessian, against differences of the integral.
    for k in range(2):
        step = 1e-4 * np.eye(2)[k]
        slope = (
            _exact(data, np.add(theta, step), beta) - _exact(data, np.subtract(theta, step), beta)
        ) / 2e-4
        place = [term.group for term in problem.terms].index("gh"[k])
        assert abs(found.steps[place] - slope) < 4.0 * found.step_errors[place]


def _in_order(problem, theta):
    return [theta["gh".index(term.group)] for term in problem.terms]


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_said_of_healthy_crossed_models(seed):
    data = _crossed(seed, 0.7, n_g=20)
    fit = mm.glmer("y ~ x + (1 | g) + (1 | h)", data, "binomial")
    assert fit.convergence().is_optimum
    assert not any("sample of" in reason for reason in fit.convergence().reasons)
