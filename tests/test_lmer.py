"""The story of lmer: arguments, bad input, and the same answer however the data come."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedmodels as mm

SLEEP = "Reaction ~ Days + (Days | Subject)"
RELATIVE = 1e-6  # two routes to one optimum of quadratic shape: the objectives agree to its square


def with_nan(frame, column, rows):
    frame[column] = frame[column].astype(float)
    frame.loc[rows, column] = np.nan
    return frame


def constant(frame, column, value):
    frame[column] = value
    return frame


def duplicated(frame):
    return pd.concat([frame, frame[["Days"]]], axis=1)


# what is wrong, formula, change of the data, options, exception, what the message must say
BAD = [
    ("no bars", "Reaction ~ Days", None, {}, mm.FormulaError, "No random effects terms specified in formula"),
    ("missing columns", "reaction ~ joy + (1 | subj)", None, {}, mm.DataError, r"(?s)reaction.*joy.*subj"),
    ("misspelt column", "Reaction ~ Dayz + (1 | Subject)", None, {}, mm.DataError, "Days"),
    ("unbalanced parentheses", "Reaction ~ Days + (1 | Subject", None, {}, mm.FormulaError, r"\^"),
    ("no grouping factor", "Reaction ~ Days + (1 | )", None, {}, mm.FormulaError, r"\^"),
    ("code", "Reaction ~ __import__('os').system('x') + (1 | Subject)", None, {}, mm.FormulaError, r"\^"),
    ("empty data", SLEEP, lambda d: d.iloc[:0], {}, mm.DataError, "0 .*cases|no rows|no observations"),
    ("all missing", SLEEP, lambda d: with_nan(d, "Days", slice(None)), {}, mm.DataError, "Days"),
    ("infinite", SLEEP, lambda d: constant(d, "Days", np.inf), {}, mm.DataError, "(?i)infinite|Inf"),
    ("one level", SLEEP, lambda d: d[d["Subject"] == "308"], {}, mm.DataError, "must have > 1 sampled level"),
    (
        "as many levels as rows",
        "Days ~ 1 + (1 | Reaction)",
        None,
        {},
        mm.DataError,
        "number of levels of each grouping factor must be < number of observations",
    ),
    (
        "as many effects as rows",
        SLEEP,
        None,
        {"subset": "Days == 1 or Days == 9"},
        mm.DataError,
        r"number of observations \(=36\) <= number of random effects \(=36\)",
    ),
    ("constant response", SLEEP, lambda d: constant(d, "Reaction", 1.0), {}, mm.DataError, "constant"),
    (
        "text response",
        SLEEP,
        lambda d: d.astype({"Reaction": str}),
        {},
        mm.DataError,
        "response must be numeric",
    ),
    ("two-column response", "cbind(Days, Reaction) ~ 1 + (1 | Subject)", None, {}, mm.DataError, "numeric"),
    ("negative weights", SLEEP, None, {"weights": -np.ones(180)}, mm.DataError, "weights"),
    ("short weights", SLEEP, None, {"weights": np.ones(10)}, mm.DataError, "(?s)10.*180"),
    ("short offset", SLEEP, None, {"offset": np.ones(10)}, mm.DataError, "(?s)10.*180"),
    ("no rows left", SLEEP, None, {"subset": "Days > 100"}, mm.DataError, "0 .*cases|no rows|subset"),
    (
        "missing and fail",
        SLEEP,
        lambda d: with_nan(d, "Days", [0, 1]),
        {"na_action": "fail"},
        mm.DataError,
        "missing values",
    ),
    ("unknown na_action", SLEEP, None, {"na_action": "drop"}, mm.ControlError, "'omit'"),
    ("duplicate column", SLEEP, duplicated, {}, mm.DataError, "Days"),
    ("short start", SLEEP, None, {"start": [1.0, 1.0]}, mm.ControlError, "(?s)2.*3"),
    ("unknown option", SLEEP, None, {"control": {"optimizer": "junk"}}, mm.ControlError, "optimizer"),
    (
        "bad option",
        SLEEP,
        None,
        {"control": {"check_rank": "shout"}},
        mm.ControlError,
        "'stop', 'warning', 'ignore'",
    ),
    ("control of a wrong kind", SLEEP, None, {"control": 3}, mm.ControlError, "LmerControl"),
    (
        "dependent columns and stop",
        "Reaction ~ Days + Double + (1 | Subject)",
        None,
        {"control": mm.LmerControl(check_rank="stop")},
        mm.DataError,
        "(?s)rank deficient.*Double",
    ),
]


@pytest.mark.parametrize(
    ("formula", "change", "options", "exception", "match"),
    [case[1:] for case in BAD],
    ids=[case[0] for case in BAD],
)
def test_bad_input_is_refused_with_its_name(formula, change, options, exception, match, data):
    frame = data("sleepstudy")
    with pytest.raises(exception, match=match):
        mm.lmer(formula, frame if change is None else change(frame), **options)


@pytest.mark.parametrize("name", ["junk", "family", "nAGQ"])
def test_unknown_arguments_are_a_type_error(name, data):
    with pytest.raises(TypeError, match=name):
        mm.lmer(SLEEP, data("sleepstudy"), **{name: 1})


def test_data_that_is_no_table():
    with pytest.raises(mm.DataError, match="int"):
        mm.lmer(SLEEP, 3)


def same(one, other):
    np.testing.assert_allclose(one.beta, other.beta, rtol=RELATIVE)
    np.testing.assert_allclose(one.theta(), other.theta(), rtol=RELATIVE, atol=RELATIVE)
    np.testing.assert_allclose(one.loglik(), other.loglik(), rtol=1e-10)


@pytest.mark.parametrize(
    "convert",
    [
        lambda d: {name: d[name].to_numpy() for name in d.columns},
        lambda d: pl.from_pandas(d),
        lambda d: pl.from_pandas(d).to_arrow(),
        lambda d: d.sample(frac=1.0, random_state=3),
    ],
    ids=["dict", "polars", "pyarrow", "reordered rows"],
)
def test_the_kind_of_table_and_the_order_of_rows_change_nothing(convert, data, fitted):
    same(mm.lmer(SLEEP, convert(data("sleepstudy"))), fitted("sleepstudy"))


def test_weights_of_one_and_equal_weights(data, fitted):
    same(mm.lmer(SLEEP, data("sleepstudy"), weights=np.ones(180)), fitted("sleepstudy"))
    four = mm.lmer(SLEEP, data("sleepstudy"), weights=np.full(180, 4.0))
    assert four.sigma() == pytest.approx(2 * fitted("sleepstudy").sigma(), rel=RELATIVE)
    np.testing.assert_allclose(four.beta, fitted("sleepstudy").beta, rtol=RELATIVE)


def test_an_offset_shifts_the_intercept(data, fitted):
    shifted = mm.lmer(SLEEP, data("sleepstudy"), offset=np.full(180, 100.0))
    np.testing.assert_allclose(shifted.beta - fitted("sleepstudy").beta, [-100, 0], atol=1e-4)
    np.testing.assert_allclose(shifted.fitted(), fitted("sleepstudy").fitted(), rtol=1e-5)


def test_rows_of_zero_weight_do_not_count(data):
    weights = np.ones(180)
    weights[:10] = 0.0
    with_zero = mm.lmer(SLEEP, data("sleepstudy"), weights=weights)
    same(with_zero, mm.lmer(SLEEP, data("sleepstudy").iloc[10:]))
    assert with_zero.nobs() == 170
    assert "(10 observations with zero weight)" in str(with_zero)
    assert np.isfinite(with_zero.fitted()).all()


@pytest.mark.parametrize("role", ["Reaction", "Days", "Subject"])
def test_missing_values_are_dropped_and_counted(role, data):
    frame = data("sleepstudy")
    frame.loc[[0, 50, 100], role] = None
    model = mm.lmer(SLEEP, frame)
    same(model, mm.lmer(SLEEP, frame.drop(index=[0, 50, 100])))
    assert model.nobs() == 177
    assert "(3 observations deleted due to missingness)" in str(model.summary())


def test_exclude_pads_what_belongs_to_rows(data):
    frame = with_nan(data("sleepstudy"), "Days", [0, 5])
    frame.index = frame.index + 1000
    model = mm.lmer(SLEEP, frame, na_action="exclude")
    for rows in (
        model.fitted(),
        model.residuals(),
        model.predict(),
        model.weights(),
        model.simulate(1, seed=1)["sim_1"],
    ):
        assert list(rows.index) == list(frame.index)
        assert list(rows.index[rows.isna()]) == [1000, 1005]
    assert model.nobs() == 178


def test_dependent_columns_are_dropped_with_a_warning(data):
    with pytest.warns(mm.DataWarning, match="rank deficient so dropping 1 column / coefficient: Double"):
        model = mm.lmer("Reaction ~ Days + Double + (1 | Subject)", data("sleepstudy"))
    assert list(model.fixef().index) == ["(Intercept)", "Days"]
    every = model.fixef(add_dropped=True)
    assert list(every.index) == ["(Intercept)", "Days", "Double"]
    assert np.isnan(every["Double"])


def test_unused_levels_and_numeric_groups(data):
    frame = data("sleepstudy")
    fewer = mm.lmer(SLEEP, frame[~frame["Subject"].isin(["308", "309"])])
    assert fewer.ngrps() == {"Subject": 16}
    assert mm.lmer("Reaction ~ 1 + (1 | Days)", frame).ngrps() == {"Days": 10}


def test_a_start_is_used_and_does_not_matter(data, fitted):
    same(mm.lmer(SLEEP, data("sleepstudy"), start=[2.0, 0.1, 0.5]), fitted("sleepstudy"))


def test_without_fixed_effects_reml_is_ml(data):
    model = mm.lmer("Reaction ~ 0 + (1 | Subject)", data("sleepstudy"))
    assert not model.is_reml
    assert len(model.fixef()) == 0


def test_checks_can_be_relaxed(data):
    frame = data("sleepstudy")
    frame["row"] = np.arange(180).astype(str)
    with pytest.warns(mm.DataWarning, match="number of levels"), warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.IdentificationWarning)
        mm.lmer("Reaction ~ Days + (1 | row)", frame, control={"check_random_terms": "warning"})


@pytest.mark.parametrize(
    "term", ["Reaction | Subject", "I(2 * Reaction + 1) | Subject", "0 + Reaction | Subject"]
)
def test_a_random_term_that_reproduces_the_response_is_named(data, term):
    with pytest.raises(mm.DataError, match=r"random-effects term .* reproduces the response"):
        mm.lmer(f"Reaction ~ Days + ({term})", data("sleepstudy"))


def test_a_start_far_away_works_or_is_refused(data, fitted):
    formula, sleepstudy = "Reaction ~ Days + (1 | Subject)", data("sleepstudy")
    far = mm.lmer(formula, sleepstudy, start=[1e4])
    assert far.REMLcrit() == pytest.approx(fitted("sleepstudy_intercept").REMLcrit(), rel=1e-9)
    with pytest.raises(mm.ControlError, match="singular on the way from the start of theta; leave start out"):
        mm.lmer(formula, sleepstudy, start=[1e20])
