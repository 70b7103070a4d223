"""Numbers turned into text as R's as.character() does."""

import pytest

from mixedmodels.formula.language.number_format import format_number

# cat(as.character(x)) in R 4.2.2
WRITTEN = [
    (0.1 + 0.2, "0.3"),
    (1 / 3, "0.333333333333333"),
    (1e5, "1e+05"),
    (123456.0, "123456"),
    (1e-5, "1e-05"),
    (1e-4, "1e-04"),
    (0.001234, "0.001234"),
    (100.0, "100"),
    (1e15, "1e+15"),
    (123456789012345680.0, "123456789012345680"),
    (-2.5, "-2.5"),
    (-1e-10, "-1e-10"),
    (2 / 3 * 1e10, "6666666666.66667"),
    (1e22, "1e+22"),
    (3.14159265358979, "3.14159265358979"),
    (1e5 + 0.1, "100000.1"),
    (99999.0, "99999"),
    (1234567.1, "1234567.1"),
    (1e-300, "1e-300"),
    (150000.0, "150000"),
    (0.0, "0"),
    (-0.0, "0"),
    (float("inf"), "Inf"),
    (float("-inf"), "-Inf"),
    (float("nan"), "NaN"),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_numbers_are_written_as_in_R(value, text):
    assert format_number(value) == text
