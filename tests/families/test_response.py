"""From the left side of a formula to what the family reads, and what is refused."""

import numpy as np
import pytest

from mixedmodels import families as mf
from mixedmodels.errors import DataWarning, FamilyError
from mixedmodels.families import initialize
from mixedmodels.formula.design import Response


def _numeric(*values):
    return Response("y", "numeric", np.array(values, dtype=float))


def test_cbind_becomes_proportions_among_trials():
    response = Response("cbind(a, b)", "cbind", np.array([2.0, 0.0, 3.0]), np.array([2.0, 0.0, 0.0]))
    y, weights = initialize(response, None, mf.binomial())
    np.testing.assert_array_equal(y, [0.5, 0.0, 1.0])
    np.testing.assert_array_equal(weights, [4.0, 0.0, 3.0])
    y, weights = initialize(response, np.array([1.0, 1.0, 2.0]), mf.betabinomial())
    np.testing.assert_array_equal(weights, [4.0, 0.0, 6.0])


def test_a_factor_is_its_first_level_against_the_others():
    response = Response("f", "factor", np.array([0.0, 1.0, 2.0]), levels=("low", "mid", "high"))
    y, weights = initialize(response, None, mf.binomial())
    np.testing.assert_array_equal(y, [0.0, 1.0, 1.0])
    np.testing.assert_array_equal(weights, 1.0)


def test_logical_and_numeric_responses_stay_as_they_are():
    y, _ = initialize(Response("a > 1", "logical", np.array([0.0, 1.0])), None, mf.binomial())
    np.testing.assert_array_equal(y, [0.0, 1.0])
    y, weights = initialize(_numeric(0.25, 0.5), np.array([4.0, 2.0]), mf.binomial())
    np.testing.assert_array_equal((y, weights), [[0.25, 0.5], [4.0, 2.0]])


@pytest.mark.parametrize(
    ("response", "weights", "family", "words"),
    [
        (_numeric(0.0, 3.0, 2.0), None, mf.binomial(), r"between 0 and 1.*Row 1 .*holds 3; 2 rows"),
        (_numeric(0.0, np.nan), None, mf.binomial(), "Row 1"),
        (_numeric(1.0, -2.0), None, mf.poisson(), r"counts 0, 1, 2.*Row 1 .*holds -2"),
        (_numeric(1.0, 2.5), None, mf.poisson(), r"whole numbers.*offset log\(exposure\).*Row 1 .*holds 2.5"),
        (_numeric(1.0, 2.5), None, mf.nbinom2(), "whole numbers"),
        (_numeric(1.0, 0.0), None, mf.Gamma(), r"greater than zero.*Row 1 .*holds 0"),
        (_numeric(1.0, -1.0), None, mf.inverse_gaussian(), "greater than zero"),
        (_numeric(0.2, 1.0), None, mf.beta(), r"strictly between 0 and 1.*Row 1"),
        (_numeric(0.0, 1.0), None, mf.betabinomial(), "With single trials"),
        (
            _numeric(0.3, 0.5),
            np.array([4.0, 4.0]),
            mf.betabinomial(),
            r"whole numbers of successes.*holds 1.2",
        ),
        (_numeric(1.0, np.inf), None, mf.gaussian(), "finite"),
        (_numeric(1.0, 2.0), np.array([1.0, -1.0]), mf.poisson(), r"weights.*Row 1 .*holds -1"),
        (_numeric(1.0, 2.0), np.array([1.0, np.nan]), mf.gaussian(), "weights"),
        (_numeric(1.0, 2.0), None, mf.poisson(zi=True), "no zeros"),
        (_numeric(1.0, 2.0), None, mf.truncated_poisson(zi=True), "zi=False"),
        (_numeric(0.0, 2.0), None, mf.truncated_poisson(), r"Row 0 .*holds 0"),
        (_numeric(-1.0, 2.0), None, mf.quasipoisson(), ">= 0"),
        (_numeric(0.5, 2.0), None, mf.quasibinomial(), "between 0 and 1"),
        (_numeric(0.0, 2.0), None, mf.quasi("log", "mu^2"), "greater than zero"),
        (
            Response("cbind(a, b)", "cbind", np.array([2.0, 1.0]), np.array([2.0, -1.0])),
            None,
            mf.binomial(),
            r"cbind\(a, b\).*Row 1 .*holds 1 and -1",
        ),
        (
            Response("cbind(a, b)", "cbind", np.array([2.0]), np.array([2.0])),
            None,
            mf.poisson(),
            "two columns, which only the binomial families",
        ),
        (
            Response("f", "factor", np.array([0.0, 1.0]), levels=("no", "yes")),
            None,
            mf.poisson(),
            "categorical .levels no, yes.",
        ),
    ],
)
def test_refusals_name_the_row(response, weights, family, words):
    with pytest.raises(FamilyError, match=words):
        initialize(response, weights, family)


def test_fractional_successes_are_used_with_a_warning():
    with pytest.warns(DataWarning, match=r"not a whole number of successes in 1 rows .row 0.*0.3 of 1"):
        initialize(_numeric(0.3, 1.0), None, mf.binomial())
    # Where no count is meant there is nothing to warn about.
    initialize(_numeric(0.3, 1.0), None, mf.quasibinomial())
    initialize(_numeric(0.0, 1.0), np.array([0.5, 1.5]), mf.binomial())


def test_quasi_families_take_fractions():
    y, _ = initialize(_numeric(0.5, 2.25), None, mf.quasipoisson())
    np.testing.assert_array_equal(y, [0.5, 2.25])
