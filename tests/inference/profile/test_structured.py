"""Profiles of models with structured residuals against dense likelihoods minimised by brute force."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import toeplitz
from scipy.optimize import minimize
from scipy.stats import chi2

import mixedmodels as mm
from mixedmodels.errors import NotAvailableError

RISE = float(chi2.ppf(0.95, 1))
VISITS = 4


@pytest.fixture(scope="module")
def growth():
    return mm.load_dataset("Orthodont")


def ar1(rho):
    return rho[0] ** np.abs(np.subtract.outer(np.arange(VISITS), np.arange(VISITS)))


def symmetric(rho):
    return np.where(np.eye(VISITS) > 0, 1.0, rho[0])


def general(rho):
    C = np.eye(VISITS)
    C[np.triu_indices(VISITS, 1)] = rho
    return C + C.T - np.eye(VISITS)


def banded(rho):
    return toeplitz([1.0, *rho])


def deviance(y, X, C, sd, sigma=None):
    """Return -2 log-likelihood, beta and, where it is not given, sigma profiled out; rows by cluster."""
    V = C * (sd[:, :, None] * sd[:, None, :])
    try:
        L = np.linalg.cholesky(V)
    except np.linalg.LinAlgError:
        return 1e6
    n = y.size
    white = np.linalg.solve(L, np.concatenate([X, y[:, :, None]], axis=2)).reshape(n, -1)
    log_det = 2.0 * np.log(np.einsum("ktt->kt", L)).sum()
    left = white[:, -1]
    if X.shape[2]:
        left = left - white[:, :-1] @ np.linalg.lstsq(white[:, :-1], left, rcond=None)[0]
    rss = float(left @ left)
    variance = rss / n if sigma is None else sigma**2
    return n * np.log(2.0 * np.pi * variance) + rss / variance + log_det


def brute_force(model, data, correlation, sd_of, name, value):
    """Return the smallest deviance with one parameter held, over all others."""
    y = data["distance"].to_numpy(dtype=float).reshape(-1, VISITS)
    X = model.model_matrix().to_numpy(dtype=float)
    names, p = list(model.confint().index), X.shape[1]
    X = X.reshape(len(y), VISITS, p)
    start = model.residual_estimates.parameters
    natural = np.concatenate([start.rho, *start.delta])
    n_rho, at, sigma = len(start.rho), names.index(name), None
    free = np.ones(len(natural), dtype=bool)
    if at < p:
        y, X = y - value * X[:, :, at], np.delete(X, at, axis=2)
    elif name == ".sigma":
        sigma = value
    else:
        free[at - p] = False
        natural[at - p] = value

    def objective(others):
        full = natural.copy()
        full[free] = others
        return deviance(y, X, correlation(full[:n_rho]), sd_of(full[n_rho:]), sigma)

    if not free.any():
        return objective(natural[free])
    first = minimize(objective, natural[free], method="BFGS", options={"gtol": 1e-7})
    return min(first.fun, minimize(objective, first.x, method="BFGS", options={"gtol": 1e-7}).fun)


def by_sex(data):
    female = (data["Sex"] == "Female").to_numpy().reshape(-1, VISITS)
    return lambda delta: np.where(female, delta[0], 1.0)


def by_visit(data):
    return lambda delta: np.tile([1.0, *delta], (len(data) // VISITS, 1))


def equal(data):
    return lambda delta: np.ones((len(data) // VISITS, VISITS))


MODELS = {
    "cs": ({"residual": "cs(age | Subject)"}, symmetric, equal),
    "ar1": ({"residual": "ar1(age | Subject)", "dispersion": "ident(Sex)"}, ar1, by_sex),
    "us": ({"residual": "us(age | Subject)"}, general, by_visit),
    "toep": ({"residual": "toep(age | Subject)"}, banded, equal),
}


@pytest.mark.parametrize("structure", MODELS)
def test_limits_are_where_the_likelihood_has_fallen(growth, structure):
    options, correlation, variances = MODELS[structure]
    model = mm.gls("distance ~ age + Sex", growth, REML=False, **options)
    limits = model.confint(method="profile")
    assert limits.notes == ()
    some = ["age", "cor(1,2)", "cor(2,4)", "ident.10", ".sigma"] if structure == "us" else limits.index
    for name in some:
        for end in limits.loc[name]:
            height = brute_force(model, growth, correlation, variances(growth), name, end)
            assert height + 2.0 * model.loglik() == pytest.approx(RISE, abs=1e-6), (name, end)


def test_a_random_intercept_and_compound_symmetry_have_the_same_limits(growth):
    """The same model twice, with the variance of an observation that lme4's parameters add up to."""
    marginal = mm.gls("distance ~ age + Sex", growth, residual="cs(age | Subject)")
    mixed = mm.lmer("distance ~ age + Sex + (1 | Subject)", growth, REML=False)
    own, other = marginal.confint(method="profile"), mixed.confint(method="profile")
    np.testing.assert_allclose(own.iloc[:3], other.loc[own.index[:3]], rtol=1e-6)
    # lme4 1.1: confint(lmer(distance ~ age + Sex + (1 | Subject), Orthodont, REML = FALSE))
    lme4 = [
        [16.084846892, 19.328579037],
        [0.538750546, 0.781619825],
        [-3.809662179, -0.832383259],
    ]
    np.testing.assert_allclose(own.iloc[:3], lme4, rtol=1e-4)
    # Sigma of compound symmetry is the deviation of an observation: hold that of the mixed model there.
    for end in own.loc[".sigma"]:
        assert _height_of_total(growth, end) + 2.0 * mixed.loglik() == pytest.approx(RISE, abs=1e-6)


def _height_of_total(data, total):
    """Return the smallest deviance of a random intercept with both variances adding up to total^2."""
    y = data["distance"].to_numpy(dtype=float).reshape(-1, VISITS)
    female = (data["Sex"] == "Female").to_numpy(dtype=float)
    X = np.column_stack([np.ones(len(data)), data["age"], female]).reshape(len(y), VISITS, 3)

    def objective(at):
        between = total * np.sin(at[0])
        V = between**2 + (total * np.cos(at[0])) ** 2 * np.eye(VISITS)
        return deviance(y, X, V, np.ones(y.shape), 1.0)

    return minimize(objective, [0.8], method="BFGS", options={"gtol": 1e-7}).fun


def test_known_variances_are_weights(growth):
    known = growth.assign(v=growth["age"] / 10.0, w=10.0 / growth["age"])
    weighted = mm.lmer("distance ~ age + (1 | Subject)", known, weights="w").confint(signames=False)
    own = mm.lmer("distance ~ age + (1 | Subject)", known, dispersion="fixed(v)").confint(method="profile")
    names = {"sd_(Intercept)|Subject": "sd_(Intercept)|Subject", "sigma": ".sigma", "age": "age"}
    for name, other in names.items():
        np.testing.assert_allclose(weighted.loc[name], own.loc[other], rtol=1e-6)


def test_curves_go_through_the_limits_and_turn_back_from_values(growth):
    model = mm.gls("distance ~ age", growth, residual="toep(age | Subject)")
    curves, limits = mm.profile(model), model.confint(method="profile")
    assert list(curves) == list(limits.index)
    np.testing.assert_allclose(curves.confint(), limits, rtol=2e-3)
    for curve in curves.values():
        assert (np.diff(curve.values) > 0.0).all() and (np.diff(curve.zeta) > 0.0).all()
    restricted = mm.profile(model, REML=True)
    assert list(restricted) == ["Rho1", "Rho2", "Rho3", ".sigma"]


def test_a_limit_at_a_bound_is_said_to_be_there():
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {"y": rng.normal(size=80), "t": np.tile(np.arange(4.0), 20), "g": np.repeat(np.arange(20), 4)}
    )
    limits = mm.gls("y ~ 1", rows, residual="exp(t | g)").confint(method="profile")
    assert limits.loc["range"].iloc[0] == 0.0
    assert any(
        "range reaches its bound 0" in note or "lower limit of range is 0" in note for note in limits.notes
    )


def test_falling_coordinates_have_limits_in_order(growth):
    model = mm.gls("distance ~ age", growth, residual="car1(age | Subject)")
    low, high = model.confint("Phi", method="profile").iloc[0]
    assert low < model.residual_estimates.parameters.rho[0] < high


def test_variances_of_fitted_values_have_no_profile(growth):
    model = mm.gls("distance ~ age", growth, dispersion="power(fitted)")
    with pytest.raises(NotAvailableError, match="fitted values"):
        model.confint(method="profile")


def test_wald_intervals_stay_the_default(growth):
    model = mm.gls("distance ~ age", growth, residual="ar1(age | Subject)")
    pd.testing.assert_frame_equal(
        pd.DataFrame(model.confint()), pd.DataFrame(model.confint(method="Wald")), check_exact=True
    )
