"""From the left side of a formula to what the family reads, and what is refused."""

import numpy as np
import pytest

from mixedmodels import families as mf
from mixedmodels.errors import DataWarning, FamilyError
from mixedmodels.families import initialize
from mixedmodels.formula.design.design import Response


def _numeric(*values):
    return Response("y", "numeric", np.array(values, dtype=float))


def test_cbind_becomes_proportions_among_trials():
    response = Response("cbind(a, b)", "cbind", np.array([2.0, 0.0, 3.0]), np.array([2.0, 0.0, 0.0]))
    y, weights = initialize(response, None, mf.binomial())
    np.testing.assert_array_equal(y, [0.5, 0.0, 1.0])
    np.testing.assert_array_equal(weights, [4.0, 0.0, 3.0])
    y, weights = initialize(response, np.array([1.0, 1.0, 2.0]), mf.binomial())
    np.testing.assert_array_equal(weights, [4.0, 0.0, 6.0])


@pytest.mark.parametrize(("codes", "y"), [([0, 1, 1], [0, 1, 1]), ([0, 2, 0], [0, 1, 0])])
def test_a_factor_is_its_first_level_against_the_second(codes, y):
    response = Response("f", "factor", np.array(codes, dtype=float), levels=("low", "mid", "high"))
    found, weights = initialize(response, None, mf.binomial())
    np.testing.assert_array_equal(found, y)
    np.testing.assert_array_equal(weights, 1.0)


def test_logical_and_numeric_responses_stay_as_they_are():
    y, _ = initialize(Response("a > 1", "logical", np.array([0.0, 1.0])), None, mf.binomial())
    np.testing.assert_array_equal(y, [0.0, 1.0])
    y, weights = initialize(_numeric(0.25, 0.5), np.array([4.0, 2.0]), mf.binomial())
    np.testing.assert_array_equal((y, weights), [[0.25, 0.5], [4.0, 2.0]])


@pytest.mark.parametrize(
    ("response", "weights", "family", "words"),
    [
        (_numeric(0.0, 3.0, 2.0), None, mf.binomial(), r"0 <= y <= 1.*Row 1 .*holds 3; 2 rows"),
        (_numeric(0.0, np.nan), None, mf.binomial(), "Row 1"),
        (
            _numeric(1.0, -2.0),
            None,
            mf.poisson(),
            r"negative values not allowed.*counts 0, 1, 2.*Row 1 .*holds -2",
        ),
        (_numeric(1.0, -2.5), None, mf.nbinom2(), "negative values not allowed"),
        (_numeric(1.0, 0.0), None, mf.Gamma(), r"non-positive values not allowed.*Row 1 .*holds 0"),
        (_numeric(1.0, -1.0), None, mf.inverse_gaussian(), "greater than zero"),
        (_numeric(0.2, 1.0), None, mf.beta(), r"0 < y < 1 for the beta family.*Row 1"),
        (_numeric(0.0, 1.0), None, mf.betabinomial(), "With single trials"),
        (_numeric(1.0, np.inf), None, mf.gaussian(), "finite"),
        (_numeric(1.0, 2.0), np.array([1.0, -1.0]), mf.poisson(), r"weights.*Row 1 .*holds -1"),
        (_numeric(1.0, 2.0), np.array([1.0, np.nan]), mf.gaussian(), "weights"),
        (_numeric(1.0, 2.0), None, mf.poisson(zi=True), "no zeros"),
        (_numeric(1.0, 2.0), None, mf.truncated_poisson(zi=True), "zi=False"),
        (_numeric(0.0, 2.0), None, mf.truncated_poisson(), r"Row 0 .*holds 0"),
        (_numeric(-1.0, 2.0), None, mf.quasipoisson(), "negative values"),
        (_numeric(0.5, 2.0), None, mf.quasibinomial(), "0 <= y <= 1"),
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
            Response("f", "factor", np.array([0.0, 1.0, 2.0]), levels=("low", "mid", "high")),
            None,
            mf.binomial(),
            r"exactly two levels; f has 3: low, mid, high.*I\(f == 'high'\)",
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


@pytest.mark.parametrize(
    ("response", "weights", "family", "words"),
    [
        (_numeric(0.3, 1.0), None, mf.binomial(), r"non-integer number of successes in y.*row 0.*0.3"),
        (_numeric(0.3, 0.5), np.array([4.0, 4.0]), mf.betabinomial(), r"in 1 row .*1.2.*trials as weights"),
        (_numeric(1.0, 2.5, 0.1), None, mf.poisson(), r"non-integer count in y .*2 rows .row 1.*2.5"),
        (_numeric(1.0, 2.5), None, mf.negative_binomial(2.0), "offset"),
        (_numeric(0.0, 2.5), None, mf.nbinom1(zi=True), "non-integer"),
    ],
)
def test_fractions_are_used_with_a_warning(response, weights, family, words):
    with pytest.warns(DataWarning, match=words):
        y, _ = initialize(response, weights, family)
    np.testing.assert_array_equal(y, response.values)


def test_where_no_count_is_meant_nothing_is_warned_about():
    initialize(_numeric(0.3, 1.0), None, mf.quasibinomial())
    initialize(_numeric(0.5, 2.25), None, mf.quasipoisson())
    initialize(_numeric(0.0, 1.0), np.array([0.5, 1.5]), mf.binomial())
    initialize(_numeric(0.5, 1.7), None, mf.Gamma())
