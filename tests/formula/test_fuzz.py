"""Whatever is typed: a design, or one of our errors; never a crash, never a hang, never a side effect."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import ControlError, DataError, FormulaError
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import fixed_matrix, random_matrices
from mixedmodels.formula.language.parse import parse_formula
from mixedmodels.formula.language.syntax_tree import deparse

# Far above what any formula of this size needs (milliseconds), far below a hang.
SECONDS = 20.0

variables = st.sampled_from(["x", "z", "k", "f", "o", "s", "b", "g", "h", "absent", "`x`", "y"])
numbers = st.sampled_from(
    ["0", "1", "2", "-1", "1.5", "1e5", "TRUE", "FALSE", "NULL", "NA", "Inf", "'a'", "c(1, 2)"]
)
operators = st.sampled_from(
    ["+", "-", "*", ":", "/", "^", "%in%", "%%", "|", "||", "&", ">", "==", "~", ",", "="]
)
functions = st.sampled_from(
    ["log", "I", "poly", "bs", "ns", "scale", "factor", "ordered", "cut", "C", "relevel", "offset", "ifelse",
     "interaction", "cbind", "c", "mean", "center", "us", "diag", "cs", "ar1", "is.na", "as.numeric", "pmin",
     "as.character", "round", "hack", "__import__"]
)  # fmt: skip


named = st.sampled_from(["df", "hom", "labels", "ref"])


def expressions(leaves):
    return st.one_of(
        st.builds("{} {} {}".format, leaves, operators, leaves),
        st.builds("({})".format, leaves),
        st.builds("{}({})".format, functions, leaves),
        st.builds("{}({}, {})".format, functions, leaves, leaves),
        st.builds("{}({}, {}, {} = {})".format, functions, leaves, leaves, named, leaves),
        st.builds("({} | {})".format, leaves, leaves),
        st.builds("({} || {})".format, leaves, leaves),
        st.builds("-{}".format, leaves),
        st.builds("!{}".format, leaves),
    )  # fmt: skip


grammar = st.recursive(variables | numbers, expressions, max_leaves=8)
formulas = st.builds("y ~ {} + (1 | g)".format, grammar) | st.builds("{} ~ {}".format, grammar, grammar)
symbols = st.text(alphabet="xyzfg01 ~+-*/:^|()`'\"%,=!<>&._[]{}$@#\\\n\t;é∑", max_size=40)


def attempt(text, data):
    """Build everything a formula gives; our own errors are answers too."""
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            design = build_design(text, data)
            fixed_matrix(design, data.iloc[:1])
            random_matrices(design, data.iloc[:1])
        except (FormulaError, DataError) as error:
            assert str(error)
            if isinstance(error, FormulaError) and error.position is not None:
                assert 0 <= error.position <= len(error.text)
            design = None
    assert time.perf_counter() - begin < SECONDS
    return design


@given(formulas)
@settings(max_examples=400, deadline=None)
def test_the_grammar(mixed, text):
    design = attempt(text, mixed)
    if design is not None:
        assert np.isfinite(design.X).all()
        assert len(design.x_names) == design.X.shape[1]


@given(symbols)
@settings(max_examples=300, deadline=None)
def test_noise(mixed, text):
    attempt(text, mixed)
    attempt("y ~ " + text + " + (1 | g)", mixed)


@given(grammar)
@settings(max_examples=200, deadline=None)
def test_printing_is_stable(text):
    try:
        printed = str(parse_formula("y ~ " + text))
    except FormulaError:
        return
    assert str(parse_formula(printed)) == printed


CORPUS = [
    "__import__('os').system('touch pwned')",
    "y ~ __import__('os').system('touch pwned')",
    "y ~ exec('import os')",
    "y ~ eval('1')",
    "y ~ open('pwned', 'w')",
    "y ~ (lambda: 1)()",
    "y ~ [i for i in (1, 2)]",
    "y ~ {i: 1}",
    "y ~ x.__class__.__mro__",
    "y ~ ().__class__",
    "y ~ f'{x}'",
    "y ~ f\"{__import__('os')}\"",
    "y ~ getattr(x, 'y')",
    "y ~ globals()",
    "y ~ `__builtins__`",
    "y ~ system('ls') + (1 | g)",
    "y ~ I(x := 3)",
    "y ~ x if True else z",
    "y ~ (yield x)",
    "y ~ await x",
    "y ~ x; import os",
    "y ~ x\nimport os",
    "y ~ function(x) x",
    "y ~ (function(x) x)(2)",
    "y ~ \\(x) x",
    "y ~ x |> f",
    "y ~ data$x",
    "y ~ base::log(x)",
    "y ~ x[[1]]",
    "y ~ " + "(" * 300,
    "y ~ " + "-" * 300 + "x",
    "y ~ " + "!" * 300 + "x",
    "y ~ " + "x^" * 300 + "2",
    "y ~ " + "x:" * 300 + "x",
    "y ~ " + "x/" * 300 + "x",
    "y ~ " + "log(" * 300 + "x" + ")" * 300,
    "y ~ (x + z + k + f + o + s + b)^99999999",
    "y ~ (x + z)^1e300",
    "y ~ (x | " + "/".join("gh" * 200) + ")",
    "y ~ (x | " + "*".join("gh" * 20) + ")",
    "y ~ I(1:999999999)",
    "y ~ I(10^10^10)",
    "y ~ I(1/0) + (1 | g)",
    "y ~ poly(x, 1000)",
    "y ~ bs(x, df = 1000)",
    "y ~ cut(x, 1000) + (1 | g)",
    "y ~ round(x, 1000)",
    "y ~ factor(x):factor(z):factor(x):factor(y)",
    "y ~ (1 | g:h:f:o:s:b:k)",
    "y ~ ~",
    "~~~",
    "y ~ x ~ (1 | g)",
    "| ~ |",
    "y ~ |",
    "y ~ (|)",
    "y ~ (x |)",
    "y ~ (| g)",
    "y ~ ((x | g) | h)",
    "y ~ (x | (1 | g))",
    "y ~ cs(cs(x | g) | g)",
    "y ~ us()",
    "y ~ us(x | g, 3)",
    "y ~ cs(x | g, hom = 3)",
    "y ~ diag(1, 2)",
    "y ~ offset(offset(x)) + (1 | g)",
    "y ~ (offset(x) | g)",
    "y ~ (. | g)",
    "y ~ (. || g)",
    "y ~ . + (1 | .)",
    ". ~ x",
    "y ~ .^2",
    "y ~ C(C(f, contr.sum), contr.helmert) + (1 | g)",
    "y ~ C(x, contr.sum) + (1 | g)",
    "y ~ cbind(x, f)",
    "cbind(y) ~ x + (1 | g)",
    "cbind() ~ x",
    "c(1, 2) ~ x",
    "'y' ~ x",
    "1 ~ x + (1 | g)",
    "TRUE ~ x",
    "NULL ~ NULL",
    "y ~ NULL + (1 | g)",
    "y ~ TRUE + (1 | g)",
    "y ~ 'x'",
    "y ~ 2",
    "y ~ x + 2 + (1 | g)",
    "y ~ -x + (1 | g)",
    "y ~ !b + (1 | g)",
    "y ~ (1 | x)",
    "y ~ (1 | log(x))",
    "y ~ (1 | poly(x, 2))",
    "y ~ (1 | 'g')",
    "y ~ (1 | NULL)",
    "y ~ x \u2212 z",
    "y ~ \u201cx\u201d",
    "y ~ x\u00a0+ z + (1 | g)",
    "\ufeffy ~ x",
    "y ~ \U0001f600",
    "y ~ x\r\n + z\t+ (1 | g)",
    "y = x + (1 | g)",
    "y == x",
    "y <- x",
    "y ~ x,",
    "y ~ x, z",
    "y ~ f(x = )",
    "y ~ log(x = x, x = z) + (1 | g)",
    "y ~ log(base = 2) + (1 | g)",
]


@pytest.mark.parametrize("text", CORPUS)
def test_the_corpus(mixed, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attempt(text, mixed)
    assert not list(tmp_path.iterdir())


@given(st.text(max_size=30))
@settings(max_examples=150, deadline=None)
def test_arguments_are_as_safe_as_formulas(mixed, text):
    for role in ("weights", "offset", "subset"):
        try:
            build_design("y ~ x + (1 | g)", mixed, **{role: text})
        except (FormulaError, DataError, ControlError) as error:
            assert str(error)


def test_any_name_in_backticks_is_a_column():
    for name in ("a b", "a+b", "1", "é", "if", "_x", "x.y", "~", "|"):
        design = build_design(
            f"y ~ `{name}` + (1 | g)", {"y": [1.0, 2, 3, 4], name: [1.0, 4, 2, 3], "g": [1, 1, 2, 2]}
        )
        assert len(design.x_names) == 2
        assert deparse(design.formula.fixed) == design.x_names[1]
