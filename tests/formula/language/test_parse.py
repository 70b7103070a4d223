"""Formulas taken apart, printed as R prints them, and refused at the right place."""

import pytest

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.parse import parse_expression, parse_formula
from mixedmodels.formula.language.syntax_tree import deparse


def bars(text):
    return [str(bar) for bar in parse_formula(text).bars]


# (formula, response, fixed part, bars), as reformulas and lme4 take them apart.
TAKEN_APART = [
    ("y ~ 1 + (1|g)", "y", "1", ["1 | g"]),
    ("y ~ 1|g", "y", "1", ["1 | g"]),
    ("y ~ 1||g", "y", "1", ["1 | g"]),
    ("y ~ x", "y", "x", []),
    ("y ~ (1|g) + x + (x+z|h)", "y", "x", ["1 | g", "x + z | h"]),
    ("~ 1 + (1|g)", None, "1", ["1 | g"]),
    ("y ~ (x || id / id2)", "y", "1", ["1 | id2:id", "1 | id", "0 + x | id2:id", "0 + x | id"]),
    ("y ~ (x1*x2 || id)", "y", "1", ["1 | id", "0 + x1 | id", "0 + x2 | id", "0 + x1:x2 | id"]),
    ("y ~ z + (0 + x || id)", "y", "z", ["0 + x | id"]),
    ("y ~ (z + x)^2 + (x || id)", "y", "(z + x)^2", ["1 | id", "0 + x | id"]),
    ("y ~ ((x || id)) + (x2|id)", "y", "1", ["1 | id", "0 + x | id", "x2 | id"]),
    ("y ~ (1|f+g)", "y", "1", ["1 | f", "1 | g"]),
    ("y ~ (a+b|f+g+h*i)", "y", "1", ["a + b | f", "a + b | g", "a + b | h", "a + b | i", "a + b | h:i"]),
    ("y ~ (1|a/b/c)", "y", "1", ["1 | c:(b:a)", "1 | b:a", "1 | a"]),
    ("y ~ (1|a:b)", "y", "1", ["1 | a:b"]),
    ("y ~ (1|a/b:c)", "y", "1", ["1 | b:c:a", "1 | a"]),
    ("y ~ (x + (z + (1|g)) + w)", "y", "(x + (z) + w)", ["1 | g"]),
    ("y ~ us + diag", "y", "us + diag", []),
    ("y ~ 1 + (((us(1|f))))", "y", "1", ["1 | f"]),
    ("y ~ x - 1 + (1 | g)", "y", "x - 1", ["1 | g"]),
    ("y ~ +(1|g) + x", "y", "x", ["1 | g"]),
    ("log(y) ~ I(x | z) + (1|g)", "log(y)", "I(x | z)", ["1 | g"]),
]


@pytest.mark.parametrize(("text", "response", "fixed", "expected"), TAKEN_APART)
def test_formulas_are_taken_apart_as_lme4_does(text, response, fixed, expected):
    parsed = parse_formula(text)
    assert (None if parsed.response is None else deparse(parsed.response)) == response
    assert deparse(parsed.fixed) == fixed
    assert bars(text) == expected


def test_structures_and_their_options():
    first, second, third = parse_formula("y ~ cs(1 + x | d, hom = True) + diag(f|g) + (1 | s)").bars
    assert (first.structure, first.homogeneous) == ("cs", True)
    assert (second.structure, second.homogeneous) == ("diag", None)
    assert (third.structure, third.homogeneous) == ("us", None)


# What R 4.2.2's deparse() prints.
PRINTED = [
    ("poly(x,2,raw=True)", "poly(x, 2, raw = TRUE)"),
    ("I(age**2)", "I(age^2)"),
    ("a:b", "a:b"),
    ("a*b/c", "a * b/c"),
    ("-a:b+!c&d%%e/f - -g^-2", "-a:b + !c & d%%e/f - -g^-2"),
    ("x%in%c('a','b')", 'x %in% c("a", "b")'),
    ("1e5+100000+123456+0.1+1e-20+0x10+2L", "1e+05 + 1e+05 + 123456 + 0.1 + 1e-20 + 16 + 2L"),
    ("`my var`+yield+class+`if`+x.1+.h", "`my var` + yield + class + `if` + x.1 + .h"),
    ("größe+年齢", "größe + 年齢"),
    ("x>=0&!(y<2)|TRUE", "x >= 0 & !(y < 2) | TRUE"),
    ("a-b-(c-d)", "a - b - (c - d)"),
    ("2^3^2", "2^3^2"),
    ('f("a\\"b")', 'f("a\\"b")'),
]


@pytest.mark.parametrize(("text", "printed"), PRINTED)
def test_expressions_print_as_in_R(text, printed):
    assert deparse(parse_expression(text)) == printed


@pytest.mark.parametrize(("text", "printed"), PRINTED)
def test_printed_expressions_print_the_same_again(text, printed):
    assert deparse(parse_expression(printed)) == printed


def test_whole_formulas_print_as_in_R():
    text = "Reaction~Days+\n  (Days|Subject)"
    assert str(parse_formula(text)) == "Reaction ~ Days + (Days | Subject)"


# (text, where the caret stands, a word of the message)
REFUSED = [
    ("", 0, "empty"),
    ("y", 0, "'~'"),
    ("y ~", 3, "ends"),
    ("y ~ x +", 7, "ends"),
    ("y ~ x z", 6, "operator"),
    ("y ~ (1 | g", 4, "missing ')'"),
    ("y ~ 1 | g)", 9, "unmatched"),
    ("y ~ (1 | )", 9, "grouping factor is missing"),
    ("y ~ (1 |", 8, "grouping factor is missing"),
    ("y ~ x + (| g)", 9, "unexpected"),
    ("y ~ (x | g)^2", 7, "only be added"),
    ("y ~ x:(1 | g)", 9, "only be added"),
    ("y ~ x - (1 | g)", 11, "only be added"),
    ("y ~ x > 4 + (1 | g)", 15, "only be added"),
    ("y ~ (x | g | h)", 7, "only be added"),
    ("y ~ x2 | f + x1", 7, "without parentheses"),
    ("y ~ (x | 2)", 9, "grouping factor"),
    ("y ~ (x | g - h)", 9, "grouping factor"),
    ("y ~ cs(x | g, rho = 1)", 20, "hom"),
    ("y ~ us(x | g, hom = TRUE)", 20, "us()"),
    ("y ~ cs(x || g)", 9, "'||'"),
    ("y ~ x ~ z", 6, "only one"),
    ("y ~ x = 2", 6, "'='"),
    ("y ~ x[1]", 5, "indexing"),
    ("y ~ data$x", 8, "without the data frame"),
    ("y ~ x; z", 5, "';'"),
    ("y ~ {x}", 4, "braces"),
    ("y ~ `x", 4, "backtick"),
    ("y ~ f('x", 6, "not closed"),
    ("y ~ 2x", 4, "digit"),
    ("y ~ f(x,)", 8, "missing"),
    ("y ~ f(,x)", 6, "unexpected"),
    ("y ~ f(x", 5, "missing ')'"),
    ("y ~ ()", 5, "after '('"),
    ("y ~ (f)(x)", 7, "operator"),
    ("y ~ f(x)(z)", 8, "operator"),
    ("y ~ x %bad% z", 6, "%in%"),
    ("y ~ a < b < c", 10, "chained"),
    ("y ~ lambda x: x", 11, "operator"),
    ("y ~ x if z else w", 6, "operator"),
    ("y ~ [x for x in z]", 4, "indexing"),
    ("y ~ f'{x}'", 5, "operator"),
    ("y ~ __import__('os')", 4, "underscore"),
    ("y ~ x @ z", 6, "'@'"),
    ("y ~ \\x", 4, ""),
    ("y ~ x\x00", 5, ""),
    ("y ~ x # comment", 6, ""),
    ("y ~ x -> z", 7, "unexpected"),
]


@pytest.mark.parametrize(("text", "position", "word"), REFUSED)
def test_bad_formulas_are_refused_at_the_place(text, position, word):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert caught.value.position == position
    assert word in caught.value.message
    assert str(caught.value).endswith("\n    " + " " * position + "^")


def test_nesting_and_length_are_limited():
    for text in (
        "y ~ " + "(" * 5000 + "x",
        "y ~ " + "-" * 5000 + "x",
        "y ~ " + "f(" * 5000,
        "y ~ x" + ":x" * 5000,
    ):
        with pytest.raises(FormulaError, match="deeply"):
            parse_formula(text)
    with pytest.raises(FormulaError, match="longer"):
        parse_formula("y ~ " + "x" * 200_000)


def test_thousands_of_terms_are_fine():
    text = "y ~ " + " + ".join(f"x{i}" for i in range(3000)) + " + (1 | g)"
    parsed = parse_formula(text)
    assert str(parsed) == text


@pytest.mark.parametrize("formula", [3, None, b"y ~ x", ["y ~ x"], {"y": "x"}])
def test_not_a_string(formula):
    with pytest.raises(FormulaError, match="a formula is a string"):
        parse_formula(formula)


def test_a_bar_without_parentheses_warns_with_both_readings():
    (message,) = parse_formula("y ~ x + 1 | g").warnings
    assert "y ~ 1 + (x + 1 | g)" in message
    assert "y ~ x + (1 | g)" in message
    assert parse_formula("y ~ 1 | g").warnings == ()
    assert parse_formula("y ~ x | g").warnings == ()


def test_a_minus_directly_after_bars_is_read_as_lme4_does_and_warned_about():
    parsed = parse_formula("y ~ (1 | g) - 1")
    assert deparse(parsed.fixed) == "1"
    assert len(parsed.warnings) == 1


def test_arguments_know_python_words():
    assert deparse(parse_expression("x > 1 and not y == 2 or z")) == "x > 1 & !y == 2 | z"
