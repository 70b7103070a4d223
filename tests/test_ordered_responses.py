"""An ordered response of three levels or more is refused in one sentence that says what to fit instead."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

CUTS = r"o is ordered, with 3 levels, .* from o >= 'mild' to o >= 'severe'"


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    levels = ["none", "mild", "severe"]
    pain = pd.Categorical.from_codes(rng.integers(0, 3, 80), categories=levels, ordered=True)
    return pd.DataFrame({"o": pain, "x": rng.normal(size=80), "g": np.repeat(np.arange(20), 4)})


@pytest.mark.parametrize(
    "fit",
    [
        lambda d: mm.gee("o ~ x", d, groups="g"),
        lambda d: mm.gee("o ~ x", d, groups="g", family="binomial"),
        lambda d: mm.glmer("o ~ x + (1 | g)", d, family="binomial"),
        lambda d: mm.glm("o ~ x", d, family="binomial"),
        lambda d: mm.lmer("o ~ x + (1 | g)", d),
    ],
    ids=["gee", "gee binomial", "glmer", "glm", "lmer"],
)
def test_ordered_responses_are_refused(data, fit):
    with pytest.raises(mm.errors.MixedModelsError, match=CUTS):
        fit(data)


@pytest.mark.parametrize("family", ["ordinal", "cumulative", "clm"])
def test_ordinal_families_are_refused(data, family):
    with pytest.raises(mm.errors.FamilyError, match="cut by cut with family='binomial'"):
        mm.gee("o ~ x", data, groups="g", family=family)


def test_what_is_said_instead_can_be_fitted(data):
    beyond = data.assign(y=(data["o"] >= "mild").astype(int), level=data["o"].cat.codes + 1)
    for said, by_hand, family in (
        ("o >= 'mild' ~ x", "y ~ x", "binomial"),
        ("as.numeric(o) ~ x", "level ~ x", "gaussian"),
    ):
        ours = mm.gee(said, data, groups="g", family=family)
        theirs = mm.gee(by_hand, beyond, groups="g", family=family)
        np.testing.assert_allclose(ours.fixef(), theirs.fixef(), rtol=1e-12)


def test_ordered_responses_of_two_levels_are_binary(data):
    two = data[data["o"] != "severe"]
    m = mm.gee("o ~ x", two, groups="g", family="binomial")
    y = two.assign(y=(two["o"] == "mild").astype(int))
    np.testing.assert_allclose(
        m.fixef(), mm.gee("y ~ x", y, groups="g", family="binomial").fixef(), rtol=1e-12
    )
