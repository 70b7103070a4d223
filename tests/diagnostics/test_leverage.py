"""Leverages against the dense hat matrix."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels.fits.mixed_model_equations import solved_variances


def test_leverages_are_the_derivatives_of_fitted_values(fitted):
    m = fitted("sleepstudy_intercept")
    X, Z, Lambda = m.getME("X"), m.getME("Z").toarray(), m.getME("Lambda").toarray()
    V = np.eye(180) + Z @ Lambda @ Lambda.T @ Z.T
    inverse = np.linalg.inv(V)
    P = X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    hat = P + (np.eye(180) - inverse) @ (np.eye(180) - P)
    np.testing.assert_allclose(m.hatvalues(), np.diag(hat), rtol=1e-8)


def test_leverages_of_a_generalized_model(fitted):
    m = fitted("cbpp")
    rows = np.hstack([m.getME("Z").toarray(), m.getME("X")])
    expected = m.row_information * np.einsum("ij,jk,ik->i", rows, m.vcov(full=True), rows)
    np.testing.assert_allclose(m.hatvalues(), expected, rtol=1e-8)
    assert m.hatvalues().between(0, 1).all()


@pytest.mark.parametrize("name", ["machines", "grouseticks"])
def test_leverages_from_the_factorization_and_from_sparse_solves(name, fitted):
    m = fitted(name)
    rows = [(term.Z, term.codes) for term in m.random]
    expected = m.row_information * solved_variances(m.joint_system(), m.design.X, rows)
    np.testing.assert_allclose(m.hatvalues(), expected, rtol=1e-8)
