"""The queries of sums, run for real: what a database sums is what moments() sums."""

import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.errors import DataError, FormulaError

duckdb = pytest.importorskip("duckdb")
EQUAL = 1e-12
LEVELS = {"f": ["a", "b", "c"], "b": [False, True], "k": [1, 2, 4]}
CASES = {
    "one factor": ("y ~ x + (x | g)", {}),
    "factors": ("y ~ x * f + b + (f | g)", {}),
    "transformations": ("log(y) ~ I(x^2) + sqrt(x) + exp(-x) + I(x > 5) + abs(x - 5) + (1 | g)", {}),
    "two crossed": ("y ~ x + f + (x | g) + (1 | h)", {}),
    "three factors": ("y ~ x + (1 | g) + (x || h) + (0 + f | k)", {}),
    "nested": ("y ~ f + (1 | h/f)", {}),
    "weights": ("y ~ x + f + (x | g) + (1 | h)", {"weights": "w"}),
    "offset": ("y ~ x + offset(w) + (1 | h)", {"offset": "log2(x)"}),
    "subset": ("y ~ x + (1 | h)", {"subset": "(x > 4.5 | b) & f != 'c' & !(h %in% c(1, 2))"}),
    "no constant": ("y ~ 0 + f + x + (0 + x | g)", {}),
    "numbers as factor": ("y ~ factor(k) + ifelse(b, x, -x) + (1 | g:h)", {}),
    "contrasts": ("y ~ f * x + (1 | g)", {"contrasts": {"f": "contr.sum"}}),
    "far from zero": ("y ~ year + (1 | g)", {}),
}


def table(seed=1, n=300, missing=True):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame(
        {
            "y": rng.gamma(9.0, 30.0, n),
            "x": rng.normal(5.0, 1.0, n).clip(0.5),
            "year": rng.integers(1990, 2020, n),
            "f": rng.choice(list("abc"), n),
            "b": rng.random(n) < 0.5,
            "k": rng.choice([1, 2, 4], n),
            "g": rng.choice(["Ann", "Bob's", "Zoë", 'D"q', "e\\f"], n),
            "h": rng.integers(0, 7, n),
            "w": rng.uniform(0.5, 2.0, n),
        }
    )
    if missing:
        d.loc[3, "x"], d.loc[5, "f"], d.loc[7, "w"], d.loc[11, "g"], d.loc[12, "y"] = (
            np.nan,
            None,
            0.0,
            None,
            np.nan,
        )
    return d


def in_duckdb(data, formula, **options):
    levels = {n: v for n, v in LEVELS.items() if _uses(formula, n)}
    queries = mm.moments_sql(formula, "trials", levels=levels, **options)
    with duckdb.connect() as connection:
        connection.register("trials", data)
        return mm.Moments.from_sql(queries, lambda text: connection.sql(text).df())


def _uses(formula, name):
    return name in "".join(c if c.isalnum() else " " for c in formula).split()


def in_memory(data, formula, **options):
    return mm.moments(formula, data, levels={n: v for n, v in LEVELS.items() if _uses(formula, n)}, **options)


def assert_same_sums(one, other):
    """Compare all sums in one basis, levels by their names."""
    assert (one.nobs, one.ngrps(), one._n_input) == (other.nobs, other.ngrps(), other._n_input)
    here, there = copy.deepcopy(one.sums), copy.deepcopy(other.sums)
    there.to_basis_of(here)
    assert (here.n, here.n_rows) == (there.n, there.n_rows)
    assert here.sum_weights == pytest.approx(there.sum_weights, rel=EQUAL)
    assert here.sum_log_weights == pytest.approx(there.sum_log_weights, rel=EQUAL, abs=EQUAL)
    np.testing.assert_allclose(here.gram, there.gram, atol=EQUAL * np.abs(here.gram).max())
    orders = []
    for a, b, s, t in zip(one._tables, other._tables, here.groups, there.groups, strict=True):
        i, j = np.argsort(a.names()), np.argsort(b.names())
        assert np.array(a.names())[i].tolist() == np.array(b.names())[j].tolist()
        scale = EQUAL * np.abs(here.gram).max()
        np.testing.assert_allclose(s.products()[:, :, i], t.products()[:, :, j], atol=scale)
        np.testing.assert_allclose(s.faces()[:, :, i], t.faces()[:, :, j], atol=scale)
        orders.append((np.argsort(i), np.argsort(j)))
    for a, b in here.pairs:
        found = []
        for which, run in ((0, here.total_pairs(a, b)), (1, there.total_pairs(a, b))):
            first, second = run.keys >> 32, run.keys & (2**32 - 1)
            names = orders[a][which][first], orders[b][which][second]
            order = np.lexsort(names)
            found.append((names[0][order], names[1][order], run.sums[order]))
        for mine, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=EQUAL * np.abs(found[0][2]).max())


@pytest.mark.parametrize("case", CASES)
def test_duckdb_sums_what_moments_sums(case):
    formula, options = CASES[case]
    data = table()
    assert_same_sums(in_duckdb(data, formula, **options), in_memory(data, formula, **options))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(8, 60), st.sampled_from(sorted(CASES)))
def test_of_any_table(seed, n, case):
    formula, options = CASES[case]
    data = table(seed, n + 20)
    assert_same_sums(in_duckdb(data, formula, **options), in_memory(data, formula, **options))


def test_a_fit_of_a_database():
    d = mm.load_dataset("sleepstudy")
    queries = mm.moments_sql("Reaction ~ Days + (Days | Subject)", "sleepstudy")
    assert list(queries) == ["all rows", "by Subject"]
    with duckdb.connect() as connection:
        connection.register("sleepstudy", d)
        results = {name: connection.sql(text) for name, text in queries.items()}
        m = mm.lmer(mm.Moments.from_sql(queries, results))
    # The values that lme4 prints.
    assert m.fixef().round(3).tolist() == [251.405, 10.467]
    assert m.REMLcrit() == pytest.approx(1743.628, abs=1e-3)


def test_the_sums_of_a_database_and_of_a_table_add_up():
    formula, data = "y ~ x * f + (x | g) + (1 | h)", table()
    total = in_duckdb(data[:120], formula) + in_memory(data[120:], formula)
    assert_same_sums(total, in_memory(data, formula))


@pytest.mark.parametrize(
    ("formula", "levels", "match"),
    [
        ("y ~ poly(x, 2) + (1 | g)", {}, r"poly\(x, 2\) learns numbers from all rows"),
        ("y ~ scale(x) + (1 | g)", {}, r"scale\(x\) learns numbers"),
        ("y ~ poly(x, 2, raw = TRUE) + (1 | g)", {}, r"several columns"),
        ("y ~ factor(k) + (1 | g)", {}, r"give levels=\{'k'"),
        ("y ~ round(x) + (1 | g)", {}, r"round\(x\) has no counterpart in SQL"),
        ("y ~ . + (1 | g)", {}, "a dot stands for columns"),
        ("y ~ I(x^h) + (1 | g)", {}, r"x\^h has no counterpart"),
    ],
)
def test_what_sql_has_not_is_refused_by_name(formula, levels, match):
    with pytest.raises(FormulaError, match=match):
        mm.moments_sql(formula, "trials", levels=levels)


def test_arguments_are_refused_by_name():
    with pytest.raises(DataError, match="dialect must be one of"):
        mm.moments_sql("y ~ x + (1 | g)", "trials", dialect="oracle")
    with pytest.raises(DataError, match="centre= names 'z'"):
        mm.moments_sql("y ~ x + (1 | g)", "trials", centre={"z": 1})
    with pytest.raises(DataError, match="levels= names 'z'"):
        mm.moments_sql("y ~ x + (1 | g)", "trials", levels={"z": ["a"]})


@pytest.mark.parametrize(
    ("change", "formula", "match"),
    [
        ({"x": 0.0}, "y ~ log(x) + (1 | g)", r"log\(x\) is infinite in 1 rows"),
        ({"x": 0.0}, "y ~ I(1 / x) + (1 | g)", r"1/x is infinite in 1 rows"),
        ({"f": "d"}, "y ~ f + (1 | g)", "factor f has levels that levels= does not name in 1 rows"),
        ({"x": np.inf}, "y ~ x + (1 | g)", "not finite"),
    ],
)
def test_rows_that_no_model_can_have(change, formula, match):
    data = table()
    for name, value in change.items():
        data.loc[0, name] = value
    with pytest.raises(DataError, match=match):
        in_duckdb(data, formula)


def test_negative_weights():
    data = table()
    data.loc[0, "w"] = -1.0
    with pytest.raises(DataError, match="weights w is negative in 1 rows"):
        in_duckdb(data, "y ~ x + (1 | g)", weights="w")


def test_results_that_are_not_of_the_queries():
    queries = mm.moments_sql("y ~ x + (1 | h)", "trials")
    with duckdb.connect() as connection:
        connection.register("trials", table())
        results = {name: connection.sql(text).df() for name, text in queries.items()}
        connection.register("trials", table().iloc[20:])
        later = {**results, "by h": connection.sql(queries["by h"]).df()}
        connection.register("trials", table().iloc[:0])
        none = {name: connection.sql(text).df() for name, text in queries.items()}
    with pytest.raises(DataError, match="not of the same rows"):
        mm.Moments.from_sql(queries, later)
    with pytest.raises(DataError, match="none of the query 'by h'"):
        mm.Moments.from_sql(queries, {"all rows": results["all rows"]})
    with pytest.raises(DataError, match="columns and must have"):
        mm.Moments.from_sql(queries, {**results, "by h": results["by h"].iloc[:, :2]})
    with pytest.raises(DataError, match="no row of the table"):
        mm.Moments.from_sql(queries, none)


def test_a_centre_that_loses_digits_is_refused_with_a_better_one():
    data = table()
    formula, far = "y ~ year + (1 | g)", {"year": 1e6}
    with pytest.raises(DataError, match=r"centre=\{'year': 20\d\d") as caught:
        in_duckdb(data, formula, centre=far)
    better = eval(str(caught.value).rpartition("centre=")[2].rstrip("."))
    assert_same_sums(in_duckdb(data, formula, centre=better), in_memory(data, formula))


@pytest.mark.parametrize("dialect", ["postgres", "bigquery"])
def test_dialects_that_are_not_run_here_differ_in_types_and_quotes_alone(dialect):
    options = {"levels": {"f": ["it's", "b"]}}
    here = mm.moments_sql("y ~ log(x) + f + (x | g)", "trials", **options)
    there = mm.moments_sql("y ~ log(x) + f + (x | g)", "trials", dialect=dialect, **options)
    for name in here:
        text = there[name]
        if dialect == "postgres":
            for column in ("y", "x"):
                text = text.replace(
                    f"CAST(\"{column}\" AS DOUBLE PRECISION) = 'NaN'", f'isnan(CAST("{column}" AS DOUBLE))'
                )
            text = text.replace("DOUBLE PRECISION", "DOUBLE")
        else:
            text = (
                text.replace("FLOAT64", "DOUBLE")
                .replace("`", '"')
                .replace("IS_NAN", "isnan")
                .replace("it\\'s", "it''s")
            )
        assert text == here[name]
