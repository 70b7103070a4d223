"""What tables and messages of tests say: hypotheses, pooled fits, tests without degrees of freedom."""

import pickle

import numpy as np
import pytest

import mixedmodels as mm

DATA = mm.load_dataset("sleepstudy")
ERGO = mm.load_dataset("ergoStool")


def test_hypotheses_print_as_tables_and_are_a_mapping():
    found = mm.lmer("effort ~ Type + (1 | Subject)", ERGO).hypotheses()
    assert isinstance(found, dict) and list(found) == ["Type"]
    np.testing.assert_allclose(found["Type"].iloc[0], [0, 1, -1 / 3, -1 / 3], atol=1e-12)
    assert str(found).splitlines() == [
        "Hypotheses of type III (lmerTest), L beta = 0 with L",
        "",
        "Type:",
        "  (Intercept) TypeT2   TypeT3   TypeT4",
        "1           0      1 -0.33333 -0.33333",
        "2           0      0  1.00000 -0.50000",
        "3           0      0  0.00000  1.00000",
    ]
    assert repr(pickle.loads(pickle.dumps(found))) == repr(found)
    assert found._repr_html_().startswith("<div")


def test_several_models_where_one_list_is_taken():
    m = mm.lmer("effort ~ Type + (1 | Subject)", ERGO)
    with pytest.raises(mm.UnknownArgumentError, match=r"takes one list of fits.*pool\(\[m1, m2, m3\]\)"):
        mm.pool(m, m)
    with pytest.raises(mm.ControlError, match=r"regression_table\(\[m1, m2\]\)"):
        mm.regression_table(m, m)


@pytest.mark.parametrize("argument", ["re_form", "reform", "allow_new_levels", "random_only"])
def test_random_effects_are_no_argument_of_models_without(argument):
    for m in (mm.lm("Reaction ~ Days", DATA), mm.glm("Reaction ~ Days", DATA, family="Gamma")):
        with pytest.raises(mm.UnknownArgumentError, match=r"has no random effects.*leave it out"):
            m.predict(**{argument: True})


@pytest.fixture(scope="module")
def few_clusters():
    few = DATA[DATA["Subject"].isin(DATA["Subject"].unique()[:4])].assign(
        f=lambda d: "d" + d["Days"].astype(str)
    )
    return mm.lmer("Reaction ~ f + (1 | Subject)", few)


@pytest.mark.parametrize("table", [
    lambda m: m.anova(vcov="CR2"),
    lambda m: m.drop1(test="F", vcov="CR2"),
    lambda m: mm.Anova(m, test="F", ddf="satterthwaite", vcov="CR2"),
    lambda m: m.linear_hypothesis(np.eye(10)[1:], vcov="CR2"),
    lambda m: mm.joint_tests(m, vcov="CR2"),
])  # fmt: skip
def test_a_test_without_degrees_of_freedom_says_why(few_clusters, table):
    text = " ".join(repr(table(few_clusters)).split())
    assert "so few clusters leave no degrees of freedom" in text
    assert "nonEst" not in text
    assert "no degrees" not in repr(few_clusters.anova())


def test_two_coefficients_can_be_tested_and_nothing_is_said(few_clusters):
    table = few_clusters.linear_hypothesis(np.eye(10)[1:3], vcov="CR2")
    assert np.isfinite(table["Pr(>F)"].iloc[1])
    assert "no degrees" not in repr(table)
