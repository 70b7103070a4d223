"""Number formats and abbreviations equal R's; numbers.R makes the cases in from_R/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixedmodels.reports.abbreviate import abbreviate
from mixedmodels.reports.numbers import (
    format_numbers,
    format_p_values,
    percent_names,
    round_digits,
    significance_marks,
    zap_small,
)

FROM_R = Path(__file__).parent / "from_R"
NUMBERS = [line.split("|") for line in (FROM_R / "numbers.txt").read_text().splitlines()]
ABBREVIATIONS = [line.split("|") for line in (FROM_R / "abbreviations.txt").read_text().splitlines()]


def parsed(text: str) -> np.ndarray:
    return np.array([float(number) for number in text.split()])


@pytest.mark.parametrize("case", NUMBERS, ids=lambda case: f"{case[0]}@{case[1]}")
def test_numbers_as_in_r(case):
    x, digits, nsmall = parsed(case[0]), int(case[1]), int(case[2])
    assert format_numbers(x, digits, nsmall) == case[3].split(";")
    assert format_p_values(np.minimum(1, np.abs(x) / 10), digits) == case[4].split(";")
    np.testing.assert_array_equal(zap_small(x, digits), parsed(case[5]))
    np.testing.assert_array_equal(round_digits(x, digits), parsed(case[6]))


@pytest.mark.parametrize("case", ABBREVIATIONS, ids=lambda case: f"{case[1][:30]}@{case[0]}")
def test_abbreviations_as_in_r(case):
    assert abbreviate(case[1].split("~"), int(case[0])) == case[2].split("~")


def test_missing_and_infinite_numbers():
    assert format_numbers([1.5, np.nan, -np.inf, np.inf]) == [" 1.5", "  NA", "-Inf", " Inf"]
    assert format_p_values([0.5, np.nan], 3) == ["0.5", "NA"]
    assert format_numbers([]) == []


def test_rounding_noise_does_not_decide_a_tie():
    assert format_numbers([1527.4999999999998], 4) == format_numbers([1527.5], 4) == ["1528"]


def test_names_of_the_ends_of_an_interval():
    assert percent_names(0.95) == ("2.5 %", "97.5 %")
    assert percent_names(0.999) == ("0.05 %", "99.95 %")
    assert percent_names(0.5) == ("25 %", "75 %")


def test_significance_marks():
    assert significance_marks([0.0005, 0.005, 0.04, 0.09, 0.5]) == ["***", "** ", "*  ", ".  ", "   "]


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=6), st.integers(1, 9))
def test_formats_share_a_width_and_keep_the_digits(values, digits):
    texts = format_numbers(values, digits)
    assert len({len(text) for text in texts}) == 1
    largest = max(abs(v) for v in values)
    shown = np.array([float(text) for text in texts])
    assert np.all(np.abs(shown - values) <= 0.51 * largest * 10.0 ** (1 - digits) + 1e-300)


@given(
    st.lists(
        st.text("aeioubcdfgXYZ.(): 123", min_size=1, max_size=15).map(str.strip).filter(bool),
        unique=True,
        min_size=1,
        max_size=6,
    )
)
def test_abbreviations_of_different_names_differ(names):
    short = abbreviate(names, 4)
    assert len(set(short)) == len(names)
