"""Every way to say "no random effects" or "all of them", and those that say nothing."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

NONE = [
    mm.NA,
    pd.NA,
    np.nan,
    float("nan"),
    0,
    0.0,
    False,
    np.False_,
    np.int64(0),
    "NA",
    "0",
    "~0",
    "~ 0",
    "~-1",
]
SAME = [None, "None", "NULL"]


@pytest.mark.parametrize("re_form", NONE, ids=repr)
def test_none(re_form, fitted):
    m = fitted("sleepstudy")
    population = m.model_matrix() @ m.fixef()
    np.testing.assert_allclose(m.predict(re_form=re_form), population)
    again = m.simulate(seed=1, re_form=re_form)
    pd.testing.assert_frame_equal(again, m.simulate(seed=1, re_form=mm.NA))


@pytest.mark.parametrize("re_form", SAME, ids=repr)
def test_all(re_form, fitted):
    m = fitted("sleepstudy")
    pd.testing.assert_series_equal(m.predict(re_form=re_form), m.predict())


def test_some_with_and_without_a_tilde(fitted):
    m = fitted("pastes")
    for text in ("(1 | batch)", " ~(1|batch)", "~ (1 | batch)"):
        pd.testing.assert_series_equal(m.predict(re_form=text), m.predict(re_form="~(1 | batch)"))
    assert not m.predict(re_form="~(1 | batch)").equals(m.predict())


@pytest.mark.parametrize(
    "re_form",
    [True, 1, 2.5, np.True_, [], {}, "~1", "~Days", "~Subject", "", "x", pd.NaT, pd.DataFrame()],
    ids=repr,
)
def test_neither(re_form, fitted):
    with pytest.raises(mm.ControlError, match=r"re_form.*~\(1 \| g\)") as caught:
        fitted("sleepstudy").predict(re_form=re_form)
    assert len(str(caught.value)) < 150


def test_a_grouping_factor_that_is_not_there(fitted):
    m = fitted("penicillin")
    with pytest.raises(mm.DataError, match=r"'plate'.*'sample'.*Without plate and sample, re_form=mm\.NA"):
        m.predict({"x": [1.0, 2.0]})
    assert m.predict({"x": [1.0, 2.0]}, re_form=mm.NA).nunique() == 1


def test_a_scale_in_the_place_of_new_data(fitted):
    with pytest.raises(mm.DataError, match="type='response'"):
        fitted("cbpp").predict("response")
