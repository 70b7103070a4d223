"""The pass over the rows of the plainest models against the way of all models."""

import re

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.linear import problem
from mixedmodels.engines.linear.one_factor_products import is_plain
from mixedmodels.formula import build_design
from mixedmodels.kernels import level_products

pytestmark = pytest.mark.skipif(not level_products.COMPILED, reason="nothing is compiled")

FORMULAS = (
    "y ~ x + (x | g)",
    "y ~ x + (1 | g)",
    "y ~ 1 + (1 | g)",
    "y ~ x * z + (x + z | g)",
    "y ~ f + x + (0 + x | g)",
    "y ~ f * x + (f | g)",
    "y ~ log(z + 9) + I(x^2) + (I(x^2) | g)",
    "y ~ 0 + x + (0 + x | g)",
    "y ~ f + (0 + f | g)",
)
#: Two orders of summation of a hundred numbers.
CLOSE = 1e-12


def _data(seed):
    rng = np.random.default_rng(seed)
    n, q = int(rng.integers(80, 150)), int(rng.integers(4, 12))
    g = rng.integers(0, q, n)
    x, z = 10.0 ** rng.uniform(-2, 3) * rng.normal(size=n), rng.normal(size=n)
    y = rng.normal(size=q)[g] + x / np.abs(x).max() + rng.normal(size=n)
    key = {0: g, 1: pd.Categorical([f"l{k}" for k in g]), 2: [f"s{k}" for k in g], 3: g.astype(float)}
    data = pd.DataFrame({"y": y, "x": x, "z": z, "g": key[seed % 4], "f": rng.choice(list("abc"), n)})
    if seed % 3 == 0:
        data.loc[rng.choice(n, 6, replace=False), "x"] = np.nan
        data.loc[rng.choice(n, 3, replace=False), "y"] = np.nan
    return data


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("seed", range(4))
def test_cross_products_are_those_of_the_way_of_all(monkeypatch, formula, seed):
    design = build_design(formula, _data(seed))
    y = design.response.values
    ours = problem.linear_problem(y, design.fixed, design.random)
    assert is_plain(design.random, design.fixed)
    monkeypatch.setattr(problem, "is_plain", lambda *_: False)
    theirs = problem.linear_problem(y, design.fixed, design.random)
    for mine, its in (
        (ours.equations.A.faces[0], theirs.equations.A.faces[0]),
        (ours.equations.A.XZ[0], theirs.equations.A.XZ[0]),
        (ours.equations.A.XX, theirs.equations.A.XX),
        (ours.equations.rhs.Z[0], theirs.equations.rhs.Z[0]),
        (ours.column_bases[0].C, theirs.column_bases[0].C),
    ):
        size = max(1.0, float(np.abs(its).max(initial=0.0)))
        np.testing.assert_allclose(mine, its, rtol=CLOSE, atol=CLOSE * size)
    assert ours.equations.rss == pytest.approx(theirs.equations.rss, rel=CLOSE)
    assert ours.pattern.blocks[0].terms == theirs.pattern.blocks[0].terms
    assert ours.description() == theirs.description()


def test_weights_and_two_factors_go_the_way_of_all(monkeypatch):
    asked = []
    monkeypatch.setattr(problem, "plain_products", lambda *_: asked.append(1))
    data = _data(1).assign(w=np.linspace(1, 2, len(_data(1))), h=lambda d: d["f"])
    mm.lmer("y ~ x + (1 | g)", data, weights="w")
    mm.lmer("y ~ x + (1 | g) + (1 | h)", data)
    mm.lmer("y ~ x + (x || g)", data)
    assert not asked


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("formula", FORMULAS[:4])
def test_the_fit_is_the_same(monkeypatch, formula, seed):
    data = _data(seed)
    ours = mm.lmer(formula, data)
    monkeypatch.setattr(problem, "is_plain", lambda *_: False)
    theirs = mm.lmer(formula, data)
    assert ours.REMLcrit() == pytest.approx(theirs.REMLcrit(), rel=1e-11)
    np.testing.assert_allclose(ours.fixef(), theirs.fixef(), rtol=1e-6, atol=1e-9)
    assert ours.convergence().verdict == theirs.convergence().verdict


@pytest.mark.parametrize("formula", FORMULAS)
def test_shared_columns_are_the_bars_own(formula):
    # What fixed effects and bar have in common is one array; the bar alone makes its own.
    data = _data(1)
    bar = formula[re.search(r"\([^()]*(\([^()]*\))?[^()]* \| g\)", formula).start() :]
    alone = build_design(f"y ~ 1 + {bar}", data).random[0]
    together = build_design(formula, data).random[0]
    np.testing.assert_array_equal(alone.Z, together.Z)
    assert alone.columns == together.columns
