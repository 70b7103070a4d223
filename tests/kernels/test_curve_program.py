"""The compiled pass over the rows of a mean against NumPy's functions one after the other."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixedmodels.formula.design.build_nonlinear import build_nonlinear_design
from mixedmodels.kernels import curve_program

pytestmark = pytest.mark.skipif(not curve_program.COMPILED, reason="nothing is compiled")

#: Every operation that is compiled, in means of x > 0 with parameters a and b.
MEANS = (
    "a * exp(-b * x) + log(a + x) / sqrt(b + 1)",
    "a^2 / (x + b) - x^b + (a + x)^b",
    "a * plogis((x - b) / 2) + log1p(b * x) - expm1(-a * x)",
    "sin(a * x) + cos(b) * tanh(x - a) + abs(a - x) - 3",
    "ifelse(x < a, a + b * x, a + b * a) + pmin(b * x, a) - pmax(a, x)",
    "ifelse(x >= a & x != b, a, b * x) + (x <= a) * b + (x > b | x < 1) + (x == 1) * a",
)
#: Rows less than a block, a block, and several that are not full.
SIZES = (1, 32, 77)


def _bound(text, n):
    rng = np.random.default_rng(n)
    data = pd.DataFrame({"x": np.append(rng.uniform(0.2, 4.0, n - 1), 1.0), "y": rng.normal(size=n)})
    data["g"] = (np.arange(n) % 3).astype(str)
    design = build_nonlinear_design(f"y ~ {text} ~ a | g", data, start={"a": 1.0, "b": 1.0})
    return design.mean, 1.5 + rng.uniform(-1.0, 1.0, (2, n))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("text", MEANS)
def test_compiled_rows_are_those_of_numpy(text, n):
    mean, phi = _bound(text, n)
    compiled = (mean.value(phi), *mean.jacobian(phi), *mean.hessian(phi))
    for order, recorded in list(mean.programs.items()):
        assert recorded.encoded is not None
        mean.programs[order] = replace(recorded, encoded=None)
    numpy = (mean.value(phi), *mean.jacobian(phi), *mean.hessian(phi))
    for ours, theirs in zip(compiled, numpy, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def test_parameters_that_are_a_view_are_read_right():
    mean, phi = _bound(MEANS[0], 40)
    np.testing.assert_array_equal(mean.value(np.asfortranarray(phi)), mean.value(phi))


def test_parameters_of_other_rows_are_refused():
    mean, phi = _bound(MEANS[0], 40)
    with pytest.raises(ValueError, match="data of 40 rows and parameters of 39"):
        mean.value(phi[:, :39])


def test_every_code_is_asked_for_by_a_mean():
    asked = set()
    for text in MEANS:
        mean, phi = _bound(text, 5)
        mean.hessian(phi)
        asked |= {function for function, _, _ in mean.programs[2].program.operations}
    assert set(curve_program.CODES) <= asked
