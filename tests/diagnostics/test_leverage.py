"""Leverages against the dense hat matrix."""

from __future__ import annotations

import numpy as np
import pytest

from mixedmodels.fits import mixed_model_equations as joint_covariance


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
def test_many_effects_take_the_sparse_route_to_the_same_values(name, fitted, monkeypatch):
    dense = fitted(name).hatvalues()
    monkeypatch.setattr(joint_covariance, "DENSE_LIMIT", 0)
    np.testing.assert_allclose(fitted(name).hatvalues(), dense, rtol=1e-8)
