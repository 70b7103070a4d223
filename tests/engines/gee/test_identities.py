"""Marginal models by other routes: dense algebra, differences, glm, gls, statsmodels; other row orders."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit

import mixedmodels as mm
from mixedmodels.engines.gee.correlation.structure import correlation_matrices
from mixedmodels.engines.gee.covariance import association_covariance, gee_scores
from mixedmodels.engines.gee.equations import mean_point
from mixedmodels.engines.gee.estimates import GeeSolution

CORRELATIONS = ("independence", "exchangeable", "ar1", "unstructured", "m-dependent(1)", "toeplitz")
# Solutions are found to 1e-10 of a standard error.
CLOSE = {"rtol": 1e-7, "atol": 1e-9}


def clustered(sizes, seed=0, gaps=True, n_times=6):
    """Return data of groups of these sizes, with times that may have gaps."""
    rng = np.random.default_rng(seed)
    rows = []
    for group, size in enumerate(sizes):
        times = np.sort(rng.choice(n_times, size, replace=False)) if gaps else np.arange(size)
        u = 0.7 * rng.normal()
        for t in times:
            x = rng.normal()
            eta = 0.3 + 0.5 * x + 0.4 * (group % 2) + u
            rows.append((f"g{group}", t, x, group % 2, eta + rng.normal(), eta))
    data = pd.DataFrame(rows, columns=["g", "t", "x", "z", "y", "eta"])
    data["b"] = (rng.random(len(data)) < expit(data["eta"])).astype(int)
    data["c"] = rng.poisson(np.exp(0.5 * data["eta"]))
    data["p"] = np.exp(0.3 * data["eta"]) * rng.gamma(4.0, 0.25, len(data))
    data["w"] = rng.integers(1, 4, len(data))
    return data


DATA = clustered([1, 3, 4, 5, 6] * 16, seed=4)
RESPONSES = {"b": "binomial", "c": "poisson", "y": "gaussian", "p": mm.Gamma("log")}


def fitted(response="b", corr="exchangeable", data=DATA, **arguments):
    return mm.gee(
        f"{response} ~ x + z", data, "g", RESPONSES[response], corr=corr, **{"time": "t"} | arguments
    )


def dense(m):
    """Return score and information by loops over groups and dense inverses, at the estimates of a fit."""
    p, phi = len(m.beta), m.dispersion()
    score, information, scores = np.zeros(p), np.zeros((p, p)), []
    mu, eta, family = m.mean, m.linear_predictor, m.family()
    unit = np.ones(1) if family.has_dispersion else np.empty(0)
    slope = family.link.derivatives(eta)[1]
    root = np.sqrt(family.variance(mu, unit) / m.prior_weights)
    for group in range(len(m.groups.groups)):
        rows = np.flatnonzero(m.groups.codes == group)
        R = correlation_matrices(m.correlation, m.solution.alpha, m.groups.positions[rows][None])[0]
        D = m.design.X[rows] * slope[rows, None]
        V = phi * root[rows, None] * R * root[rows]
        scores.append(D.T @ np.linalg.solve(V, m.y[rows] - mu[rows]))
        information += D.T @ np.linalg.solve(V, D)
        score += scores[-1]
    return score, information, np.array(scores)


@pytest.mark.parametrize("corr", CORRELATIONS)
@pytest.mark.parametrize("response", RESPONSES)
def test_estimates_solve_the_equations_and_covariances_are_their_sandwich(response, corr):
    m = fitted(response, corr, weights="w")
    score, information, scores = dense(m)
    M = np.linalg.inv(information)
    assert np.sqrt(score @ M @ score) < 1e-8
    np.testing.assert_allclose(m.vcov("naive"), M, **CLOSE)
    np.testing.assert_allclose(m.vcov(), M @ scores.T @ scores @ M, **CLOSE)


def test_corrected_covariances_are_those_of_adjusted_residuals():
    m = fitted("b", "ar1")
    _, information, _ = dense(m)
    M, eta, mu, phi = np.linalg.inv(information), m.linear_predictor, m.mean, m.dispersion()
    sums = {"mancl-derouen": [], "kauermann-carroll": [], "fay-graubard": []}
    for group in range(len(m.groups.groups)):
        rows = np.flatnonzero(m.groups.codes == group)
        R = correlation_matrices(m.correlation, m.solution.alpha, m.groups.positions[rows][None])[0]
        v = mu[rows] * (1.0 - mu[rows])
        D, root = m.design.X[rows] * v[:, None], np.sqrt(v)
        Vinv = np.linalg.inv(phi * root[:, None] * R * root)
        e, H = m.y[rows] - mu[rows], D @ M @ D.T @ Vinv
        left = np.linalg.inv(np.eye(len(rows)) - H)
        values, vectors = np.linalg.eig(left)
        half = (vectors * np.sqrt(values)) @ np.linalg.inv(vectors)
        share = np.minimum(0.75, np.diag(D.T @ Vinv @ D @ M))
        sums["mancl-derouen"].append(D.T @ Vinv @ left @ e)
        sums["kauermann-carroll"].append((D.T @ Vinv @ half @ e).real)
        sums["fay-graubard"].append(D.T @ Vinv @ e / np.sqrt(1.0 - share))
    assert len(eta) == len(mu)
    for kind, scores in sums.items():
        np.testing.assert_allclose(m.vcov(kind), M @ np.array(scores).T @ scores @ M, **CLOSE)
    np.testing.assert_allclose(m.vcov("CR3"), m.vcov("mancl-derouen"))
    np.testing.assert_allclose(m.vcov("CR2"), m.vcov("kauermann-carroll"))


@pytest.mark.parametrize("corr", ["exchangeable", "ar1", "unstructured", "m-dependent(2)"])
@pytest.mark.parametrize("response", ["c", "p"])
def test_errors_of_correlation_and_scale_come_from_the_derivatives_of_their_equations(response, corr):
    m = fitted(response, corr, weights="w")
    problem, correlation, at = m.problem, m.correlation, m.solution
    p, q = len(at.beta), len(at.alpha)

    def equations(parameters):
        """Return U1, U2 and U3 by group, shape (m, p + 1 + q)."""
        beta, phi, alpha = parameters[:p], parameters[p], parameters[p + 1 :]
        solution = GeeSolution(beta, alpha, phi, 0, at.convergence)
        r, w = mean_point(problem, beta).r, problem.weights
        U1 = gee_scores(problem, correlation, solution).scores
        U2 = problem.by_group(w * (r**2 - phi)) / (2.0 * phi)
        U3 = np.zeros((problem.n_groups, q))
        for i, j in zip(problem.pairs.first, problem.pairs.second, strict=True):
            places = problem.positions[[i]], problem.positions[[j]]
            of = correlation.parameter_of(*places)[0]
            if of >= 0:
                rho, E = correlation.correlation(alpha, *places)[0], correlation.slope(at.alpha, *places)[0]
                U3[problem.grouping.group_of_row[i], of] += w[i] * w[j] * E * (r[i] * r[j] / phi - rho)
        return np.column_stack([U1, U2, U3])

    centre = np.concatenate([at.beta, [at.phi], at.alpha])
    J = np.empty((p + 1 + q, p + 1 + q))
    for k in range(len(centre)):
        step = 1e-5 * np.eye(len(centre))[k]
        J[:, k] = (equations(centre + step) - equations(centre - step)).sum(axis=0) / 2e-5
    J[:p, :p] = -np.linalg.inv(m.vcov("naive"))  # the expected information takes the place of the observed
    J[:p, p:] = 0.0
    U = equations(centre)
    np.testing.assert_allclose(U.sum(axis=0), 0.0, atol=1e-6)
    influence = np.linalg.solve(J, U.T)
    V = influence @ influence.T
    found = association_covariance(problem, correlation, at, m.scores, fixed_scale=False)
    np.testing.assert_allclose(found.phi, V[p, p], rtol=1e-6)
    np.testing.assert_allclose(found.alpha, V[p + 1 :, p + 1 :], rtol=1e-5, atol=1e-9)


def test_the_error_of_the_scale_does_not_depend_on_units_as_it_does_in_geepack():
    m, other = (fitted("p", "exchangeable", DATA.assign(p=DATA["p"] * k)) for k in (1.0, 10.0))
    np.testing.assert_allclose(other.association(), m.association(), rtol=1e-8)
    assert other.association("geepack").loc["phi", "Std.err"] != pytest.approx(
        m.association("geepack").loc["phi", "Std.err"], rel=1e-2
    )


@pytest.mark.parametrize("corr", CORRELATIONS)
def test_order_of_rows_and_names_of_groups_do_not_matter(corr):
    m = fitted("c", corr)
    rng = np.random.default_rng(1)
    names = dict(zip(DATA["g"].unique(), rng.permutation(1000)[: DATA["g"].nunique()], strict=True))
    shuffled = DATA.assign(g=DATA["g"].map(names)).sample(frac=1.0, random_state=2)
    other = fitted("c", corr, shuffled)
    np.testing.assert_allclose(other.fixef(), m.fixef(), **CLOSE)
    np.testing.assert_allclose(other.vcov(), m.vcov(), **CLOSE)
    np.testing.assert_allclose(other.fitted().loc[DATA.index], m.fitted(), **CLOSE)
    np.testing.assert_allclose(other.association(), m.association(), **CLOSE)


def test_weights_of_one_change_nothing_and_rows_of_weight_zero_are_not_there():
    m = fitted("c", "ar1")
    np.testing.assert_allclose(fitted("c", "ar1", weights=np.ones(len(DATA))).vcov(), m.vcov(), **CLOSE)
    kept = np.arange(len(DATA)) % 7 != 0
    without = fitted("c", "unstructured", DATA[kept])
    zero = fitted("c", "unstructured", weights=kept.astype(float))
    np.testing.assert_allclose(zero.vcov(), without.vcov(), **CLOSE)
    assert zero.nobs() == without.nobs() == kept.sum()


@pytest.mark.parametrize("response", ["b", "c"])
def test_independence_is_glm_with_its_robust_covariance(response):
    m, plain = fitted(response, "independence"), mm.glm(f"{response} ~ x + z", DATA, RESPONSES[response])
    np.testing.assert_allclose(m.fixef(), plain.fixef(), **CLOSE)
    np.testing.assert_allclose(m.vcov(), plain.vcov("CR0", cluster="g"), **CLOSE)
    np.testing.assert_allclose(m.vcov("CR1"), plain.vcov("CR1", cluster="g"), **CLOSE)
    naive = m.vcov("naive") / m.dispersion()
    np.testing.assert_allclose(naive, plain.vcov(), **CLOSE)


def test_balanced_groups_with_equal_predictors_have_the_coefficients_of_gls():
    # With the same times in every group all exchangeable correlations give the coefficients of least squares.
    data = clustered([4] * 25, seed=3, gaps=False)
    m = mm.gee("y ~ t * z", data, "g", corr="exchangeable")
    np.testing.assert_allclose(m.fixef(), mm.gls("y ~ t * z", data, residual="cs(t | g)").fixef(), **CLOSE)
    np.testing.assert_allclose(m.fixef(), mm.lm("y ~ t * z", data).fixef(), **CLOSE)


def test_a_matrix_of_the_estimated_correlations_gives_the_same_fit():
    m = fitted("c", "toeplitz")
    R = m.working_correlation()
    fixed = fitted("c", R.to_numpy())
    np.testing.assert_allclose(fixed.fixef(), m.fixef(), rtol=1e-6)
    labelled = fitted("c", R.iloc[::-1, ::-1])
    np.testing.assert_allclose(labelled.fixef(), fixed.fixef(), **CLOSE)


def test_statsmodels_agrees_where_it_does_the_same():
    # statsmodels 0.14, GEE(...).fit(ddof_scale=0): coefficients and sandwich are found by other code.
    sm = pytest.importorskip("statsmodels.api")
    X = np.column_stack([np.ones(len(DATA)), DATA["x"], DATA["z"]])
    for corr, structure in (
        ("independence", sm.cov_struct.Independence()),
        ("exchangeable", sm.cov_struct.Exchangeable()),
    ):
        model = sm.GEE(
            DATA["b"], X, groups=DATA["g"].to_numpy(), family=sm.families.Binomial(), cov_struct=structure
        )
        theirs = model.fit(ddof_scale=0, ctol=1e-12, maxiter=200)
        ours = fitted("b", corr)
        np.testing.assert_allclose(ours.fixef(), theirs.params, rtol=1e-6)
        np.testing.assert_allclose(ours.vcov(), theirs.cov_robust, rtol=1e-6)
        biased = model.fit(ddof_scale=0, ctol=1e-12, maxiter=200, cov_type="bias_reduced")
        np.testing.assert_allclose(ours.vcov("mancl-derouen"), biased.cov_robust_bc, rtol=1e-6)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(1, 6), min_size=12, max_size=25),
    corr=st.sampled_from(["independence", "exchangeable", "ar1", "m-dependent(1)"]),
    seed=st.integers(0, 10_000),
)
def test_groups_of_any_sizes(sizes, corr, seed):
    if max(sizes) < 2:
        sizes = [*sizes, 2]
    data = clustered(sizes, seed)
    try:
        m = mm.gee("y ~ x", data, "g", corr=corr, time="t", family="gaussian")
    except (mm.ConvergenceError, mm.ControlError) as error:
        assert "positive definite" in str(error) or "no correlation at all" in str(error)
        return
    score, information, scores = dense(m)
    M = np.linalg.inv(information)
    assert np.sqrt(score @ M @ score) < 1e-7
    np.testing.assert_allclose(m.vcov(), M @ scores.T @ scores @ M, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(m.predict(data, type="response"), m.fitted())
