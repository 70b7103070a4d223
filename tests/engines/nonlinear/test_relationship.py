"""Related levels in nonlinear models: the linear model where the curve is a line, dense algebra where not."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

CURVE = "y ~ A / (1 + exp(m - x)) ~ A | g"
START = {"A": 10.0, "m": 2.0}


def animals(q=15, rows=5, seed=5):
    """Return growth of related animals, and their relationship."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((q, q))
    A = M @ M.T / q + 0.5 * np.eye(q)
    A /= np.sqrt(np.outer(A.diagonal(), A.diagonal()))
    names = [f"a{k:02d}" for k in range(q)]
    b = 2.0 * np.linalg.cholesky(A) @ rng.standard_normal(q)
    g, x = np.repeat(np.arange(q), rows), np.tile(np.linspace(0.0, 4.0, rows), q)
    noise = 0.3 * rng.standard_normal(len(g))
    y = (10.0 + b[g]) / (1.0 + np.exp(2.0 - x)) + noise
    data = pd.DataFrame({"y": y, "line": 3.0 + b[g] + 0.5 * x + noise, "x": x, "g": [names[k] for k in g]})
    return data, pd.DataFrame(A, index=names, columns=names)


def fitted(data, A):
    return mm.nlmer(CURVE, data, start=START, relmat={"g": A}, method="lindstrom-bates")


def test_a_line_is_the_linear_model():
    data, A = animals()
    line = mm.nlmer(
        "line ~ a + k * x ~ a | g",
        data,
        start={"a": 3.0, "k": 0.5},
        relmat={"g": A},
        method="lindstrom-bates",
    )
    linear = mm.lmer("line ~ x + (1 | g)", data, relmat={"g": A}, REML=False)
    assert line.loglik() == pytest.approx(linear.loglik(), abs=1e-8)
    np.testing.assert_allclose(line.ranef()["g"], linear.ranef()["g"], atol=1e-6)


def test_a_curve_is_at_the_fixed_point_of_dense_algebra():
    data, A = animals()
    m = fitted(data, A)
    X, Z = m.nonlinear.mean.jacobian(_parameters(m, data))[1], np.zeros((len(data), len(A)))
    Z[np.arange(len(data)), np.repeat(np.arange(15), 5)] = X[0]
    b = m.ranef()["g"]["A"].reindex(A.index).to_numpy()
    theta = m.theta_values[0]
    work = data["y"] - m.fitted() + X.T @ m.fixef().to_numpy() + Z @ b
    V = np.eye(len(data)) + theta**2 * Z @ A.to_numpy() @ Z.T
    solved = np.linalg.solve(V, np.column_stack([X.T, work]))
    beta = np.linalg.solve(X @ solved[:, :2], X @ solved[:, 2])
    np.testing.assert_allclose(beta, m.fixef(), rtol=1e-6)
    rest = np.linalg.solve(V, work - X.T @ beta)
    np.testing.assert_allclose(theta**2 * A.to_numpy() @ Z.T @ rest, b, rtol=1e-5, atol=1e-6)


def _parameters(m, data):
    b = m.ranef()["g"]["A"].reindex(data["g"]).to_numpy()
    return np.stack([m.fixef()["A"] + b, np.full(len(data), m.fixef()["m"])])


def test_unrelated_levels_are_the_usual_model():
    data, A = animals()
    alone = mm.nlmer(CURVE, data, start=START, method="lindstrom-bates")
    unrelated = fitted(data, pd.DataFrame(4.0 * np.eye(len(A)), index=A.index, columns=A.columns))
    assert unrelated.loglik() == pytest.approx(alone.loglik(), abs=1e-8)
    np.testing.assert_allclose(unrelated.coef()["g"], alone.coef()["g"], rtol=1e-6)
    assert unrelated.loglik() != pytest.approx(fitted(data, A).loglik(), abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "lindstrom-bates"),
        ({"family": "poisson"}, "glmer"),
        ({"method": "lindstrom-bates", "residual": "ar1(1 | g)"}, "leave out residual"),
    ],
)
def test_where_there_are_no_related_levels_it_says_so(arguments, message):
    data, A = animals()
    with pytest.raises(mm.ControlError, match=message):
        mm.nlmer(CURVE, data.assign(y=data["y"].abs().round()), start=START, relmat={"g": A}, **arguments)
