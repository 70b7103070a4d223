"""New rows as they come: offsets, missing values, odd types and orders, no rows at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

ROWS = pd.DataFrame({"Days": [0, 9, 3], "Subject": ["308", "308", "309"]}, index=["a", "b", "c"])


@pytest.mark.parametrize(
    ("offset", "added"),
    [(10, [10, 10, 10]), ([1, 2, 3], [1, 2, 3]), ("o", [1, 2, 3]), ("log(o)", np.log([1, 2, 3]))],
)
def test_offsets_of_new_rows(offset, added, fitted):
    m, rows = fitted("sleepstudy"), ROWS.assign(o=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(m.predict(rows, offset=offset), m.predict(rows) + added)


def test_an_offset_stands_in_place_of_the_argument_and_beside_the_terms(fitted, data):
    m = fitted("sleepstudy_arguments")
    rows = ROWS.assign(shift=[5.0, 6.0, 7.0])
    np.testing.assert_allclose(m.predict(rows, offset=0.0), m.predict(rows) - rows["shift"])
    array = mm.lmer("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), offset=np.arange(180.0))
    with pytest.raises(mm.DataError, match="as offset="):
        array.predict(ROWS)
    difference = array.predict(ROWS, offset=[1.0, 2.0, 3.0]) - array.predict(ROWS, offset=0.0)
    np.testing.assert_allclose(difference, [1.0, 2.0, 3.0])
    term = mm.lmer("Reaction ~ Days + offset(Days) + (1 | Subject)", data("sleepstudy"))
    np.testing.assert_allclose(term.predict(ROWS, offset=2.0), term.predict(ROWS) + 2.0)
    counts = mm.glmer(
        "SiblingNegotiation ~ FoodTreatment + offset(logBroodSize) + (1 | Nest)",
        mm.load_dataset("Owls"),
        "poisson",
    )
    new = mm.load_dataset("Owls").head(3)
    for re_form in (None, "average"):
        ratio = counts.predict(new, re_form, "response", offset=np.log(2.0))
        ratio /= counts.predict(new, re_form, "response")
        np.testing.assert_allclose(ratio, 2.0)


@pytest.mark.parametrize(
    ("offset", "match"), [([1, 2], "length 2"), ("o", "'o'"), (["a", "b", "c"], "one number a row")]
)
def test_offsets_that_cannot_be(offset, match, fitted):
    with pytest.raises(mm.DataError, match=match):
        fitted("sleepstudy").predict(ROWS, offset=offset)


@pytest.mark.parametrize(
    "rows", [ROWS.assign(Days=[0, np.nan, 3]), ROWS.assign(Subject=["308", None, "309"])]
)
def test_rows_with_missing_values(rows, fitted):
    m = fitted("sleepstudy")
    whole = m.predict(ROWS, interval="confidence")
    padded = m.predict(rows, interval="confidence", na_action="exclude")
    assert padded.isna().all(axis=1).tolist() == [False, True, False]
    pd.testing.assert_frame_equal(padded.loc[["a", "c"]], whole.loc[["a", "c"]])
    pd.testing.assert_frame_equal(
        m.predict(rows, interval="confidence", na_action="omit"), whole.loc[["a", "c"]]
    )
    with pytest.raises(mm.DataError, match="first is row 1 "):
        m.predict(rows, na_action="fail")
    pd.testing.assert_series_equal(m.predict(ROWS, na_action="fail"), whole["fit"])


def test_a_missing_slope_is_no_matter_where_it_is_left_out(data):
    m = mm.lmer("Reaction ~ 1 + (Days | Subject)", data("sleepstudy"))
    rows = ROWS.assign(Days=[0, np.nan, 3])
    table = m.predict(rows, re_form="~(1 | Subject)", se_fit=True)
    assert table.notna().all(axis=None)


def test_no_rows(fitted):
    m, g = fitted("sleepstudy"), fitted("cbpp")
    assert m.predict(ROWS.iloc[:0]).shape == (0,)
    assert m.predict(ROWS.iloc[:0], se_fit=True, interval="prediction").shape == (0, 4)
    none = mm.load_dataset("cbpp").iloc[:0]
    assert g.predict(none, type="response", se_fit=True, interval="prediction").shape == (0, 4)
    assert g.predict(none, re_form="average").shape == (0,)


def test_what_does_not_matter(fitted):
    m = fitted("sleepstudy")
    expected = m.predict(ROWS)
    for rows in (
        ROWS.assign(extra="x"),
        ROWS.assign(Subject=ROWS["Subject"].astype(int)),
        ROWS.assign(Subject=pd.Categorical(ROWS["Subject"], categories=["309", "308"])),
        ROWS[["Subject", "Days"]],
    ):
        pd.testing.assert_series_equal(m.predict(rows), expected)
    period = pd.Categorical(["4", "1"], categories=["4", "3", "2", "1"])
    one = fitted("cbpp").predict(pd.DataFrame({"period": period, "herd": ["5", "1"]}))
    other = fitted("cbpp").predict(pd.DataFrame({"period": ["1", "4"], "herd": ["1", "5"]}))
    np.testing.assert_allclose(one, other[::-1])


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (ROWS.drop(columns="Days"), "'Days'"),
        (ROWS.drop(columns="Subject"), "Subject"),
        (ROWS.assign(Days=["x", "y", "z"]), "'Days' was numeric"),
        (ROWS.assign(Subject="999"), "999"),
        ([1, 2], "table"),
        ("response", "type='response'"),
    ],
)
def test_rows_that_cannot_be(rows, match, fitted):
    with pytest.raises(mm.DataError, match=match):
        fitted("sleepstudy").predict(rows)


def test_a_new_level_of_a_fixed_factor_is_named(fitted):
    with pytest.raises(mm.DataError, match="period has new level"):
        fitted("cbpp").predict(pd.DataFrame({"period": ["9"], "herd": ["1"]}), allow_new_levels=True)
