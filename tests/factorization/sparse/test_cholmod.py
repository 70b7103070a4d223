"""The blocked factorization against SuiteSparse's CHOLMOD, where scikit-sparse is installed."""

import numpy as np
import pytest
import scipy.sparse as sp

from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import solve
from tests.factorization.random_models import random_term

cholmod = pytest.importorskip("sksparse.cholmod", reason="scikit-sparse is not installed")

# Two backward stable factorizations of a system with condition number up to about 1e3.
ROUNDING = 1e-10


def _factor(A):
    """Return log|A| and a solver by either interface: scikit-sparse 0.5 renamed its functions."""
    if hasattr(cholmod, "cho_factor"):
        factor = cholmod.cho_factor(A)
        return factor.logdet(), factor.solve
    factor = cholmod.cholesky(A)
    return factor.logdet(), factor.solve_A


def _spherical(term, T):
    """Return the sparse ``Z Lambda`` of one term, shape (n, q S)."""
    n, S = term.Z.shape
    columns = term.codes[:, None] * S + np.arange(S)
    rows = np.repeat(np.arange(n), S)
    return sp.csc_array(((term.Z @ T).ravel(), (rows, columns.ravel())), shape=(n, term.n_levels * S))


@pytest.mark.parametrize("near", [False, True], ids=["crossed", "neighbours only"])
def test_log_determinant_and_estimates_equal_those_of_cholmod(near):
    rng = np.random.default_rng(7)
    n, q = (6000, 1600) if near else (1500, 400)
    pupil = rng.integers(0, q, n)
    teacher = (pupil // 4 + rng.integers(0, 3, n)) if near else rng.integers(0, 60, n)
    x = rng.normal(size=n)
    X = np.column_stack([np.ones(n), x])
    terms = (random_term(X, pupil, "pupil"), random_term(X[:, :1], teacher, "teacher"))
    y = 1.0 + x + rng.normal(size=q)[pupil] + rng.normal(size=teacher.max() + 1)[teacher] + rng.normal(size=n)
    theta = np.array([0.9, -0.2, 0.4, 1.1])
    problem = linear_problem(y, X, terms)
    assert ("sparse tail" in problem.description()) == near
    ours = solve(problem, theta, REML=False)

    factors = [np.array([[0.9, 0.0], [-0.2, 0.4]]), np.array([[1.1]])]
    ZL = sp.hstack([_spherical(term, T) for term, T in zip(terms, factors, strict=True)], format="csc")
    log_det, inverse_times = _factor(sp.csc_matrix(ZL.T @ ZL + sp.eye_array(ZL.shape[1])))
    assert ours.log_det_L2 == pytest.approx(log_det, rel=ROUNDING)
    ZX, Zy = ZL.T @ X, ZL.T @ y
    beta = np.linalg.solve(X.T @ X - ZX.T @ inverse_times(ZX), X.T @ y - ZX.T @ inverse_times(Zy))
    np.testing.assert_allclose(ours.beta, beta, rtol=ROUNDING)
    u = inverse_times(Zy - ZX @ beta)
    np.testing.assert_allclose(np.concatenate([u.ravel() for u in ours.u]), u, rtol=1e-8, atol=ROUNDING)
