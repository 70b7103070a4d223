"""Marginal means, trends, Kenward and Roger's tests and comparisons of fits without rows, as of the rows."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.errors import NotAvailableError
from tests.moments.equality import EQUAL, cut

LINEAR = {
    "factors and slopes": ("y ~ x * t + f + log(o) + (x | g)", {}),
    "crossed, weights, an offset": ("y ~ t * b + x + offset(o) + (1 | g) + (1 | h)", {"weights": "w"}),
    "rows of weight zero": ("y ~ t + x + (1 | g)", {"weights": "v"}),
    "numbers made factors": ("y ~ factor(k) + poly(x, 2) + (1 | g) + (0 + x | h)", {"subset": "o < 9"}),
    "a truth value, nested": ("y ~ is_late + z + t + (1 | g / h)", {}),
}
#: Rounding of differences of derivatives; all other numbers agree to EQUAL.
BY_DIFFERENCES = 1e-6


@pytest.fixture(scope="module")
def data():
    n, rng = 240, np.random.default_rng(3)
    g, h = rng.integers(0, 12, n), rng.integers(0, 5, n)
    d = pd.DataFrame(
        {
            "x": rng.normal(3.0, 1.0, n), "z": rng.integers(0, 2, n), "o": rng.uniform(1.0, 9.5, n),
            "k": rng.integers(1, 4, n), "w": rng.uniform(0.5, 2.0, n), "v": rng.integers(0, 3, n),
            "t": pd.Categorical.from_codes(rng.integers(0, 3, n), ["low", "mid", "high"]),
            "f": np.array(["no", "yes"])[rng.integers(0, 2, n)], "b": np.where(rng.random(n) < 0.1, 2.5, 1.5),
            "is_late": rng.random(n) < 0.4, "g": [f"g{i}" for i in g], "h": h,
        }
    )  # fmt: skip
    effects = rng.normal(0.0, 1.0, 12)[g] + rng.normal(0.0, 0.5, 5)[h]
    d["y"] = 1.0 + 0.5 * d.x + d.k + effects + rng.normal(0.0, 1.0, n)
    d["count"] = rng.poisson(np.exp(0.4 + 0.3 * effects + 0.1 * d.z))
    d.loc[[5, 100], "x"] = np.nan
    return d


def numbers(table):
    """Return the numbers of a table, and its words."""
    frame = table.to_frame() if hasattr(table, "to_frame") else table
    numeric = frame.select_dtypes("number")
    return numeric.to_numpy(float), frame.drop(columns=numeric.columns).astype(str).to_numpy().tolist()


def assert_same(one, other, tolerance=EQUAL):
    (found, words), (known, own_words) = numbers(one), numbers(other)
    assert words == own_words
    finite = np.isfinite(known)
    np.testing.assert_array_equal(found[~finite], known[~finite])
    found, known = np.where(finite, found, 0.0), np.where(finite, known, 0.0)
    size = np.maximum(np.abs(known).max(axis=0, initial=0.0), 1e-8)
    np.testing.assert_allclose(found / size, known / size, atol=tolerance, rtol=0.0)


@pytest.mark.parametrize("name", LINEAR)
def test_every_table_is_that_of_the_rows(data, name):
    formula, options = LINEAR[name]
    whole = mm.lmer(formula, data, **options)
    sums = mm.moments(formula, cut(data, 5, np.random.default_rng(1)), **options)
    found = mm.lmer(sums)
    factor = next(v for v in ("is_late", "factor(k)", "t") if v in formula)
    factor = "k" if factor == "factor(k)" else factor
    for options in ({"ddf": "kenward-roger"}, {"weights": "proportional"}):
        ours, theirs = (mm.emmeans(m, factor, **options) for m in (found, whole))
        assert_same(ours, theirs, BY_DIFFERENCES)
        assert_same(ours.contrast("pairwise"), theirs.contrast("pairwise"), BY_DIFFERENCES)
    covariate = "x" if "x" in formula else "z"
    assert_same(mm.emtrends(found, factor, var=covariate), mm.emtrends(whole, factor, var=covariate), 1e-6)
    assert_same(mm.joint_tests(found), mm.joint_tests(whole), BY_DIFFERENCES)
    for type in (1, 2, 3):
        for ddf in ("satterthwaite", "kenward-roger"):
            assert_same(found.anova(type=type, ddf=ddf), whole.anova(type=type, ddf=ddf), BY_DIFFERENCES)
    assert_same(found.vcov(full=True), whole.vcov(full=True), 1e-8)
    assert_same(mm.plot_effects(found, factor).data, mm.plot_effects(whole, factor).data, BY_DIFFERENCES)


def test_two_models_of_sums_by_kenward_and_roger(data):
    d = data.dropna()
    formulas = "y ~ t + x + (1 | g) + (1 | h)", "y ~ t + (1 | g) + (1 | h)"
    ours, theirs = ([mm.lmer(f, part) for f in formulas] for part in (cut(d, 3), d))
    assert_same(mm.kr_modcomp(*ours), mm.kr_modcomp(*theirs), BY_DIFFERENCES)
    other = mm.lmer("y ~ t + I(x + 1) + (1 | g) + (1 | h)", cut(d, 3))
    with pytest.raises(NotAvailableError, match="told by their names"):
        mm.kr_modcomp(ours[0], other)


def test_files_and_sums_of_sums_keep_what_grids_need(data, tmp_path):
    formula, options = LINEAR["crossed, weights, an offset"]
    whole = mm.lmer(formula, data, **options)
    total = mm.moments(formula, [data[:90]], **options) + mm.moments(formula, [data[90:]], **options)
    total.save(tmp_path / "a.moments")
    found = mm.lmer(mm.Moments.load(tmp_path / "a.moments"))
    for m in (found, pickle.loads(pickle.dumps(found))):
        assert_same(mm.emmeans(m, ["t", "b"]), mm.emmeans(whole, ["t", "b"]), BY_DIFFERENCES)
        assert_same(m.anova(type=2), whole.anova(type=2), BY_DIFFERENCES)


@settings(max_examples=6, deadline=None, phases=[Phase.generate])
@given(st.lists(st.integers(0, 240), max_size=6), st.integers(0, 2**32 - 1))
def test_any_partition_has_the_same_grid(data_once, cuts, seed):
    rows = np.split(np.random.default_rng(seed).permutation(len(data_once)), sorted(cuts))
    formula = "y ~ t * f + factor(k) + b + z + x + offset(o)"
    found, whole = mm.lm(formula, [data_once.iloc[part] for part in rows]), mm.lm(formula, data_once)
    for weights in ("equal", "cells"):
        assert_same(
            mm.emmeans(found, ["t", "f"], weights=weights), mm.emmeans(whole, ["t", "f"], weights=weights)
        )


@pytest.fixture(scope="module")
def data_once(data):
    return data


def test_least_squares(data):
    formula, d = "y ~ t * x + z", data.dropna()
    found, whole = mm.lm(formula, cut(d, 4)), mm.lm(formula, d)
    assert_same(mm.emmeans(found, "t"), mm.emmeans(whole, "t"))
    assert_same(mm.drop1(found), mm.drop1(whole))
    smaller = mm.lm("y ~ t + x", cut(d, 4)), mm.lm("y ~ t + x", d)
    assert_same(mm.compare(smaller[0], found), mm.compare(smaller[1], whole))


def test_counted_rows_of_generalized_models(data):
    d = data.dropna()
    formula = "count ~ t + z + (1 | g)"
    found, whole = mm.glmer(formula, cut(d, 4), "poisson"), mm.glmer(formula, d, "poisson")
    assert_same(mm.emmeans(found, "t", type="response"), mm.emmeans(whole, "t", type="response"), 1e-6)
    assert_same(mm.drop1(found), mm.drop1(whole), 1e-6)
    assert_same(mm.ranova(found), mm.ranova(whole), 1e-6)
    assert str(mm.r2(found)) == str(mm.r2(whole))
    assert str(mm.icc(found)) == str(mm.icc(whole))


def test_comparison_has_all_but_the_conditional_criterion(data):
    d = data.dropna()
    formulas = "y ~ t + (1 | g)", "y ~ t + x + (1 | g)"
    ours, theirs = ([mm.lmer(f, part, REML=False) for f in formulas] for part in (cut(d, 3), d))
    found, whole = mm.compare(*ours), mm.compare(*theirs)
    assert found[["cAIC", "edf"]].isna().all(axis=None)
    left = [name for name in whole.columns if name not in ("cAIC", "edf")]
    assert_same(found[left], whole[left])
    with pytest.raises(NotAvailableError, match="conditional AIC"):
        mm.compare(*ours, criterion="cAIC")


def test_what_is_not_known_is_said(data):
    formula = "y ~ x + t + (1 | g)"
    found = mm.lmer(formula, cut(data, 3))
    with pytest.raises(NotAvailableError, match="give the values wanted by at="):
        mm.emmeans(found, "x", cov_reduce=np.median)
    with pytest.raises(NotAvailableError, match="give the values wanted by at="):
        mm.emmeans(found, "x", cov_keep=["x"])
    whole = mm.lmer(formula, data)
    ends = {"cov_reduce": lambda v: [np.min(v), np.max(v)]}
    assert_same(mm.emmeans(found, "x", **ends), mm.emmeans(whole, "x", **ends), BY_DIFFERENCES)
    hidden = mm.lmer(mm.moments(formula, cut(data, 3), min_cell=2))
    assert_same(mm.emmeans(hidden, "t"), mm.emmeans(whole, "t"), BY_DIFFERENCES)
    with pytest.raises(NotAvailableError, match="range of this variable is not known"):
        mm.emtrends(hidden, "t", var="x")


def test_sums_of_a_database_say_what_they_lack(data):
    duckdb = pytest.importorskip("duckdb")
    d = data.dropna()
    queries = mm.moments_sql("y ~ x + z + (1 | g)", "d", dialect="duckdb", weights="w")
    connection = duckdb.connect()
    connection.register("d", d)
    found = mm.lmer(mm.Moments.from_sql(queries, lambda text: connection.sql(text).df()))
    with pytest.raises(NotAvailableError, match="moments_sql"):
        mm.emmeans(found, "z")
    with pytest.raises(NotAvailableError, match="types I and II"):
        found.anova(type=1)
    assert_same(found.anova(type=3), mm.lmer("y ~ x + z + (1 | g)", d, weights="w").anova(type=3), 1e-6)


def test_strip_and_update(data):
    found = mm.lmer("y ~ x + (1 | g)", cut(data, 3))
    stripped = found.strip()
    np.testing.assert_allclose(stripped.predict(data[:5].dropna()), found.predict(data[:5].dropna()))
    for model, name in (
        (found, "lmer"), (mm.lm("y ~ x", cut(data, 3)), "lm"),
        (mm.glmer("count ~ z + (1 | g)", cut(data, 3), "poisson"), "glmer"),
    ):  # fmt: skip
        with pytest.raises(NotAvailableError, match=rf"call {name}\(\) with the source"):
            mm.update(model, ". ~ . - x")
