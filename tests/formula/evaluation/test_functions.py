"""The functions a formula may call, and what they say when called wrongly."""

import numpy as np
import pytest

from mixedmodels.errors import DataError, DataWarning, FormulaError
from mixedmodels.formula import build_design

# (call, where the caret stands within the call, a word of the message)
WRONG = [
    ("hack(x)", 0, "unknown function 'hack'"),
    ("sqt(x)", 0, "did you mean sqrt"),
    ("pd.log(x)", 0, "write log"),
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
    ("scale(x, scale = 1:3)", 17, "TRUE, FALSE or a number"),
    ("poly(x, 'a')", 8, "single number"),
    ("poly(x, 2, raw = 3)", 17, "TRUE or FALSE"),
    ("relevel(f, x)", 11, "list such as"),
    ("cut(x, c(1, 1, 2))", 7, "must differ"),
    ("bs(I(x * 0))", 3, "different values"),
    ("interaction(f, s, dog = 1)", 24, "no argument 'dog'"),
    ("pmin()", 0, "needs an argument"),
    ("C(f, contr.sum(k = 3))", 5, "takes n and base"),
    ("I(x %in% f)", 9, "list of values"),
    ("I(cbind(x, z) + cbind(x, z, k))", 16, "different numbers of columns"),
    ("I(cbind(x, z) * cbind(x, z, k))", 2, "different numbers of columns"),
    ("I(cbind(x, z):f)", 2, "made a factor"),
    ("I(1 %in% x)", 9, "list of values"),
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
    ("I(x * cbind(z, k))", lambda d: d["x"] * d["k"]),
    ("I(cbind(z, k) + x)", lambda d: d["x"] + d["k"]),
    ("I(-cbind(z, k))", lambda d: -d["k"]),
    ("I(s == ifelse(b, 'u', 'v'))", lambda d: d["s"] == np.where(d["b"], "u", "v")),
    ("I(x + (1 < 2) + ('a' < 'b') - 3)", lambda d: d["x"] - 1),
    ("as.numeric(as.logical(k))", lambda d: d["k"] != 0),
    ("as.numeric(factor(b) == TRUE)", lambda d: d["b"]),
    ("as.numeric(cut(x, c(-9, 0, 9), labels = FALSE))", lambda d: 1 + (d["x"] > 0)),
    ("scale(x, scale = 2)", lambda d: (d["x"] - d["x"].mean()) / 2),
    ("I(k %in% c(1, c(2, 3)))", lambda d: d["k"].isin([1, 2, 3])),
    ("k %in% c(1, 2)", lambda d: d["k"].isin([1, 2])),
    ("(!b)", lambda d: ~d["b"]),
]


@pytest.mark.parametrize(("text", "expected"), COMPUTED)
def test_values(mixed, text, expected):
    np.testing.assert_allclose(values(text, mixed), np.asarray(expected(mixed), dtype=float), atol=1e-12)


def test_levels_of_interactions_and_intervals(mixed):
    names = build_design("y ~ 0 + interaction(f, s, sep = '-', lex.order = TRUE) + (1 | g)", mixed).x_names
    assert [n.split(")")[1] for n in names] == ["a-u", "a-v", "b-u", "b-v", "c-u", "c-v"]
    names = build_design(
        "y ~ 0 + cut(k, c(0, 2, 4), right = FALSE, include.lowest = TRUE) + (1 | g)", mixed
    ).x_names
    assert [n[-5:] for n in names] == ["[0,2)", "[2,4]"]
    names = build_design("y ~ 0 + cut(I(x * 0), 2) + (1 | g)", mixed).x_names
    assert names == ("cut(I(x * 0), 2)(-0.001,0]",)


def test_strings_that_spell_no_number_are_missing(mixed):
    data = mixed.assign(s=np.where(mixed.index < 40, mixed["k"].astype(str), "none"))
    with pytest.warns(DataWarning, match="undefined"):
        assert build_design("y ~ as.numeric(s) + (1 | g)", data).n_rows == 40


def test_a_users_function_gets_arrays(mixed):
    received = {}

    def f(x, by, scale):
        received.update(x=x, by=by, scale=scale)
        return x * scale

    values("f(x, f, scale = 2)", mixed, env={"f": f})
    np.testing.assert_array_equal(received["x"], mixed["x"])
    assert list(received["by"]) == list(mixed["f"])
    assert received["scale"] == 2.0
    np.testing.assert_allclose(values("I(x * three())", mixed, env={"three": lambda: 3}), 3 * mixed["x"])


def test_odd_arguments_are_our_errors(mixed):
    with pytest.raises(FormulaError, match="cannot be computed"):
        values("bs(x, knots = Inf)", mixed)
    with pytest.raises(DataError, match=r"I\(x/0\) is infinite"):
        values("poly(I(x / 0), 2)", mixed)


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
