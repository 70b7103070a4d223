"""Related levels by structure: sparse precisions, families and the eigenbasis, against dense algebra."""

import pickle
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import mixedmodels as mm
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import evaluate, objective_and_gradient
from mixedmodels.errors import DataError, NotAvailableError
from mixedmodels.formula import build_design
from mixedmodels.formula.design import relationship, sparse_root
from mixedmodels.formula.design.relationship import precision
from mixedmodels.formula.design.theta import term_factors

Q_LEVELS, N = 240, 700
NAMES = [f"i{k:03d}" for k in range(Q_LEVELS)]
FORMULAS = [
    "y ~ x + (1 | id)",
    "y ~ x + (x | id)",
    "y ~ x + (1 | id) + (1 | h)",
    "y ~ x + (x || id) + (1 | pe)",
]
# Two orders of elimination of matrices with condition numbers up to 1e5.
ROUNDING = 1e-9


def pedigree(rng, animals):
    """Return the inverse of the additive relationship (Henderson 1976): few sires, some inbreeding."""
    T = np.eye(animals)
    d = np.ones(animals)
    for k in range(20, animals):
        sire, dam = rng.integers(max(0, k - 60), k - 10), rng.integers(k - 10, k)
        T[k, [sire, dam]] -= 0.5
        d[k] = 2.0
    return T.T @ np.diag(d) @ T


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(14)
    code = rng.permutation(np.concatenate([np.arange(Q_LEVELS), rng.integers(0, Q_LEVELS, N - Q_LEVELS)]))
    b = np.linalg.cholesky(np.linalg.inv(pedigree(rng, Q_LEVELS))) @ rng.normal(size=(Q_LEVELS, 2))
    h, x = rng.integers(0, 9, N), rng.normal(size=N)
    y = 0.4 * x + b[code, 0] + 0.5 * x * b[code, 1] + rng.normal(size=9)[h] + rng.normal(size=N)
    name = np.array(NAMES)[code]
    return pd.DataFrame({"y": y, "x": x, "id": name, "pe": name, "h": h.astype(str)})


def covariances():
    rng = np.random.default_rng(15)
    Q = pedigree(rng, Q_LEVELS)
    families = scipy.sparse.block_diag([0.5 + 0.5 * np.eye(k) for k in [8, 4, 12] * 10], format="csc")
    series = scipy.sparse.diags_array([-0.4, 1.2, -0.4], offsets=[-1, 0, 1], shape=(Q_LEVELS, Q_LEVELS))
    M = rng.normal(size=(Q_LEVELS, 300))
    return {
        "pedigree": (precision(scipy.sparse.csc_array(Q), NAMES), np.linalg.inv(Q)),
        "families": ((NAMES, families), families.toarray()),
        "families, dense": (pd.DataFrame(families.toarray(), NAMES, NAMES), families.toarray()),
        "series": (precision(series, NAMES), np.linalg.inv(series.toarray())),
        "dense": (pd.DataFrame(M @ M.T / 300, NAMES, NAMES), M @ M.T / 300),
    }


COVARIANCES = covariances()


def marginal(design, K, theta, REML=True):
    """Return the criterion from the n x n covariance of the response."""
    V = np.eye(design.n_rows)
    for term, T in zip(design.random, term_factors(design.random, theta), strict=True):
        place = [NAMES.index(level) for level in term.levels] if term.group == "id" else None
        own = np.eye(term.n_levels) if place is None else K[np.ix_(place, place)]
        V += own[np.ix_(term.codes, term.codes)] * (term.Z @ T @ T.T @ term.Z.T)
    X, y = design.X, design.response.values
    L = np.linalg.cholesky(V)
    X, y = np.linalg.solve(L, X), np.linalg.solve(L, y)
    beta, n = np.linalg.lstsq(X, y, rcond=None)[0], len(y)
    rss = float(((y - X @ beta) ** 2).sum())
    df = n - X.shape[1] if REML else n
    value = 2.0 * np.log(np.diagonal(L)).sum() + df * (np.log(2.0 * np.pi * rss / df) + 1.0)
    return value + (np.linalg.slogdet(X.T @ X)[1] if REML else 0.0)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("kind", COVARIANCES)
def test_objective_and_gradient_are_those_of_the_marginal_model(data, formula, kind):
    given, K = COVARIANCES[kind]
    design = build_design(formula, data, relmat={"id": given})
    problem = linear_problem(design.response.values, design.X, design.random)
    rng = np.random.default_rng(3)
    theta = 0.5 + rng.uniform(size=problem.n_theta)
    for at in (theta, np.zeros_like(theta)):
        assert evaluate(problem, at, True) == pytest.approx(marginal(design, K, at), rel=ROUNDING)
    value, gradient = objective_and_gradient(problem, theta, False)
    assert value == pytest.approx(marginal(design, K, theta, REML=False), rel=ROUNDING)
    for k, unit in enumerate(1e-5 * np.eye(len(theta))):
        slope = (evaluate(problem, theta + unit, False) - evaluate(problem, theta - unit, False)) / 2e-5
        assert gradient[k] == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("kind", ["pedigree", "families", "dense"])
def test_everything_about_a_fit_is_that_of_the_dense_tail(data, formula, kind):
    given, _ = COVARIANCES[kind]
    new = data.iloc[:40].assign(id=data["id"].iloc[300:340].array)
    fits = [mm.lmer(formula, data, relmat={"id": given})]
    with (
        patch.object(relationship, "_LEAST_SPARSE", Q_LEVELS + 1),
        patch("mixedmodels.factorization.eigenbasis.diagonalized", tuple),
    ):
        fits.append(mm.lmer(formula, data, relmat={"id": given}))
    ours, plain = fits
    assert ours.REMLcrit() == pytest.approx(plain.REMLcrit(), rel=1e-10)
    np.testing.assert_allclose(ours.vcov(), plain.vcov(), rtol=1e-5)
    for group, effects in plain.ranef().items():
        np.testing.assert_allclose(ours.ranef()[group], effects, atol=1e-5)
    for rows in (data, new):
        se = [fit.predict(rows, se_fit=True)["se_fit"] for fit in fits]
        np.testing.assert_allclose(*se, atol=1e-5)
    np.testing.assert_allclose(ours.hatvalues(), plain.hatvalues(), atol=1e-5)


def test_levels_without_rows_are_integrated_out(data):
    given, K = COVARIANCES["series"]
    some = data[~data["id"].isin(NAMES[5::7])]
    design = build_design("y ~ x + (1 | id)", some, relmat={"id": given})
    root = design.random[0].relationship
    assert isinstance(root, sparse_root.SparseRoot)
    rows = [NAMES.index(level) for level in design.random[0].levels]
    np.testing.assert_allclose(np.asarray(root) @ np.asarray(root).T, K[np.ix_(rows, rows)], atol=ROUNDING)
    np.testing.assert_allclose(sparse_root.level_variances(root), np.diag(K)[rows], atol=ROUNDING)


def test_a_root_multiplies_and_solves_like_its_matrix():
    given, _ = COVARIANCES["pedigree"]
    root = sparse_root.sparse_root(given.matrix)
    L, M = root.dense, np.random.default_rng(2).normal(size=(3, Q_LEVELS, 4))
    np.testing.assert_allclose(root @ M, L @ M)
    np.testing.assert_allclose(root.T @ M[0], L.T @ M[0])
    np.testing.assert_allclose(M[0].T @ root, M[0].T @ L)
    np.testing.assert_allclose(root.solve(L @ M[0]), M[0], atol=ROUNDING)
    np.testing.assert_allclose(root.T.solve(L.T @ M[0, :, 0]), M[0, :, 0], atol=ROUNDING)
    assert root.log_det == pytest.approx(np.linalg.slogdet(given.matrix.toarray())[1])
    assert sparse_root.same_relationship(root, pickle.loads(pickle.dumps(root)))
    assert not sparse_root.same_relationship(root, sparse_root.sparse_root(2.0 * given.matrix))
    with (
        patch.object(sparse_root, "MOST_DENSE", 10),
        pytest.raises(NotAvailableError, match="related levels"),
    ):
        np.asarray(root.T)


def test_sparse_matrices_that_are_not_positive_definite_are_refused(data):
    wrong = COVARIANCES["pedigree"][0].matrix - 3.0 * scipy.sparse.eye_array(Q_LEVELS)
    with pytest.raises(DataError, match="not positive definite"):
        mm.lmer("y ~ x + (1 | id)", data, relmat={"id": precision(scipy.sparse.csc_array(wrong), NAMES)})
    families = scipy.sparse.block_diag([np.ones((4, 4))] * 60, format="csc")
    with pytest.raises(DataError, match="not positive definite"):
        mm.lmer("y ~ x + (1 | id)", data, relmat={"id": (NAMES, families)})


@pytest.mark.parametrize("kind", ["dense", "pedigree"])
def test_responses_of_a_related_fit_are_simulated_and_refitted(data, kind):
    relmat = {"id": COVARIANCES[kind][0]}
    fit = mm.lmer("y ~ x + (1 | id)", data, relmat=relmat)
    drawn = np.asarray(fit.simulate(1, seed=3)).ravel()
    again = mm.lmer("y ~ x + (1 | id)", data.assign(y=drawn), relmat=relmat)
    assert fit.refit(drawn).REMLcrit() == pytest.approx(again.REMLcrit(), rel=1e-9)
