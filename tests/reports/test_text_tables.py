"""Plain-text layout: filled lines, named vectors, matrices that are too wide, broken formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixedmodels.formula import parse_formula
from mixedmodels.reports.formula_text import break_formula, shown_formula
from mixedmodels.reports.text_tables import coefficient_table, fill_line, named_values, text_matrix

# formula -> lines of R's deparse()
BROKEN = {
    "y ~ x + (1 | g)": ["y ~ x + (1 | g)"],
    "count ~ offset(log(weeks)) + followup * group + (1 + followup | id)": [
        "count ~ offset(log(weeks)) + followup * group + (1 + followup | ",
        "    id)",
    ],
    "yield_with_long_name ~ treatment_variable + another_variable + third_variable + "
    "(1 + treatment_variable | subject_id) + (1 | item_identifier)": [
        "yield_with_long_name ~ treatment_variable + another_variable + ",
        "    third_variable + (1 + treatment_variable | subject_id) + ",
        "    (1 | item_identifier)",
    ],
    "response_variable_long ~ poly(temperature_measured, 2, raw = TRUE) * factor(week_number) + "
    "(1 | block_id/plot_id) + (0 + x | g)": [
        "response_variable_long ~ poly(temperature_measured, 2, raw = TRUE) * ",
        "    factor(week_number) + (1 | block_id/plot_id) + (0 + x | g)",
    ],
    "toxoplasmosis_rate ~ rainfall_in_millimetres + I(rainfall_in_millimetres^2) + "
    "I(rainfall_in_millimetres^3) + (1 | city)": [
        "toxoplasmosis_rate ~ rainfall_in_millimetres + I(rainfall_in_millimetres^2) + ",
        "    I(rainfall_in_millimetres^3) + (1 | city)",
    ],
}


@pytest.mark.parametrize("text", BROKEN)
def test_formulas_break_where_r_breaks_them(text):
    assert break_formula(text) == BROKEN[text]


def test_a_first_piece_that_does_not_fit_starts_a_line():
    pieces = break_formula(list(BROKEN)[-1])
    assert fill_line(["Formula:", *pieces]).split("\n") == [
        "Formula: ",
        "toxoplasmosis_rate ~ rainfall_in_millimetres + I(rainfall_in_millimetres^2) +  ",
        "    I(rainfall_in_millimetres^3) + (1 | city)",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("y ~ x + (x || g)", "y ~ x + ((1 | g) + (0 + x | g))"),
        ("y ~ (0 + x + z || g) + w", "y ~ ((0 + x | g) + (0 + z | g)) + w"),
        ("y ~ x*z + (1|a/b)", "y ~ x * z + (1 | a/b)"),
        ("y ~ x + ((x || g))", "y ~ x + ((1 | g) + (0 + x | g))"),
    ],
)
def test_double_bars_are_written_out(text, shown):
    assert shown_formula(parse_formula(text)) == shown


def test_named_values_wrap():
    lines = named_values([f"name{i}" for i in range(12)], ["1.0"] * 12, gap=2).split("\n")
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(" name0   name1  ")


def test_wide_matrices_continue_below():
    cells = [["1.000"] * 20 for _ in range(2)]
    lines = text_matrix(cells, ["a", "b"], [f"col{j}" for j in range(20)]).split("\n")
    assert len(lines) == 6
    assert all(len(line) <= 80 for line in lines)


def test_tiny_estimates_are_not_rounded_away():
    text = coefficient_table(
        np.array([[251.4, 6.8, 36.8], [1e-9, 2e-10, 5.0]]), ["a", "b"], ["Estimate", "Std. Error", "t value"],
        4, estimates=(0, 1), statistics=(2,),
    )  # fmt: skip
    assert text.split("\n")[2] == "b 1.000e-09  2.000e-10     5.0"


@given(st.text("abcxyz_.0123456789+-*/|~(), `'\"", max_size=300))
def test_breaking_a_text_loses_nothing(text):
    lines = break_formula(text)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
