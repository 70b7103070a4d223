"""Splines whose knots coincide, with each other or with the boundary, are those of R."""

import numpy as np
import pytest

from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.parse import parse_expression

DATA = {"x": np.tile(np.arange(4.0), 5), "z": np.linspace(0.0, 10.0, 20)}
# colSums(basis * (1:20)) of R 4.2.2, printed with 6 decimals.
R = {
    "ns(x, df = 4)": [38.888889, 13.282146, 55.801711, 25.514909],
    "bs(x, df = 6)": [3.703704, 27.808642, 38.888889, 30.524691, 4.074074, 60],
    "bs(x, df = 8)": [45, 5.555556, 27.777778, 35, 30.555556, 6.111111, 60, 0],
    "bs(x, df = 12)": [0, 45, 0, 16.666667, 33.333333, 0, 36.666667, 18.333333, 0, 60, 0, 0],
    "ns(z, knots = c(3, 3, 6))": [44.47336, 40.61342, 60.57643, 40.35977],
    "ns(z, knots = c(3, 3, 3))": [38.95385, 34.95922, 58.51348, 63.07478],
    "ns(z, knots = c(3, 3, 3, 3))": [6.501326, 32.45252, 34.95922, 58.51348, 63.07478],
    "bs(z, knots = c(3, 3, 3, 3))": [4.637864, 6.350132, 6.501326, 32.45252, 39.99899, 48.43394, 68.11455],
    "ns(z, knots = c(0, 5))": [45.1541, 82.75501, 43.35966],
    "bs(z, knots = c(0, 5))": [7.33066, 31.79851, 49.87462, 67.39962, 53.59659],
    "bs(z, knots = c(-5, 5))": [7.33066, 31.79851, 49.87462, 67.39962, 53.59659],
}
PRINTED_DIGITS = 6e-6


@pytest.mark.parametrize("text", R)
def test_repeated_knots_are_those_of_R(text):
    basis = formula_evaluator(input_frame(DATA), text, {}, States()).value(parse_expression(text)).values
    np.testing.assert_allclose(np.arange(1, 21) @ basis, R[text], atol=PRINTED_DIGITS)
