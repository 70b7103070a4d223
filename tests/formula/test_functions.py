"""The functions a formula may call, and what they say when called wrongly."""

import numpy as np
import pytest

from mixedmodels.errors import DataError, FormulaError
from mixedmodels.formula import build_design

# (call, where the caret stands within the call, a word of the message)
WRONG = [
    ("hack(x)", 0, "unknown function 'hack'"),
    ("sqt(x)", 0, "did you mean sqrt"),
    ("np.log(x)", 0, "write log"),
    ("os.system('x')", 0, "unknown function"),
    ("eval('x')", 0, "unknown function"),
    ("log(f)", 4, "'f' is a factor"),
    ("log()", 0, "needs an argument"),
    ("sqrt(x, 2)", 8, "at most 1"),
    ("log(x, bogus = 2)", 15, "no argument 'bogus'"),
    ("poly(x, 0)", 8, "at least 1"),
    ("poly(k, 9)", 5, "distinct values"),
    ("poly(x, 1.5)", 8, "whole number"),
    ("poly(f, 2)", 5, "numeric variable"),
    ("bs(x, df = 1)", 11, "at least 3"),
    ("ns(x, knots = 'a')", 14, "numbers"),
    ("bs(x, Boundary.knots = 3)", 23, "two increasing"),
    ("cut(x, 1)", 7, "two intervals"),
    ("cut(x)", 0, "breaks"),
    ("cut(x, 3, labels = c('a'))", 19, "1 labels for 3"),
    ("relevel(f, 'zz')", 11, "'zz' is not a level"),
    ("relevel(o, 'hi')", 8, "unordered"),
    ("factor(k, labels = c('a', 'b'))", 19, "2 labels for 5"),
    ("scale(x, center = 'a')", 18, "TRUE, FALSE or a number"),
    ("x + 'a'", 4, "cannot be a term"),
    ("I(x + 'a')", 6, "not a number"),
    ("I(f + 1)", 2, "is a factor"),
    ("I(f > 'a')", 2, "not ordered"),
    ("I(f == x)", 7, "one of its levels"),
    ("I(!f)", 3, "true or false"),
    ("I(1:1e9)", 3, "too long"),
    ("ifelse(x > 0)", 0, "two values"),
    ("ifelse(x, f, f)", 10, "factor"),
    ("c(x, 1)", 2, "single numbers"),
    ("cbind()", 0, "needs an argument"),
    ("I(offset(x))", 2, "term of its own"),
    ("I(poly(x, 2) > 1)", 2, "matrix"),
    ("is.na(c(1, 2))", 6, "variable"),
    ("mean('a')", 5, "numeric variable"),
    ("interaction()", 0, "needs factors"),
    ("dummy(f, 'q')", 6, "'q' is not a level"),
    ("cut(x, quantile(x, 2))", 19, "between 0 and 1"),
    ("other::log(x)", 0, "unknown function"),
]


@pytest.mark.parametrize(("text", "position", "word"), WRONG)
def test_wrong_calls_point_at_the_argument(mixed, text, position, word):
    with pytest.raises(FormulaError) as caught:
        build_design(f"y ~ {text} + (1 | g)", mixed)
    assert word in caught.value.message
    assert caught.value.position == 4 + position


def values(text, mixed, column=-1, **options):
    return build_design(f"y ~ {text} + (1 | g)", mixed, **options).X[:, column]


COMPUTED = [
    ("I(x %% 2)", lambda d: d["x"] % 2),
    ("I(z %/% 2)", lambda d: d["z"] // 2),
    ("I(-x^2)", lambda d: -(d["x"] ** 2)),
    ("I((x > 0) + (z > 2))", lambda d: (d["x"] > 0) + 1.0 * (d["z"] > 2)),
    ("I(x > 0 & !b | z > 4)", lambda d: (d["x"] > 0) & ~d["b"] | (d["z"] > 4)),
    ("I(f == 'b' | s != 'u')", lambda d: (d["f"] == "b") | (d["s"] != "u")),
    ("I('b' == f)", lambda d: d["f"] == "b"),
    ("I(o >= 'mid')", lambda d: d["o"] >= "mid"),
    ("I('mid' > o)", lambda d: d["o"] < "mid"),
    ("I(s < 'v')", lambda d: d["s"] < "v"),
    ("I(f %in% c('a', 'c'))", lambda d: d["f"].isin(["a", "c"])),
    ("I(k %in% 1:3)", lambda d: d["k"].isin([1, 2, 3])),
    ("exp(log(z))", lambda d: d["z"]),
    ("round(x, 1)", lambda d: d["x"].round(1)),
    ("ceiling(x)", lambda d: np.ceil(d["x"])),
    ("pmax(x, 0, z - 3)", lambda d: np.maximum(np.maximum(d["x"], 0), d["z"] - 3)),
    ("as.numeric(f)", lambda d: d["f"].cat.codes + 1.0),
    ("as.numeric(as.character(k))", lambda d: d["k"]),
    ("as.integer(z)", lambda d: np.trunc(d["z"])),
    ("I(x / sd(x) - mean(x))", lambda d: d["x"] / d["x"].std() - d["x"].mean()),
    ("log(z, base = 3)", lambda d: np.log(d["z"]) / np.log(3)),
    ("ifelse(b, x, -1)", lambda d: np.where(d["b"], d["x"], -1)),
    ("I(x + TRUE)", lambda d: d["x"] + 1),
]


@pytest.mark.parametrize(("text", "expected"), COMPUTED)
def test_values(mixed, text, expected):
    np.testing.assert_allclose(values(text, mixed), np.asarray(expected(mixed), dtype=float), atol=1e-12)


def test_a_users_function_that_fails_is_named(mixed):
    def bad(x):
        raise RuntimeError("no")

    with pytest.raises(DataError, match=r"bad\(x\) failed: no"):
        values("bad(x)", mixed, env={"bad": bad})


def test_a_function_without_its_call(mixed):
    with pytest.raises(FormulaError, match="call it"):
        values("bad", mixed, env={"bad": np.sin})


def test_missing_values_in_conditions(mixed):
    data = mixed.assign(x=mixed["x"].where(mixed.index > 2), k=mixed["k"].where(mixed.index != 7))
    assert build_design("y ~ I(x > 0) + (1 | g)", data).n_rows == 45
    assert build_design("y ~ is.na(x) + (1 | g)", data).n_rows == 48
    assert build_design("y ~ I(x > 0 | TRUE) + (1 | g)", data).n_rows == 48
    assert build_design("y ~ factor(k) + cut(x, 3) + (1 | g)", data).n_rows == 44
