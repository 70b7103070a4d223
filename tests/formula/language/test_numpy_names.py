"""NumPy's names of functions that the formula language has: the same columns under R's names."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.formula import build_design
from mixedmodels.formula.evaluation.functions import FUNCTIONS, VARIADIC
from mixedmodels.formula.language.numpy_names import NUMPY_NAMES

DATA = pd.DataFrame(
    {"x": np.linspace(0.1, 0.9, 40), "z": np.tile([0.3, 0.7], 20), "g": np.repeat(range(8), 5)}
)
DATA["y"] = 3.0 + np.sin(7 * DATA["x"]) + DATA["g"] / 5
OF_TWO = {"np.maximum": "x, z", "np.minimum": "x, z", "np.where": "x > 0.5, z, x"}


def test_every_name_is_one_of_the_language():
    assert set(NUMPY_NAMES.values()) <= {*FUNCTIONS, *VARIADIC}


@pytest.mark.parametrize("name", [name for name in NUMPY_NAMES if name.startswith("np.")])
def test_columns_are_those_that_numpy_makes(name):
    short = name.removeprefix("np.")
    if not hasattr(np, short):
        pytest.skip("a name of NumPy 2")
    arguments = OF_TWO.get(name, "x")
    columns = {"x": DATA["x"].to_numpy(), "z": DATA["z"].to_numpy()}
    expected = eval(f"f({arguments})", {"f": getattr(np, short), **columns})
    design = build_design(f"y ~ 0 + I(1 + z * x + {name}({arguments}))", DATA)
    np.testing.assert_allclose(design.X[:, 0], 1 + columns["z"] * columns["x"] + expected, rtol=1e-14)
    assert f"{NUMPY_NAMES[name]}({arguments}" in design.x_names[0]


@pytest.mark.parametrize("package", ["np", "numpy", "math"])
def test_a_model_is_the_one_of_the_plain_names(package):
    formula = "log(y) ~ sqrt(x) + exp(z) + (1 | g)"
    typed = formula.replace("log", f"{package}.log").replace("sqrt", f"{package}.sqrt")
    ours, theirs = mm.lmer(formula, DATA), mm.lmer(typed.replace("exp", f"{package}.exp"), DATA)
    assert theirs.formula() == formula
    assert theirs.fixef().equals(ours.fixef())
    new = DATA.head(3).assign(x=[0.2, 0.4, 0.8])
    assert theirs.predict(new).equals(ours.predict(new))
    assert math.isclose(theirs.loglik(), mm.update(theirs, ". ~ .").loglik(), rel_tol=1e-12)


def test_in_other_arguments_too():
    ours = mm.lmer("y ~ x + (1 | g)", DATA, weights="sqrt(x)", subset="log(x) > -1", offset="exp(z)")
    theirs = mm.lmer(
        "y ~ x + (1 | g)", DATA, weights="np.sqrt(x)", subset="np.log(x) > -1", offset="np.exp(z)"
    )
    assert theirs.fixef().equals(ours.fixef())


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        ("np.std(x)", "scale"),
        ("np.square(x)", r"I\(x\^2\)"),
        ("np.power(x, 2)", r"I\(x\^2\)"),
        ("np.foo(x)", "env"),
    ],
)
def test_others_say_what_to_write(call, advice):
    with pytest.raises(mm.FormulaError, match=advice):
        mm.lmer(f"y ~ {call} + (1 | g)", DATA)


def test_a_function_of_the_callers_own():
    model = mm.lmer("y ~ np.cbrt(x) + (1 | g)", DATA, env={"np.cbrt": np.cbrt})
    assert list(model.fixef().index) == ["(Intercept)", "np.cbrt(x)"]
