"""Random effects crossed with residual groups: the sparse equations against dense matrices and glmmTMB."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.engines.residual.fit import fit_residual
from mixedmodels.engines.residual.objective import evaluation, objective_and_gradient
from mixedmodels.engines.residual.problem import residual_problem
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.structured import residual_rows
from mixedmodels.formula import build_design
from mixedmodels.formula.design.theta import term_factors
from tests.engines.residual.dense import covariance, minus2loglik

RANDOM = [
    "(1 | s) + (1 | i)",
    "(1 + x | s) + (1 + x | i)",
    "(1 | i)",
    "(1 | i) + (0 + x | i) + (1 | s:arm)",
]
RESIDUAL = [
    "ar1(t | s)",
    "ar1h(t | s)",
    "car1(t | arm / s)",
    "exp(t | s)",
    "cs(t | s)",
    "toeph(t | s)",
    "arma(t | s, p = 1, q = 1)",
    "exp(t | s, nugget = TRUE)",
    None,
]


def crossed(seed, subjects=8, items=6, dropped=0.2):
    """Return rows of subjects who see items in their own order, some left out, in random order."""
    rng = np.random.default_rng(seed)
    rows = [(s, i, t) for s in range(subjects) for t, i in enumerate(rng.permutation(items))]
    data = pd.DataFrame(rows, columns=["s", "i", "t"])
    data = data[rng.random(len(data)) >= dropped].sample(frac=1.0, random_state=seed).reset_index(drop=True)
    n = len(data)
    data["x"], data["w"], data["z"] = rng.normal(size=n), rng.uniform(0.5, 2.0, n), rng.uniform(0.5, 2.0, n)
    data["arm"] = np.where(data["s"] % 2 == 0, "a", "b")
    effects = rng.normal(size=subjects)[data["s"]] + rng.normal(size=items)[data["i"]]
    data["y"] = data["x"] + effects + rng.normal(size=n)
    return data


def problem_of(data, formula, residual, is_crossed, dispersion=None, weights=None):
    """Return design and problem, random effects in the clusters of rows or out of them."""
    design = build_design(formula, data, residual=residual, dispersion=dispersion, weights=weights)
    rows, y = residual_rows(design), design.response.values
    return design, residual_problem(
        y, design.X, rows, design.random, design.weights, design.offset, is_crossed=is_crossed
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(RANDOM),
    st.sampled_from(RESIDUAL),
    st.sampled_from(["y ~ x +", "y ~ 0 +"]),
    st.sampled_from([None, "exp(z)"]),
    st.sampled_from([None, "w"]),
    st.booleans(),
)
def test_objective_and_gradient_are_those_of_dense_clusters(
    seed, random, residual, fixed, dispersion, weights, REML
):
    data = crossed(seed)
    sides = [
        problem_of(data, f"{fixed} {random}", residual, is_crossed, dispersion, weights)[1]
        for is_crossed in (False, True)
    ]
    assert sides[0].crossed is None and sides[1].crossed is not None
    free = np.random.default_rng(seed).normal(scale=0.4, size=sides[0].model.n_parameters)
    (dense, slope), (sparse, own) = (objective_and_gradient(side, free, REML) for side in sides)
    assert sparse == pytest.approx(dense, abs=1e-8)
    assert own == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("residual", ["ar1(t | s)", "cs(t | s)"])
def test_the_objective_is_that_of_one_matrix_of_all_rows(residual):
    data = crossed(3)
    design, problem = problem_of(data, "y ~ x + (1 | s) + (1 + x | i)", residual, True, "power(z)", "w")
    free = np.random.default_rng(4).normal(scale=0.4, size=problem.model.n_parameters)
    found = evaluation(problem, free, True)
    rows, factors = residual_rows(design), term_factors(design.random, found.at.theta)
    weights = data["w"].to_numpy()
    V = covariance(rows, np.sqrt(found.sigma2), found.at, weights, design.random, factors)
    assert found.objective == pytest.approx(minus2loglik(data["y"].to_numpy(), design.X, V, True), rel=1e-11)


@pytest.mark.parametrize("residual", ["ar1(t | s)", "ad(t | s)", "cs(t | s)"])
def test_a_fit_ends_where_that_of_dense_clusters_does(residual):
    data = crossed(5, 15, 7)
    random = "(1 | i)" if residual == "cs(t | s)" else "(1 | s) + (1 | i)"
    dense, sparse = (
        fit_residual(problem_of(data, f"y ~ x + {random}", residual, is_crossed)[1], True)
        for is_crossed in (False, True)
    )
    assert sparse.objective == pytest.approx(dense.objective, abs=1e-8)
    assert sparse.parameters.stacked == pytest.approx(dense.parameters.stacked, abs=1e-4)
    assert sparse.convergence.verdict == dense.convergence.verdict == "converged"


def test_a_random_intercept_beside_compound_symmetry_is_not_identified():
    data = crossed(5, 15, 10)
    for is_crossed in (False, True):
        found = fit_residual(problem_of(data, "y ~ x + (1|s) + (1|i)", "cs(t | s)", is_crossed)[1], True)
        assert found.convergence.verdict == "not identified"
        assert "s.(Intercept), Rho" in found.convergence.reasons[0]


@pytest.fixture(scope="module")
def model():
    """A model whose items are crossed with the groups of its residuals."""
    return mm.lmer("y ~ x + (1 | s) + (1 + x | i)", crossed(8, 12, 8), residual="ar1(t | s)", weights="w")


def _dense(model):
    """Return the joint covariance of prediction errors of (b, beta), and the effects, by dense matrices."""
    design, w = model.design, model.design.weights
    rows, at = residual_rows(design), model.residual_estimates.parameters
    R = covariance(rows, model.sigma(), at, w)
    Z = model.getME("Z").toarray()
    Lambda = model.getME("Lambda").toarray() * model.sigma()
    whole = np.hstack([Z @ Lambda, design.X])
    penalty = np.diag(np.r_[np.ones(len(Lambda)), np.zeros(design.X.shape[1])])
    inverse = np.linalg.inv(whole.T @ np.linalg.solve(R, whole) + penalty)
    solution = inverse @ whole.T @ np.linalg.solve(R, model.y)
    to_b = np.eye(len(inverse))
    to_b[: len(Lambda), : len(Lambda)] = Lambda
    return to_b @ inverse @ to_b.T, to_b @ solution, Lambda, Z, R


def test_effects_and_their_variances_are_those_of_dense_equations(model):
    joint, solution, Lambda, Z, R = _dense(model)
    q = len(Lambda)
    b = np.concatenate([own.ravel() for own in model.b])
    assert b == pytest.approx(solution[:q], abs=1e-8)
    assert model.beta == pytest.approx(solution[q:], abs=1e-8)
    assert model.vcov(full=True).to_numpy() == pytest.approx(joint, abs=1e-8)
    # Conditional variances hold the fixed effects.
    C = Lambda.T @ Z.T @ np.linalg.solve(R, Z @ Lambda) + np.eye(q)
    conditional = Lambda @ np.linalg.solve(C, Lambda.T)
    found = np.concatenate([np.einsum("qss->qs", V).ravel() for V in model._conditional_covariances()])
    assert found == pytest.approx(conditional.diagonal(), abs=1e-8)
    predicted = model.predict(se_fit=True)
    rows = np.hstack([Z, model.design.X])
    se = np.sqrt(np.einsum("ij,jk,ik->i", rows, joint, rows))
    assert np.asarray(predicted.se_fit) == pytest.approx(se, rel=1e-8)


def test_kenward_roger_has_the_matrices_of_few_rows(model):
    tied = model.tied_problem
    assert tied is not None and tied.crossed is None
    plain, adjusted = model.vcov().to_numpy(), model.vcov(type="kenward-roger").to_numpy()
    assert adjusted == pytest.approx(plain, rel=0.3, abs=0.02)


def test_the_fit_is_that_of_glmmtmb():
    # glmmTMB 1.1.5, y ~ x + (1|s) + (1|i) + ar1(factor(t) + 0 | s) with dispformula = ~ 0, whose residual
    # variance is small and not zero: the fifth digit of what follows.
    data = crossed(11, 20, 12, 0.15)
    m = mm.lmer("y ~ x + (1 | s) + (1 | i)", data, residual="ar1(t | s)", REML=False)
    assert data["y"].sum() == pytest.approx(-109.84918962353872, abs=1e-9)
    assert m.loglik() == pytest.approx(-327.890999387, abs=2e-6)
    assert m.beta == pytest.approx([-0.553985944, 0.955942929], abs=1e-4)
    sds = [m.sigma() * value for value in m.theta_values]
    assert sds == pytest.approx([1.14346833, 1.08352185], abs=1e-4)
    assert m.sigma() == pytest.approx(0.99954358, abs=1e-4)
    assert m.residual_parameters[1] == pytest.approx([0.0417308438], abs=1e-4)


def test_many_rows_take_no_matrices():
    data = crossed(13, 150, 40, 0.1)
    m = mm.lmer("y ~ x + (1 | s) + (1 | i)", data, residual="ar1(t | s)")
    assert m.convergence().verdict == "converged"
    assert m.tied_problem is None
    assert abs(m.residual_parameters[1][0]) < 0.1
    with pytest.raises(NotAvailableError, match="satterthwaite"):
        m.summary(ddf="kenward-roger")
    assert "fronts" in str(m.factorization)


def test_groups_too_long_for_products_say_what_goes():
    data = pd.DataFrame({"t": np.arange(12_000), "i": np.arange(12_000) % 30})
    data["y"] = np.random.default_rng(1).normal(size=len(data))
    with pytest.raises(NotAvailableError, match="limit"):
        mm.lmer("y ~ 1 + (1 | i)", data, residual="gau(t)")
    m = mm.lmer("y ~ 1 + (1 | i)", data, residual="ar1(t)")
    assert m.convergence().is_optimum


def test_crossed_effects_of_unequal_variances_are_those_of_a_dense_cluster():
    data = crossed(17, 30, 12, 0.1)
    assert len(data) > 300
    m = mm.lmer("y ~ x + (1 | s) + (1 | i)", data, dispersion="ident(arm)")
    dense = fit_residual(problem_of(data, "y ~ x + (1 | s) + (1 | i)", None, False, "ident(arm)")[1], True)
    assert m.residual_problem.crossed is not None
    assert m.residual_estimates.objective == pytest.approx(dense.objective, abs=1e-8)
