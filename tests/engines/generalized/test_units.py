"""Standard errors of a generalized model follow the unit of a covariate, random slopes included."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm

FAULT = pd.read_csv(Path(__file__).parents[2] / "faults/glmm-se-scale/data.csv")
# Differences of an exact gradient are good to a millionth of a standard error and better.
SAME = 1e-5
FAMILIES = {
    "po": "poisson",
    "cbind(bi, five - bi)": "binomial",
    "ga": mm.Gamma(link="log"),
    "ig": mm.inverse_gaussian(link="log"),
    "nb": "nbinom2",
    "ln": mm.gaussian(link="log"),
}


def _data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(30), 8)
    x, w = rng.normal(size=(2, len(g)))
    eta = 0.5 + 0.3 * x + 0.5 * rng.normal(size=30)[g] + 0.4 * rng.normal(size=30)[g] * x
    mu = np.exp(eta)
    responses = {
        "po": rng.poisson(mu),
        "bi": rng.binomial(5, mu / (1.0 + mu)),
        "five": np.full(len(g), 5),
        "ga": rng.gamma(4.0, mu / 4.0),
        "ig": rng.wald(mu, 8.0 * mu.mean()),
        "nb": rng.negative_binomial(3, 3.0 / (3.0 + mu)),
        "ln": mu * np.exp(0.3 * rng.normal(size=len(g))),
    }
    return pd.DataFrame({"x": x, "w": w, "g": g.astype(str), **responses})


DATA = _data()


def _standard_errors(formula: str, family: object, data: pd.DataFrame) -> np.ndarray:
    model = mm.glmer(formula, data, family)
    assert model.hessian_covariance is not None
    return np.sqrt(np.diagonal(model.hessian_covariance))


@pytest.mark.parametrize("unit", [1e-8, 1e-3, 1.0, 1e4, 1e6, 1e8])
def test_the_standard_errors_of_the_fault_are_those_of_the_unit_one(unit):
    model = mm.glmer("y ~ x + (x | g)", FAULT.assign(x=FAULT.x * unit), "poisson")
    errors = np.sqrt(np.diagonal(model.vcov()))
    # Richardson's extrapolation of differences of the likelihood, unit 1.
    np.testing.assert_allclose(errors * [1.0, unit], [0.105592, 0.040455], rtol=3e-5)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.sampled_from([(r, t) for r in FAMILIES for t in ("(x | g)", "(x || g)", "(0 + x + w | g)")]),
    st.floats(-8.0, 8.0),
)
def test_every_standard_error_follows_the_unit(case, exponent):
    (response, term), unit = case, 10.0**exponent
    formula = f"{response} ~ x + {term}"
    plain = _standard_errors(formula, FAMILIES[response], DATA)
    scaled = _standard_errors(formula, FAMILIES[response], DATA.assign(x=DATA.x * unit))
    k = 2 if term == "(x || g)" else 3
    by_term = {"(x | g)": [0, 1, 1], "(x || g)": [0, 1], "(0 + x + w | g)": [1, 0, 0]}[term]
    powers = np.concatenate([by_term, [0, 1], np.zeros(len(plain) - k - 2)])
    np.testing.assert_allclose(scaled * unit**powers, plain, rtol=SAME)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(FAMILIES)), st.floats(-8.0, 8.0), st.floats(-100.0, 100.0))
def test_a_slope_has_its_standard_error_wherever_the_covariate_starts(response, exponent, shift):
    formula, unit = f"{response} ~ x + (x | g)", 10.0**exponent
    plain = _standard_errors(formula, FAMILIES[response], DATA)
    moved = _standard_errors(formula, FAMILIES[response], DATA.assign(x=(DATA.x + shift) * unit))
    # The slope's deviation and the fixed slope; what belongs to the intercept is another quantity.
    np.testing.assert_allclose(moved[4] * unit, plain[4], rtol=SAME)
