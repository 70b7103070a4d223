"""Moments: added, saved, stopped and continued, and what is said about bad input."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.absent_rows import AbsentRows
from mixedmodels.errors import DataError, NotAvailableError
from tests.moments.equality import assert_equal, cut, tables

FORMULA = "Reaction ~ Days + (Days | Subject)"
DATA = mm.load_dataset("sleepstudy")


class Stopping:
    """Frames of which one raises the first time it is reached."""

    def __init__(self, frames, at, error):
        self.frames, self.at, self.error = frames, at, error

    def __iter__(self):
        for k, frame in enumerate(self.frames):
            if k == self.at and self.error is not None:
                error, self.error = self.error, None
                raise error
            yield frame


def test_text_says_rows_levels_terms_and_size():
    text = repr(mm.moments(FORMULA, cut(DATA, 3)))
    assert "Rows: 180 used, 0 dropped" in text
    assert "Subject (18)" in text
    assert "(Days | Subject)" in text
    assert "MB" in text


def test_rows_dropped_are_counted():
    data = tables()["sleep"]
    sums = mm.moments(FORMULA, cut(data, 4))
    assert "178 used, 2 dropped" in repr(sums)
    assert mm.lmer(sums).design.missing.n_dropped == 2


def test_sites_with_other_subjects_and_orders_are_added_by_name():
    whole = mm.lmer(FORMULA, DATA)
    pieces = [DATA[DATA.Subject.isin(part)] for part in np.array_split(list(DATA.Subject.unique()[::-1]), 3)]
    pieces = [piece.assign(Subject=piece.Subject.cat.remove_unused_categories()) for piece in pieces]
    sums = [mm.moments(FORMULA, [piece]) for piece in pieces]
    first = repr(sums[0])
    assert_equal(mm.lmer(sums[0] + sums[1] + sums[2]), whole)
    assert repr(sums[0]) == first
    assert_equal(mm.lmer(sum(sums[::-1])), whole)


def test_only_moments_of_one_design_are_added():
    sums = mm.moments(FORMULA, [DATA])
    with pytest.raises(DataError, match="the formula of one"):
        sums + mm.moments("Reaction ~ 1 + (1 | Subject)", [DATA])
    scaled = "Reaction ~ scale(Days) + (1 | Subject)"
    with pytest.raises(DataError, match=r"scale\(Days\) has learnt other numbers"):
        mm.moments(scaled, [DATA[:90]]) + mm.moments(scaled, [DATA[85:]])
    factor = "Reaction ~ factor(Days) + (1 | Subject)"
    with pytest.raises(DataError, match="columns of the fixed effects"):
        mm.moments(factor, [DATA]) + mm.moments(factor, [DATA[DATA.Days < 5]])


@pytest.mark.parametrize(
    "formula",
    [
        FORMULA,
        "angle ~ recipe * poly(temp, 2) + ns(k, 2) + (temp | recipe:replicate) + (1 | k)",
        "angle ~ C(recipe, contr.sum) + cut(temp, 3) + (1 | half) + exp(0 + temp | k)",
    ],
)
def test_a_file_holds_all_of_it(tmp_path, formula):
    data = DATA if formula == FORMULA else tables()["cake"]
    sums = mm.moments(formula, cut(data, 3))
    sums.save(tmp_path / "sums.moments")
    again = mm.Moments.load(tmp_path / "sums.moments")
    assert repr(again) == repr(sums)
    one, other = mm.lmer(sums), mm.lmer(again)
    assert one.loglik() == other.loglik()
    np.testing.assert_array_equal(one.predict(data.head(9)), other.predict(data.head(9)))
    assert_equal(mm.lmer(again + again), mm.lmer(sums + sums))


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read as moments"):
        mm.Moments.load(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is gone")])
def test_a_stop_loses_nothing_and_counts_nothing_twice(error, tmp_path):
    source = Stopping(cut(DATA, 9), 5, error)
    with pytest.raises(type(error)) as stopped:
        mm.moments(FORMULA, lambda: source)
    begun = stopped.value.moments
    assert begun.nobs == 100
    begun.save(tmp_path / "begun")
    sums = mm.moments(FORMULA, lambda: source, into=mm.Moments.load(tmp_path / "begun"))
    assert sums.nobs == 180
    assert_equal(mm.lmer(sums), mm.lmer(FORMULA, DATA))
    assert mm.moments(FORMULA, lambda: source, into=sums).nobs == 180


def test_a_batch_at_fault_leaves_the_sums_as_they_were():
    pieces = cut(DATA.assign(Subject=DATA.Subject.astype(str)), 6)
    bad = [*pieces[:4], pieces[4].assign(Days=np.inf, Subject="new"), pieces[5]]
    with pytest.raises(DataError, match="frame 5: Days is infinite") as stopped:
        mm.moments(FORMULA, bad)
    begun = stopped.value.moments
    assert begun.nobs == 120
    assert_equal(mm.lmer(mm.moments(FORMULA, pieces, into=begun)), mm.lmer(FORMULA, DATA))


def test_one_reading_with_levels():
    data = DATA.assign(f=np.where(DATA.Days > 4, "late", "early"))
    formula = "Reaction ~ f + (1 | Subject)"
    pieces = cut(data, 4, np.random.default_rng(0))
    sums = mm.moments(formula, iter(pieces), levels={"f": ["early", "late"]})
    assert_equal(mm.lmer(sums), mm.lmer(formula, data))
    with pytest.raises(DataError, match=r"f must be known of all rows.*levels="):
        mm.moments(formula, iter(pieces))
    with pytest.raises(DataError, match=r"frame \d: factor f has new level\(s\) 'late'"):
        mm.moments(formula, iter(pieces), levels={"f": ["early", "middle"]})


def test_a_source_that_changes_between_two_readings_is_named():
    data = DATA.assign(f=np.where(DATA.Days > 4, "late", "early"))
    pieces = cut(data, 3)
    readings = iter([pieces, pieces, [pieces[0], pieces[1].assign(f="other"), pieces[2]]])
    with pytest.raises(DataError, match=r"frame 2: factor f has new level\(s\) 'other'"):
        mm.moments("Reaction ~ f + (1 | Subject)", lambda: next(readings))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop(columns="Days"), "frame 2.*Days"),
        (lambda d: d.assign(Days=d.Days.astype(str) + "!"), "frame 2.*Days"),
        (lambda d: d.assign(Reaction="much"), "frame 2.*Reaction"),
    ],
)
def test_another_batch_than_the_first_is_named(change, message):
    pieces = cut(DATA, 3)
    with pytest.raises(DataError, match=message):
        mm.moments(FORMULA, [pieces[0], change(pieces[1]), pieces[2]])


def test_empty_batches_are_passed_over():
    pieces = cut(DATA, 3)
    sums = mm.moments(FORMULA, [DATA.iloc[:0], pieces[0], DATA.iloc[:0], *pieces[1:]])
    assert_equal(mm.lmer(sums), mm.lmer(FORMULA, DATA))
    with pytest.raises(DataError, match="no frame with rows"):
        mm.moments(FORMULA, [DATA.iloc[:0]])


def test_arguments_that_have_rows_are_refused():
    with pytest.raises(DataError, match="weights must be the name of a column"):
        mm.moments(FORMULA, [DATA], weights=np.ones(180))


# What a model without rows answers.


def test_everything_that_needs_no_rows_is_there():
    whole, summed = mm.lmer(FORMULA, DATA), mm.lmer(FORMULA, cut(DATA, 4))
    assert repr(summed.VarCorr()) == repr(whole.VarCorr())
    pd.testing.assert_frame_equal(summed.confint(), whole.confint(), rtol=1e-8)
    pd.testing.assert_frame_equal(mm.tidy(summed), mm.tidy(whole), rtol=1e-8)
    assert "Pr(>|t|)" in repr(summed.summary())
    assert "Scaled residuals" not in repr(summed.summary())
    smaller = mm.lmer("Reaction ~ Days + (1 | Subject)", cut(DATA, 2))
    table = mm.anova(summed, smaller)
    assert table["Chisq"].iloc[1] == pytest.approx(42.139, abs=1e-3)  # lme4: anova(fm1, fm2)


@pytest.mark.parametrize("type", [1, 2, 3])
def test_analysis_of_variance_by_products_alone(type):
    data = tables()["cake"]
    formula = "angle ~ recipe * temp + (1 | recipe:replicate)"
    whole, summed = mm.lmer(formula, data), mm.lmer(formula, cut(data, 3))
    np.testing.assert_allclose(summed.anova(type=type), whole.anova(type=type), rtol=1e-8)


def test_rows_come_batch_by_batch(tmp_path):
    whole, pieces = mm.lmer(FORMULA, DATA), cut(DATA, 4)
    summed = mm.lmer(FORMULA, pieces)
    fitted = pd.concat(summed.fitted(pieces))
    np.testing.assert_allclose(fitted[".fitted"], whole.fitted(), rtol=1e-10)
    residuals = pd.concat(summed.residuals(pieces))
    np.testing.assert_allclose(residuals[".resid"], whole.residuals(), atol=1e-8)
    predicted = pd.concat(summed.predict(pieces, se_fit=True))
    np.testing.assert_allclose(predicted, whole.predict(DATA, se_fit=True), rtol=1e-8)
    assert list(predicted.index) == list(range(180))
    pytest.importorskip("pyarrow")
    assert summed.augment(pieces, to=tmp_path / "rows.parquet") == 180
    written = pd.read_parquet(tmp_path / "rows.parquet")
    np.testing.assert_allclose(written[".fitted"] + written[".resid"], DATA.Reaction, rtol=1e-12)


@pytest.mark.parametrize("name", ["fitted", "residuals", "simulate", "hatvalues", "model_frame", "weights"])
def test_what_needs_rows_says_so(name):
    summed = mm.lmer(FORMULA, cut(DATA, 2))
    with pytest.raises(NotAvailableError, match="batch by batch"):
        getattr(summed, name)()


def test_terms_are_dropped_without_rows():
    whole, summed = mm.lmer(FORMULA, DATA), mm.lmer(FORMULA, cut(DATA, 2))
    pd.testing.assert_frame_equal(
        pd.DataFrame(summed.drop1()), pd.DataFrame(whole.drop1()), rtol=1e-7, atol=1e-7
    )


def test_unidentified_parameters_are_told():
    data = mm.load_dataset("cbpp")
    formula = "incidence ~ cs(0 + herd | period, hom = TRUE)"
    with pytest.warns(mm.IdentificationWarning):
        summed = mm.lmer(formula, cut(data, 3))
    assert summed.convergence().verdict == "not identified"


def test_absent_rows_have_a_shape_and_nothing_else():
    rows = AbsentRows(4, 2)
    assert np.shape(rows) == (4, 2)
    assert len(rows) == 4
    assert rows.size == 8
    for use in (lambda: rows[0], lambda: rows @ np.eye(2), lambda: np.asarray(rows), lambda: np.sum(rows)):
        with pytest.raises(NotAvailableError):
            use()


def test_crossed_factors_too_large_for_sums_are_refused_by_name(monkeypatch):
    monkeypatch.setattr(sys.modules["mixedmodels.moments"], "MOST_PAIR_BYTES", 1000)
    data = mm.load_dataset("Penicillin")
    with pytest.raises(DataError, match=r"plate and sample meet in \d+ pairs of levels and more"):
        mm.moments("diameter ~ 1 + (1 | plate) + (1 | sample)", cut(data, 3))


def test_what_is_decided_by_the_sums_is_refused_later():
    sums = mm.moments(FORMULA, [DATA])
    with pytest.raises(mm.ControlError, match="weights= decides what is summed"):
        mm.lmer(sums, weights="w")
    with pytest.raises(mm.ControlError, match="leave out data"):
        mm.lmer(sums, DATA)


def test_files_are_read_by_processes_too(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.parquet"
    DATA.to_parquet(path, row_group_size=25)
    whole = mm.lmer(FORMULA, DATA)
    assert_equal(mm.lmer(mm.moments(FORMULA, path, n_jobs=2)), whole)
    assert_equal(mm.lmer(FORMULA, path), whole)
    factor = "Reaction ~ factor(Days) + (1 | Subject)"
    assert_equal(mm.lmer(mm.moments(factor, path, n_jobs=2)), mm.lmer(factor, DATA))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": {"Days": 5}}, r"levels\['Days'\] must be a list"),
        ({"levels": {"day": [1, 2]}}, "which the model does not use; it uses 'Reaction', 'Days', 'Subject'"),
        ({"levels": ["Days"]}, "levels must be a dict"),
        ({"env": {"k": np.arange(180.0)}}, r"env\['k'\] holds an array"),
    ],
)
def test_arguments_that_say_nothing_about_batches(options, message):
    with pytest.raises(DataError, match=message):
        mm.moments(FORMULA, [DATA], **options)


def test_models_of_sums_are_pickled_and_listed_like_others():
    summed = mm.lmer(FORMULA, cut(DATA, 2))
    again = pickle.loads(pickle.dumps(summed))
    assert again.loglik() == summed.loglik()
    pd.testing.assert_frame_equal(again.confint(method="Wald"), summed.confint(method="Wald"))
    assert "summed" not in dir(summed)


@pytest.mark.parametrize("groups", [None, "Subject"])
def test_influence_says_that_it_needs_rows(groups):
    d = mm.load_dataset("sleepstudy")
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", [d[:90], d[90:]])
    with pytest.raises(mm.NotAvailableError, match="needs the rows of the data"):
        mm.influence(m) if groups is None else mm.influence(m, groups)
