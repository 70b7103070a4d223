"""The kernel of models with one grouping factor against its NumPy twin and the dense algorithm."""

import numpy as np
import pytest

from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import objective_and_gradient, solve
from mixedmodels.kernels.one_factor import MAX_COEFFICIENTS, MAX_FIXED, one_factor, one_factor_numpy
from tests.factorization.random_models import random_term

# Rounding of sums over fifty levels, some eigenvalues of whose systems are 1e4 apart.
ROUNDING = 1e-10
NAMES = ("log_det", "log_det_fixed", "sigma2", "root", "u", "gradient", "Gamma", "pairs")


def _equations(S, p, q, seed):
    rng = np.random.default_rng(seed)
    n = 40 + 4 * q + p
    codes = np.r_[np.arange(q), rng.integers(0, q, n - q)]
    Z, X, y = rng.normal(size=(n, S)), rng.normal(size=(n, p)), rng.normal(size=n)
    faces, XZ, r = np.zeros((S, S, q)), np.zeros((p, S, q)), np.zeros((S, q))
    for level in range(q):
        own = codes == level
        faces[:, :, level], XZ[:, :, level] = Z[own].T @ Z[own], X[own].T @ Z[own]
        r[:, level] = Z[own].T @ y[own]
    return faces, XZ, r, X.T @ X, X.T @ y, float(y @ y)


def _factor(S, kind, seed):
    rng = np.random.default_rng(seed)
    T = np.tril(rng.normal(size=(S, S)), -1) + np.diag(rng.uniform(0.5, 2.0, S))
    if kind == "singular":
        T[-1, -1] = 0.0
    return {"zero": 0.0, "small": 1e-5}.get(kind, 1.0) * T


@pytest.mark.skipif(one_factor is one_factor_numpy, reason="nothing is compiled")
@pytest.mark.parametrize("kind", ["regular", "singular", "zero", "small"])
@pytest.mark.parametrize("S", range(1, MAX_COEFFICIENTS + 1))
@pytest.mark.parametrize(("p", "q"), [(0, 1), (1, 8), (2, 18), (MAX_FIXED, 50)])
def test_compiled_and_numpy_kernels_agree(S, p, q, kind):
    T = _factor(S, kind, S)
    for sigma2, REML in ((0.0, True), (0.7, False)):
        arguments = (*_equations(S, p, q, 10 * S + p), T, 30.0, sigma2, REML, 0.01)
        numbers = zip(one_factor(*arguments), one_factor_numpy(*arguments), NAMES, strict=True)
        for ours, expected, name in numbers:
            if name == "gradient":
                ours, expected = np.tril(ours), np.tril(expected)
            size = 1.0 + np.abs(expected).max(initial=0.0)
            np.testing.assert_allclose(ours / size, expected / size, rtol=0.0, atol=ROUNDING, err_msg=name)


@pytest.mark.parametrize("version", [one_factor, one_factor_numpy])
def test_what_is_not_positive_definite_is_refused(version):
    faces, XZ, r, XX, rX, _ = _equations(2, 2, 5, 0)
    with pytest.raises(np.linalg.LinAlgError):
        version(faces, XZ, r, XX, rX, 0.0, np.eye(2), 30.0, 0.0, True, 0.01)
    with pytest.raises(np.linalg.LinAlgError):
        version(faces, XZ, r, 0.0 * XX, rX, 100.0, np.eye(2), 30.0, 0.0, True, 0.01)
    with pytest.raises(np.linalg.LinAlgError):
        version(faces, XZ, r, XX, rX, 100.0, np.full((2, 2), np.nan), 30.0, 0.0, True, 0.01)


@pytest.mark.parametrize("fixed", [0, 2, MAX_FIXED + 1])
@pytest.mark.parametrize("sizes", [(1,), (2, 1), (3, 3, 2), (4, 5)])
@pytest.mark.parametrize("zero", [False, True])
def test_one_factor_equals_the_dense_algorithm(sizes, fixed, zero):
    rng = np.random.default_rng(sum(sizes))
    n, q = 200, 11
    codes, x = rng.integers(0, q, n), np.c_[np.ones(n), rng.normal(size=(n, 20))]
    terms = [random_term(x[:, :size], codes, "g") for size in sizes]
    y = rng.normal(size=n) + rng.normal(size=q)[codes]
    weights = rng.uniform(0.5, 2.0, n)
    ours = linear_problem(y, x[:, :fixed], terms, weights)
    dense = linear_problem(y, x[:, :fixed], terms, weights, eliminate=False)
    theta = rng.normal(size=ours.n_theta) * np.where(zero, rng.random(ours.n_theta) < 0.5, 1.0)
    for sigma in (None, 0.9):
        value, gradient = objective_and_gradient(ours, theta, fixed > 0, sigma)
        expected, slopes = objective_and_gradient(dense, theta, fixed > 0, sigma)
        assert value == pytest.approx(expected, rel=ROUNDING)
        np.testing.assert_allclose(gradient, slopes, rtol=0.0, atol=1e3 * ROUNDING * np.abs(slopes).max())
        at, plain = solve(ours, theta, fixed > 0, sigma), solve(dense, theta, fixed > 0, sigma)
        np.testing.assert_allclose(at.beta, plain.beta, atol=ROUNDING)
        np.testing.assert_allclose(at.unscaled_vcov, plain.unscaled_vcov, atol=ROUNDING)
        for u, v in zip(at.u, plain.u, strict=True):
            np.testing.assert_allclose(u, v, atol=ROUNDING)
