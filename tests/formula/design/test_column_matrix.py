"""A matrix in pieces against the same matrix as one array, and fits with either."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.formula.design import coding
from mixedmodels.formula.design.column_matrix import CodedColumns, ColumnMatrix
from mixedmodels.formula.design.fixed_effects import independent_columns


def random_matrix(rng, n):
    """Return dense columns, two sets of coded ones of one coding and one of another."""
    f, h = rng.integers(6, size=n).astype(np.int32), rng.integers(4, size=n).astype(np.int32)
    x = rng.normal(size=n)
    return ColumnMatrix(
        (
            np.column_stack([np.ones(n), x]),
            CodedColumns(f, np.eye(6)[:, 1:], None),
            CodedColumns(f, rng.normal(size=(6, 2)), x),
            CodedColumns(h, np.eye(4)[:, 1:], None),
            rng.normal(size=(n, 1)),
        ),
        n,
    )


@given(st.integers(0, 10_000), st.integers(20, 200))
def test_every_product_is_that_of_the_array(seed, n):
    rng = np.random.default_rng(seed)
    X = random_matrix(rng, n)
    D = X.dense
    e, w, beta = rng.normal(size=n), rng.uniform(0.0, 2.0, n), rng.normal(size=D.shape[1])
    g = rng.integers(5, size=n)
    np.testing.assert_allclose(X.gram, D.T @ D, atol=1e-10)
    assert np.array_equal(X.gram, X.gram.T)
    np.testing.assert_allclose(X @ beta, D @ beta, atol=1e-12)
    np.testing.assert_allclose(X @ np.outer(beta, [1, 2]), D @ np.outer(beta, [1, 2]), atol=1e-12)
    np.testing.assert_allclose(X.transposed_times(e), D.T @ e, atol=1e-11)
    np.testing.assert_allclose(X.sums_by(g, 5, e), D.T @ (np.eye(5)[g] * e[:, None]), atol=1e-11)
    np.testing.assert_allclose(X.sums_by(g, 5, None), D.T @ np.eye(5)[g], atol=1e-11)
    np.testing.assert_allclose(X.scaled(w).dense, D * w[:, None])
    np.testing.assert_allclose(X.scaled(w).gram, D.T @ (D * (w**2)[:, None]), atol=1e-10)
    rows = rng.permutation(n)[: n // 2]
    assert np.array_equal(X[rows], D[rows])
    np.testing.assert_allclose(X.at(rows).gram, D[rows].T @ D[rows], atol=1e-10)
    columns = np.flatnonzero(rng.integers(2, size=D.shape[1]))
    assert np.array_equal(X.take(columns).dense, D[:, columns])
    np.testing.assert_allclose(X.take(columns).gram, D[:, columns].T @ D[:, columns], atol=1e-10)
    assert independent_columns(X).tolist() == independent_columns(D).tolist()
    assert np.array_equal(pickle.loads(pickle.dumps(X)).dense, D)


def data(n=1500):
    rng = np.random.default_rng(3)
    f, h, g = (rng.integers(k, size=n) for k in (7, 4, 30))
    x = rng.normal(3.0, 1.0, n)
    y = x + f / 3 + h * x / 5 + rng.normal(size=30)[g] + rng.normal(size=n)
    frame = {"y": y, "x": x, "z": rng.normal(size=n), "w": rng.uniform(0.5, 2.0, n), "g": g}
    letters = {"f": pd.Categorical([f"f{k}" for k in f]), "h": pd.Categorical([f"h{k}" for k in h])}
    return pd.DataFrame(frame | letters).assign(t=frame["z"] > 0, o=pd.Categorical(h, ordered=True))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize(
    "fixed",
    [
        "f",
        "0 + f",
        "x * f",
        "f * h",
        "0 + f:h",
        "x:f",
        "f * h * x + t",
        "poly(x, 2) * f + o",
        "C(f, contr.sum):t:z",
    ],
)
def test_a_fit_by_codes_is_the_fit_of_the_array(fixed, weights, monkeypatch):
    formula, frame = f"y ~ {fixed} + (x | g)", data()
    plain = mm.lmer(formula, frame, weights=weights)
    monkeypatch.setattr(coding, "MOST_PLAIN", 0)
    monkeypatch.setattr(coding, "LEAST_CODED", 0)
    coded = mm.lmer(formula, frame, weights=weights)
    assert any(isinstance(piece, CodedColumns) for piece in coded.design.fixed.pieces)
    assert not any(isinstance(piece, CodedColumns) for piece in plain.design.fixed.pieces)
    assert np.array_equal(coded.design.X, plain.design.X)
    assert coded.REMLcrit() == pytest.approx(plain.REMLcrit(), abs=1e-8)
    np.testing.assert_allclose(coded.fixef(), plain.fixef(), atol=1e-9)
    np.testing.assert_allclose(coded.fitted(), plain.fitted(), atol=1e-9)
    np.testing.assert_allclose(coded.standard_errors(), plain.standard_errors(), rtol=1e-7)


def test_dependent_columns_of_factors_are_dropped_as_from_the_array(monkeypatch):
    frame = data()
    frame = frame[(frame["f"] != "f3") | (frame["h"] != "h2")].assign(x2=lambda d: 2 * d["x"] + 1)
    with pytest.warns(mm.DataWarning, match="rank deficient"):
        plain = mm.lmer("y ~ x + f * h + x2 + (1 | g)", frame)
    monkeypatch.setattr(coding, "MOST_PLAIN", 0)
    monkeypatch.setattr(coding, "LEAST_CODED", 0)
    with pytest.warns(mm.DataWarning, match="rank deficient"):
        coded = mm.lmer("y ~ x + f * h + x2 + (1 | g)", frame)
    assert plain.design.dropped == coded.design.dropped == ("x2", "ff3:hh2")
    assert coded.REMLcrit() == pytest.approx(plain.REMLcrit(), abs=1e-8)


def test_extreme_values_of_a_product_with_a_factor_are_named(monkeypatch):
    monkeypatch.setattr(coding, "MOST_PLAIN", 0)
    monkeypatch.setattr(coding, "LEAST_CODED", 0)
    frame = data().assign(x=lambda d: d["x"] * 1e80)
    with pytest.raises(mm.DataError, match="too large"):
        mm.lmer("y ~ x:f + (1 | g)", frame)


def test_large_data_never_have_the_array(monkeypatch):
    rng = np.random.default_rng(5)
    n = 30_000
    f, g = rng.integers(20, size=n), rng.integers(50, size=n)
    frame = pd.DataFrame(
        {"y": rng.normal(size=n) + f, "x": rng.normal(size=n), "f": np.char.add("f", f.astype(str)), "g": g}
    )
    of_few_rows = CodedColumns.dense

    def dense(columns):
        assert columns.shape[0] < n
        return of_few_rows(columns)

    monkeypatch.setattr(CodedColumns, "dense", dense)
    m = mm.lmer("y ~ x * f + (1 | g)", frame)
    assert m.convergence().is_optimum
    assert len(m.fitted()) == n
    assert m.refit(frame["y"] + 0.1 * frame["x"]).convergence().is_optimum
