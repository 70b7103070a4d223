"""Arguments that are no lists, or lists of nothing, where a picture takes several of something."""

import pytest

import mixedmodels as mm

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def model():
    return mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))


@pytest.mark.parametrize("given", [-1, float("nan"), 10**6, True])
def test_what_is_no_list_is_named(model, given):
    profiles = mm.profile(mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff")))
    for draw in (
        lambda: mm.plot_effects(model, "Days", by=given),
        lambda: mm.plot_effects(model, "Days", at=given),
        lambda: mm.plot_groups(model, levels=given),
        lambda: mm.plot_profile(profiles, levels=given),
        lambda: mm.plot_profile_pairs(profiles, levels=given),
        lambda: mm.plot_variogram(model, over=given),
    ):
        with pytest.raises(mm.ControlError):
            draw()


@pytest.mark.parametrize("given", ["zz", [], {"q": 1}, float("nan"), -1.0, True])
def test_a_distance_is_a_positive_number(model, given):
    with pytest.raises(mm.ControlError, match="max_distance must be a number"):
        mm.plot_variogram(model, max_distance=given)


def test_lists_of_nothing_are_refused(model):
    profiles = mm.profile(mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff")))
    for draw in (mm.plot_profile, mm.plot_profile_pairs):
        with pytest.raises(mm.ControlError, match="levels must have"):
            draw(profiles, levels=[])
    with pytest.raises(mm.ControlError, match="names none of Subject"):
        mm.plot_groups(model, levels=[])


def test_one_of_them_needs_no_list(model):
    profiles = mm.profile(mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff")))
    assert mm.plot_profile(profiles, levels=0.9).data["level"].dropna().unique().tolist() == [0.9]
    assert len(mm.plot_groups(model, levels=308).panels) == 1
