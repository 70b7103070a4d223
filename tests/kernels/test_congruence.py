"""Compiled and NumPy versions of the congruence kernel against dense algebra."""

import numpy as np
import pytest

from mixedmodels.kernels.congruence import congruence, congruence_numpy

# Sums of four products of numbers of size one.
ROUNDING = 1e-13


@pytest.mark.parametrize("version", [congruence, congruence_numpy])
@pytest.mark.parametrize("S", [1, 2, 3])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 2), (3, 0), (4, 3)])
def test_only_the_term_s_rows_and_columns_are_scaled(version, S, before, after):
    rng = np.random.default_rng(S)
    q = 4
    n = before + q * S + after
    A = rng.normal(size=(n, n))
    symmetric = np.tril(A) + np.tril(A, -1).T
    T = np.tril(rng.normal(size=(S, S)))
    whole = np.eye(n)
    inside = slice(before, before + q * S)
    whole[inside, inside] = np.kron(np.eye(q), T)
    ours = np.tril(A).copy()
    version(ours, T, before, before + q * S)
    np.testing.assert_allclose(np.tril(ours), np.tril(whole.T @ symmetric @ whole), atol=ROUNDING)
