"""Variances of arbitrary rows, levels that never met among them, against the dense inverse."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.factorization.constant.dense_tail import DenseTail
from mixedmodels.factorization.constant.sparse_tail import SparseTail
from mixedmodels.fits.joint_covariance import JointCovariance, covariance_of_rows, row_variances
from mixedmodels.fits.mixed_model_equations import joint_covariance, joint_system
from mixedmodels.formula import build_design
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.model_terms import random_effects_matrix

FORMULAS = {
    "one factor": ("y ~ x + (x | g)", DenseTail, 1),
    "one factor, two terms": ("y ~ x + (1 | g) + (0 + x | g)", DenseTail, 1),
    "nested": ("y ~ x + (x | g) + (1 | above)", DenseTail, 2),
    "crossed, few": ("y ~ x + (1 | g) + (1 | few) + (x | three)", DenseTail, 1),
    "nested and crossed": ("y ~ x + (1 | g) + (x | above) + (1 | few)", DenseTail, 2),
    "crossed, sparse": ("y ~ x + (1 | g) + (1 | neighbour)", SparseTail, 1),
    "two in a sparse tail": ("y ~ x + (x | g) + (1 | neighbour) + (x | third)", SparseTail, 1),
    "nested and sparse": ("y ~ x + (x | g) + (1 | neighbour) + (1 | above)", SparseTail, 1),
}
#: Levels of the largest factor: with fewer no tail is worth a sparse factorization.
LEVELS = 450


@cache
def built(name: str) -> tuple[Design, np.ndarray, np.ndarray]:
    """Return a design with its theta and weights of the rows."""
    rng = np.random.default_rng(11)
    n = 4 * LEVELS
    g = np.concatenate([np.arange(LEVELS), rng.integers(0, LEVELS, n - LEVELS)])
    data = pd.DataFrame({"g": g, "above": g // 5, "x": rng.normal(size=n) + 3.0, "y": rng.normal(size=n)})
    data["neighbour"] = np.minimum(g + rng.integers(0, 3, n), LEVELS - 10)
    data["third"] = np.minimum(g + rng.integers(0, 3, n), LEVELS - 20)
    data["few"], data["three"] = rng.integers(0, 12, n), rng.integers(0, 3, n)
    factors = ["g", "above", "neighbour", "third", "few", "three"]
    data[factors] = data[factors].astype(str)
    design = build_design(FORMULAS[name][0], data)
    theta = np.concatenate([np.array([0.8, 0.3, 0.5])[: {1: 1, 2: 3}[t.size]] for t in design.random])
    return design, theta, rng.uniform(0.5, 2.0, n)


def random_rows(design: Design, m: int) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Return rows at random levels, of which most never met; terms on one factor share them."""
    rng = np.random.default_rng(5)
    codes = {term.group: rng.integers(0, term.n_levels, m).astype(np.int32) for term in design.random}
    # Some rows of the data too, whose levels did meet.
    for term in design.random:
        codes[term.group][: m // 3] = term.codes[: m // 3]
    return rng.normal(size=(m, 2)), [(rng.normal(size=(m, t.size)), codes[t.group]) for t in design.random]


@pytest.mark.parametrize("name", FORMULAS)
def test_variances_at_any_levels(name):
    design, theta, weights = built(name)
    found = covariance_of_rows(design.X, design.random, theta, weights)
    assert isinstance(found.entries.factor.tail, FORMULAS[name][1])
    assert len(found.entries.pattern.chain) >= FORMULAS[name][2]
    X, rows = random_rows(design, 90)
    C = joint_covariance(joint_system(design.X, design.random, theta, weights))
    Z = random_effects_matrix(
        tuple(replace(term, Z=Z, codes=codes) for term, (Z, codes) in zip(design.random, rows, strict=True)),
        len(X),
    ).toarray()
    whole = np.hstack([Z, X])
    expected = np.einsum("ij,jk,ik->i", whole, C, whole, optimize=True)
    np.testing.assert_allclose(row_variances(found, X, rows), expected, rtol=1e-9)
    _leaving_terms_out(found, C, X, rows, Z)


def _leaving_terms_out(
    found: JointCovariance, C: np.ndarray, X: np.ndarray, rows: list, Z: np.ndarray
) -> None:
    """Check that empty rows leave a term out."""
    empty = [(np.zeros_like(part), codes) for part, codes in rows]
    whole = np.hstack([np.zeros_like(Z), X])
    expected = np.einsum("ij,jk,ik->i", whole, C, whole, optimize=True)
    np.testing.assert_allclose(row_variances(found, X, empty), expected, rtol=1e-9)


def test_columns_of_a_few_batches_are_those_of_one(monkeypatch):
    design, theta, weights = built("two in a sparse tail")
    found = covariance_of_rows(design.X, design.random, theta, weights)
    X, rows = random_rows(design, 60)
    expected = row_variances(found, X, rows)
    monkeypatch.setattr("mixedmodels.factorization.constant.inverse_entries.BATCH_ELEMENTS", 2**15)
    np.testing.assert_allclose(row_variances(found, X, rows), expected, rtol=1e-11)


def test_levels_with_a_known_covariance():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(12, 12))
    kinship = pd.DataFrame(root @ root.T / 12 + np.eye(12))
    kinship.index = kinship.columns = [f"a{k:02d}" for k in range(12)]
    g = np.tile(np.arange(12), 10)
    data = pd.DataFrame({"g": kinship.index[g], "h": (g + rng.integers(0, 4, 120)).astype(str)})
    data["y"] = rng.multivariate_normal(np.zeros(12), kinship)[g] + rng.normal(size=120)
    m = mm.lmer("y ~ 1 + (1 | g) + (1 | h)", data, relmat={"g": kinship})
    C = m.vcov(full=True).to_numpy()
    rows = np.hstack([m.getME("Z").toarray(), m.getME("X")])
    expected = np.sqrt(np.einsum("ij,jk,ik->i", rows, C, rows))
    np.testing.assert_allclose(m.predict(se_fit=True)["se_fit"], expected, rtol=1e-8)
