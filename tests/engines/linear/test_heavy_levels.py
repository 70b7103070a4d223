"""Heavy levels of a crossed factor, kept for the tail: the same model as without."""

from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import conditional_covariances, objective_and_gradient
from mixedmodels.factorization import heavy_levels
from mixedmodels.factorization.constant import choose
from mixedmodels.formula import build_design

FORMULAS = [
    "y ~ x + (1 | a) + (1 | b)",
    "y ~ x + (x | a) + (1 | b)",
    "y ~ x + (x || a) + (x | b) + (1 | c)",
    "y ~ x + (1 | a) + (1 | b) + (1 | outer)",
]


def _split():
    """Return contexts in which small models are split, whatever it costs."""
    return (
        patch.object(heavy_levels, "LEAST_TAIL", 50),
        patch.object(heavy_levels, "LIGHT_PAIRS", 0.1),
        patch.object(heavy_levels, "MOST_HEAVY", 10.0),
        patch.object(choose, "LEAST_SPARSE", 0),
        patch.object(choose, "FLOP_SECONDS", np.inf),
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(16)
    n, levels = 2500, {"a": 400, "b": 150, "c": 6}
    codes = {}
    for name, q in levels.items():
        shares = 1.0 / np.arange(1, q + 1)
        codes[name] = rng.choice(q, size=n, p=shares / shares.sum())
    codes["outer"] = codes["a"] % 15
    x = rng.normal(size=n)
    y = 0.5 * x + rng.normal(size=n) + 0.3 * rng.normal(size=400)[codes["a"]] * x
    for code in codes.values():
        y += 0.7 * rng.normal(size=400)[code]
    return pd.DataFrame({"y": y, "x": x, **{k: v.astype(str) for k, v in codes.items()}})


def _in_context(make):
    contexts = _split()
    for context in contexts:
        context.start()
    try:
        return make()
    finally:
        for context in contexts:
            context.stop()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
def test_the_split_changes_no_number(data, formula, weighted):
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 2.0, len(data)) * (rng.random(len(data)) > 0.05) if weighted else None
    design = build_design(formula, data, weights=weights)
    arguments = (design.response.values, design.X, design.random, design.weights)
    split, whole = _in_context(lambda: linear_problem(*arguments)), linear_problem(*arguments)
    assert split.equations.split is not None and whole.equations.split is None
    assert len(split.equations.split.heavy) and len(split.equations.split.light)
    for theta in (0.3 + rng.uniform(size=whole.n_theta), np.zeros(whole.n_theta)):
        for REML in (True, False):
            ours, theirs = (objective_and_gradient(p, theta, REML) for p in (split, whole))
            assert ours[0] == pytest.approx(theirs[0], rel=1e-11)
            np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-8, atol=1e-7)
        for V, expected in zip(*(conditional_covariances(p, theta) for p in (split, whole)), strict=True):
            np.testing.assert_allclose(V, expected, atol=1e-11)


def test_fits_and_predictions_are_the_same(data):
    new = data.iloc[:60].assign(b=data["b"].iloc[60:120].array)
    formula = "y ~ x + (x | a) + (1 | b) + (1 | c)"

    def everything():
        fit = mm.lmer(formula, data)
        # The factorization is made when it is asked for.
        se = [fit.predict(rows, se_fit=True)["se_fit"] for rows in (data, new)]
        return fit.REMLcrit(), fit.ranef(), *se, fit.hatvalues(), fit.factorization

    ours, plain = _in_context(everything), everything()
    assert "sparse tail" in str(ours[-1]) and str(ours[-1]).count("\na ") == 2
    assert ours[0] == pytest.approx(plain[0], rel=1e-10)
    for group, effects in plain[1].items():
        np.testing.assert_allclose(ours[1][group], effects, atol=1e-5)
    for mine, expected in zip(ours[2:5], plain[2:5], strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-6)


def test_even_levels_are_not_split():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"y": rng.normal(size=9000)})
    for name, levels in (("a", 3000), ("b", 2100)):
        data[name] = (rng.permutation(9000) % levels).astype(str)
    design = build_design("y ~ 1 + (1 | a) + (1 | b)", data)
    assert linear_problem(design.response.values, design.X, design.random).equations.split is None
