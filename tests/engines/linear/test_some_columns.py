"""Columns of X left out by cross-products give what the rows give."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import evaluate, solve
from mixedmodels.engines.linear.some_columns import can_leave_out, with_column_held, with_columns
from mixedmodels.inference import drop1 as drop1_module

RNG = np.random.default_rng(20261128)
N = 400
G, H = RNG.integers(25, size=N), RNG.integers(12, size=N)
DATA = pd.DataFrame({
    "x": RNG.normal(size=N) + 50.0, "z": RNG.normal(size=25)[G], "w": RNG.uniform(0.5, 2.0, size=N),
    "f": pd.Categorical.from_codes(RNG.integers(3, size=N), ["a", "b", "c"]),
    "k": pd.Categorical.from_codes(RNG.integers(4, size=N), list("pqrs")),
    "g": G.astype(str), "h": H.astype(str),
})  # fmt: skip
DATA["y"] = (
    0.3 * DATA["x"] + RNG.normal(size=25)[G] + 0.5 * RNG.normal(size=12)[H] + RNG.normal(size=N) + 1000.0
)

FITS = {
    "one factor": lambda REML: mm.lmer("y ~ x + z + f + (1 | g)", DATA, REML),
    "slopes and weights": lambda REML: mm.lmer("y ~ x * f + (x | g)", DATA, REML, weights="w", offset="x"),
    "crossed": lambda REML: mm.lmer("y ~ x + f + (1 | g) + (1 | h)", DATA, REML),
    "nested": lambda REML: mm.lmer("y ~ x + f + (1 | g/h)", DATA, REML),
}


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("name", FITS)
def test_columns_left_out_as_if_never_there(name, REML):
    m = FITS[name](REML)
    design, p = m.design, m.design.X.shape[1]
    assert can_leave_out(m.problem)
    for kept in ([0], [1, 2], list(range(1, p)), [0, p - 1]):
        ours = with_columns(m.problem, np.array(kept))
        rows = linear_problem(m.y, design.X[:, kept], design.random, design.weights, design.offset)
        for theta in (m.theta_values, 2.0 * m.theta_values + 0.1):
            assert evaluate(ours, theta, REML) == pytest.approx(evaluate(rows, theta, REML), abs=1e-8)
        one, other = solve(ours, m.theta_values, REML), solve(rows, m.theta_values, REML)
        np.testing.assert_allclose(one.beta, other.beta, rtol=1e-8)
        np.testing.assert_allclose(one.unscaled_vcov, other.unscaled_vcov, rtol=1e-8)
        again = ours.with_response(m.y + design.X[:, 1])
        rows = rows.with_response(m.y + design.X[:, 1])
        assert evaluate(again, m.theta_values, REML) == pytest.approx(
            evaluate(rows, m.theta_values, REML), abs=1e-8
        )


@pytest.mark.parametrize("name", FITS)
def test_a_column_held_at_a_value(name):
    m = FITS[name](True)
    design, k, value = m.design, 1, 0.7
    held = with_column_held(m.problem, k, value)
    others = np.delete(design.X, k, axis=1)
    y = m.y - value * design.X[:, k]
    rows = linear_problem(y, others, design.random, design.weights, design.offset)
    assert evaluate(held.problem, m.theta_values, True) == pytest.approx(
        evaluate(rows, m.theta_values, True), abs=1e-8
    )
    root = np.ones(N) if design.weights is None else np.sqrt(design.weights)
    Q = np.linalg.qr(others * root[:, None])[0]

    def left(v):
        return v - Q @ (Q.T @ v)

    own = left(design.X[:, k] * root)
    e = left((y if design.offset is None else y - design.offset) * root)
    assert held.products == pytest.approx((own @ e, own @ own), rel=1e-8, abs=1e-7)
    block = m.problem.pattern.blocks[0]
    term = design.random[block.terms[0]]
    sums = np.bincount(term.codes, own * root * m.problem.column_bases[0].columns(term.Z)[:, 0])
    np.testing.assert_allclose(held.column.Z[0][0], sums, atol=1e-9)


@pytest.mark.parametrize("name", FITS)
def test_drop1_is_that_of_refits_from_rows(name, monkeypatch):
    m = FITS[name](False)
    ours = m.drop1()
    monkeypatch.setattr(drop1_module, "columns_without", lambda design, label: None)
    rows = m.drop1()
    pd.testing.assert_frame_equal(pd.DataFrame(ours), pd.DataFrame(rows), rtol=1e-7, atol=2e-8)


@pytest.mark.parametrize(
    ("formula", "label", "is_same"),
    [
        ("y ~ f * k + x + (1 | g)", "x", True),
        ("y ~ f * k + x + (1 | g)", "f:k", True),
        ("y ~ x + f + f:x + k:x + (1 | g)", "x:k", True),
        ("y ~ f + f:k + x:f + (1 | g)", "f:x", True),
        ("y ~ 0 + f + x + k + (1 | g)", "f", False),
        # Without x:f the other term has k in full.
        ("y ~ x:f + f:k + (1 | g)", "x:f", False),
    ],
)
def test_columns_of_others_that_change_are_noticed(formula, label, is_same):
    m = mm.lmer(formula, DATA, REML=False)
    kept = drop1_module.columns_without(m.design, label)
    assert (kept is not None) == is_same
    if kept is not None:
        np.testing.assert_allclose(
            m.design.X[:, kept], drop1_module.without_term(m, label).X, rtol=0, atol=1e-12
        )
