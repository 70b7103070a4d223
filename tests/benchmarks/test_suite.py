"""The suite's models and simulated data."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import frames
from benchmarks.peers import common
from benchmarks.simulate import SIMULATIONS, crossed, films, nested, six_slopes, slopes, teachers
from benchmarks.suite import MODELS, Model, counts, find

SMALL = {
    "slopes": {"rows": 200, "groups": 10},
    "slopes_bernoulli": {"rows": 200, "groups": 40},
    "six_slopes": {"rows": 300, "groups": 12},
    "six_slopes_bernoulli": {"rows": 300, "groups": 12},
    "crossed": {"rows": 300, "a_levels": 30, "b_levels": 7},
    "crossed_bernoulli": {"rows": 300, "a_levels": 30, "b_levels": 7},
    "forty_effects": {"rows": 300, "groups": 10},
    "overdispersed": {"rows": 300, "groups": 10},
    "predictors": {"rows": 300, "groups": 10, "predictors": 5},
    "crossed_factors": {"rows": 300, "factors": 3, "levels": 8},
    "films": {"rows": 5_000, "users": 60, "films": 400},
    "nested": {"schools": 3, "classes": 12, "pupils": 60, "repeats": 2},
    "teachers": {"pupils": 100, "teachers": 40, "repeats": 5},
    "districts": {"districts": 4, "teachers": 5, "pupils": 100, "moves": 3},
    "small_linear": {},
    "small_binary": {},
}


def test_ids_are_unique_and_tags_known():
    assert len({model.id for model in MODELS}) == len(MODELS)
    assert {tag for model in MODELS for tag in model.tags} == {"first", "small", "medium", "large"}
    assert find("cbpp").family == "binomial"


@pytest.mark.parametrize("model", [m for m in MODELS if m.simulated], ids=lambda m: m.id)
def test_simulated_models_name_a_simulation_that_has_their_columns(model):
    frame = SIMULATIONS[model.data](**SMALL[model.data])
    for expression, group in model.random:
        assert isinstance(frame[group].dtype, pd.CategoricalDtype)
        assert expression
    assert (counts(model) or (model.response,))[0] in frame.columns


@pytest.mark.parametrize("name", sorted(SIMULATIONS))
def test_simulations_are_reproducible_and_have_no_empty_levels(name):
    once, again = SIMULATIONS[name](**SMALL[name]), SIMULATIONS[name](**SMALL[name])
    pd.testing.assert_frame_equal(once, again)
    assert not once.isna().any().any()
    for column in once.columns:
        if isinstance(once[column].dtype, pd.CategoricalDtype):
            assert once[column].nunique() == once[column].cat.categories.size
            assert all(isinstance(level, str) for level in once[column].cat.categories)


def test_sizes_are_those_asked_for():
    assert slopes(rows=120, groups=8).shape == (120, 3)
    assert six_slopes(rows=50, groups=5, slopes=2).columns.tolist() == ["y", "x1", "x2", "g"]
    frame = crossed(rows=500, a_levels=40, b_levels=6)
    assert (frame["a"].nunique(), frame["b"].nunique()) == (40, 6)


def test_films_are_distinct_skewed_and_all_rated():
    frame = films(rows=20_000, users=200, films=800)
    assert len(frame) == 20_000
    assert not frame.duplicated(["user", "film"]).any()
    assert set(frame["y"]) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    per_user, per_film = frame["user"].value_counts(), frame["film"].value_counts()
    assert (per_user.min() >= 20, per_film.size, per_film.min() >= 1) == (True, 800, True)
    assert per_user.max() > 3 * per_user.median()
    assert per_film.max() > 3 * per_film.median()


def test_pupils_are_nested_in_classes_in_schools():
    frame = nested(schools=3, classes=12, pupils=60, repeats=2)
    assert len(frame) == 120
    for inner, outer in (("pupil", "class"), ("class", "school")):
        assert (frame.groupby(inner, observed=True)[outer].nunique() == 1).all()


def test_pupils_meet_few_teachers_near_each_other():
    frame = teachers(pupils=500, teachers=2_000, repeats=6)
    met = frame.groupby("pupil", observed=True)["teacher"]
    assert met.nunique().max() <= 4
    places = frame["teacher"].astype(str).astype(int)
    spread = places.groupby(frame["pupil"], observed=True).agg(np.ptp)
    assert spread.median() < 100


def test_formula_is_taken_apart():
    model = Model("m", "d", "cbind(s, n - s) ~ x + I(x^2) + (1 + x | g) + (1 | h:k)", family="binomial")
    assert model.fixed == "x + I(x^2)"
    assert model.random == (("1 + x", "g"), ("1", "h:k"))
    assert counts(model) == ("s", "n")
    assert common.crossed(model)
    assert Model("m", "d", "y ~ (1 | g)").fixed == "1"


def test_peers_get_plain_columns():
    frame = pd.DataFrame({"s": [1, 2], "n": [4, 4], "x": [1.0, 3.0], "g": pd.Categorical(["a", "b"])})
    model = Model("m", "d", "cbind(s, n - s) ~ I(x^2) + (1 | g)", family="binomial")
    formula, plain = common.with_plain_columns(model, frame)
    assert formula == "proportion ~ x_2 + (1 | g)"
    assert plain["x_2"].tolist() == [1.0, 9.0]
    assert plain["proportion"].tolist() == [0.25, 0.5]
    assert common.trials(model, frame).tolist() == [4.0, 4.0]
    binary = Model("m", "d", "g ~ x + (x | n)", family="binomial")
    assert common.response(binary, frame).tolist() == [0.0, 1.0]
    assert common.with_numeric_slopes(Model("m", "d", "x ~ 1 + (g | n)"), frame)["g"].tolist() == [0.0, 1.0]


def test_stored_frames_come_back_the_same(tmp_path):
    frame = slopes(rows=50, groups=7)
    frame["f"] = pd.Categorical(["b", "a"] * 25, categories=["b", "a"])
    path = tmp_path / "frame.csv"
    frames.write(frame, path)
    pd.testing.assert_frame_equal(frames.read(path), frame, check_categorical=False)
    assert frames.read(path)["f"].cat.categories.tolist() == ["b", "a"]
    assert frames.megabytes(frame) > 0.0


def test_frames_are_stored_once(tmp_path):
    model = Model("m", "slopes", "y ~ x + (1 | g)", simulated=True, arguments=(("rows", 40), ("groups", 4)))
    path = frames.store(model, tmp_path)
    written = path.stat().st_mtime_ns
    assert frames.store(model, tmp_path) == path
    assert path.stat().st_mtime_ns == written
    assert len(frames.read(path)) == 40


def test_new_responses_are_near_the_observed_ones():
    frame = pd.DataFrame({"s": [0, 2, 4] * 50, "n": [4] * 150, "y": np.arange(150.0)})
    binomial = Model("m", "d", "cbind(s, n - s) ~ 1 + (1 | g)", family="binomial")
    drawn = frames.new_response(binomial, frame)
    assert set(drawn) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert np.corrcoef(drawn, frame["s"])[0, 1] > 0.7
    noisy = frames.new_response(Model("m", "d", "y ~ 1 + (1 | g)"), frame)
    assert np.corrcoef(noisy, frame["y"])[0, 1] > 0.9
    assert not np.array_equal(noisy, frame["y"])
