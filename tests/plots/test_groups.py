"""Fits of single groups: the lines go through what fitted(), predict() and least squares say."""

import numpy as np
import pytest

import mixedmodels as mm

SOME = ["308", "335", "371"]


def line_at(table, kind, level, x, name):
    own = table[(table["kind"] == kind) & (table["grp"] == level)]
    return np.interp(x, own[name], own["y"])


@pytest.mark.parametrize("fit", ["sleepstudy", "sleepstudy_double_bar"])
def test_lines_of_a_growth_model(fit, fitted, data):
    model, frame = fitted(fit), data("sleepstudy")
    frame = frame[frame["Subject"].isin(SOME)]
    table = mm.plot_groups(model, levels=SOME).data
    for level, rows in frame.groupby("Subject", observed=True):
        days, own = rows["Days"], model.fitted()[rows.index]
        np.testing.assert_allclose(line_at(table, "mixed model", str(level), days, "Days"), own, rtol=1e-9)
        population = model.predict(rows, re_form=mm.NA)
        np.testing.assert_allclose(
            line_at(table, "population", str(level), days, "Days"), population, rtol=1e-9
        )
        within = np.polyval(np.polyfit(days, rows["Reaction"], 1), days)
        np.testing.assert_allclose(
            line_at(table, "within group", str(level), days, "Days"), within, rtol=1e-7
        )
    observed = table[table["kind"] == "observed"]
    np.testing.assert_array_equal(np.sort(observed["y"]), np.sort(frame["Reaction"]))


def test_other_variables_are_typical_of_the_group(data):
    frame = data("sleepstudy").assign(sex=lambda d: np.where(d["Subject"].cat.codes % 2, "f", "m"))
    frame["z"] = np.random.default_rng(1).normal(size=180)
    model = mm.lmer("Reaction ~ Days + sex + z + factor(w) + (Days | Subject)", frame)
    table = mm.plot_groups(model, "Days", levels=["309"]).data
    own = frame[frame["Subject"] == "309"]
    grid = own.assign(z=own["z"].mean(), w=own["w"].mode().iloc[0])
    expected = model.predict(grid)
    np.testing.assert_allclose(line_at(table, "mixed model", "309", own["Days"], "Days"), expected, rtol=1e-9)
    assert set(table["grp"]) == {"309"}


def test_probabilities_have_no_least_squares(data):
    frame = data("Contraception")
    model = mm.glmer("use ~ age + urban + (1 | district)", frame, "binomial")
    picture = mm.plot_groups(model)
    assert set(picture.data["kind"]) == {"observed", "mixed model", "population"}
    assert len(picture.panels) == 24
    assert picture.data["y"].between(0.0, 1.0).all()
    modes = model.ranef()["district"]["(Intercept)"]
    drawn = list(dict.fromkeys(picture.data["grp"]))
    assert modes[drawn].is_monotonic_increasing
    assert {modes.idxmin(), modes.idxmax()} <= set(drawn)


def test_effects_of_other_factors_are_at_zero(data):
    frame = data("Oats")
    model = mm.lmer("yield ~ nitro + Variety + (1 | Block/Variety)", frame)
    table = mm.plot_groups(model, group="Block").data
    modes = model.ranef()["Block"]["(Intercept)"]
    for level in modes.index:
        apart = line_at(table, "mixed model", level, 0.3, "nitro") - line_at(
            table, "population", level, 0.3, "nitro"
        )
        np.testing.assert_allclose(apart, modes[level], rtol=1e-8)


def test_a_factor_along_the_panels(fitted, data):
    model = fitted("machines")
    table = mm.plot_groups(model).data
    frame = data("Machines")
    own = table[table["kind"] == "mixed model"].set_index(["grp", "Machine"])["y"]
    for (worker, machine), rows in frame.groupby(["Worker", "Machine"], observed=True):
        np.testing.assert_allclose(own[(str(worker), machine)], model.fitted()[rows.index[0]], rtol=1e-9)


@pytest.mark.parametrize("offset", ["shift", "array", "formula"])
def test_offsets_stay_in(offset, data):
    frame = data("sleepstudy").assign(shift=lambda d: 10.0 * (d["Subject"].cat.codes % 3))
    formula = "Reaction ~ Days + (Days | Subject)"
    if offset == "formula":
        model = mm.lmer(formula.replace("Days +", "Days + offset(shift) +"), frame)
    else:
        model = mm.lmer(formula, frame, offset="shift" if offset == "shift" else frame["shift"].to_numpy())
    table = mm.plot_groups(model, "Days", levels=SOME).data
    for level, rows in frame[frame["Subject"].isin(SOME)].groupby("Subject", observed=True):
        own = line_at(table, "mixed model", str(level), rows["Days"], "Days")
        np.testing.assert_allclose(own, model.fitted()[rows.index], rtol=1e-9)


def test_what_cannot_be_drawn(fitted):
    with pytest.raises(mm.ControlError, match="no variable 'Dys'"):
        mm.plot_groups(fitted("sleepstudy"), "Dys")
    with pytest.raises(mm.ControlError, match="Subject has no level '1'; it has 308"):
        mm.plot_groups(fitted("sleepstudy"), levels=["308", 1])
    with pytest.raises(mm.ControlError, match="needs x, a variable"):
        mm.plot_groups(fitted("dyestuff"))
    with pytest.raises(mm.ControlError, match="no grouping factor 'subject'"):
        mm.plot_groups(fitted("sleepstudy"), group="subject")
