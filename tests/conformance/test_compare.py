"""The comparison finds what is wrong: a check that cannot fail would make every count worthless."""

import math

import numpy as np
import pandas as pd
import pytest

from tests.conformance.compare import mismatch
from tests.conformance.preparations import prepared
from tests.conformance.result import Check, Result, timed


def wrong(expected, ours, rtol=0.0, atol=0.0):
    return bool(mismatch(expected, ours, rtol, atol))


def test_numbers_agree_within_absolute_plus_relative_tolerance():
    assert not wrong(100.0, 100.1, rtol=1e-3)
    assert wrong(100.0, 100.11, rtol=1e-3)
    assert not wrong(100.0, 100.14, rtol=1e-3, atol=0.05)
    assert wrong(1.0, math.nan, rtol=1.0)
    assert not wrong(math.inf, math.inf)
    assert not wrong(2.0, np.array([2.0])) and wrong(2.0, np.array([2.0, 2.0]))


def test_names_are_compared_by_name_not_by_place():
    ours = pd.Series({"b": 2.0, "a": 1.0})
    assert not wrong({"a": 1.0, "b": 2.0}, ours)
    assert wrong({"a": 1.0, "c": 2.0}, ours)
    assert wrong({"a": 2.0, "b": 1.0}, ours)


def test_matrices_are_compared_cell_by_cell():
    expected = {"rownames": ["r"], "colnames": ["x", "y"], "values": [[1.0, 2.0]]}
    assert not wrong(expected, pd.DataFrame({"y": [2.0], "x": [1.0]}, index=["r"]))
    assert wrong(expected, pd.DataFrame({"y": [2.0], "x": [1.1]}, index=["r"]))
    assert wrong(expected, pd.DataFrame({"x": [1.0]}, index=["r"]))


def test_lists_must_have_the_same_length_and_values():
    assert not wrong([1.0, 2.0], (1.0, 2.0))
    assert wrong([1.0, 2.0], [1.0])
    assert wrong([1.0, 2.0], [2.0, 1.0])
    assert wrong([1.0], 1.0)


@pytest.mark.parametrize("missing", [None, "NA"])
def test_a_missing_value_agrees_only_with_a_missing_value(missing):
    assert not wrong(missing, math.nan)
    assert not wrong(missing, None)
    assert wrong(missing, 0.0)


def test_truth_and_text_must_be_equal():
    assert not wrong(True, np.True_)
    assert wrong(True, False)
    assert wrong("us", "cs")


def test_a_case_fails_if_one_check_fails_and_is_set_aside_only_if_none_does():
    def verdict(*verdicts):
        return Result("id", "group", tuple(Check("quantity", v) for v in verdicts), 0.0).verdict

    assert verdict("holds", "holds") == "holds"
    assert verdict("holds", "aside") == "aside"
    assert verdict("holds", "aside", "fails") == "fails"
    assert verdict() == "fails"


def test_an_exception_and_a_case_that_takes_too_long_are_failures(monkeypatch):
    def endless():
        while True:
            pass

    monkeypatch.setattr("tests.conformance.result.SECONDS_PER_CASE", 1)
    assert timed("id", "group", endless).checks[0].reason.startswith("OutOfTime")
    assert timed("id", "group", lambda: 1 / 0).checks[0].reason.startswith("ZeroDivisionError")


def test_an_unknown_preparation_is_an_error_not_a_silent_nothing():
    with pytest.raises(KeyError, match="no such step"):
        prepared(pd.DataFrame(), ["no such step"])
