"""Likelihood-ratio tests between curves: only where one is a special case of the other."""

import numpy as np
import pytest

import mixedmodels as mm

GROWTH = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"


@pytest.fixture(scope="module")
def trees():
    return mm.load_dataset("Orange")


@pytest.fixture(scope="module")
def logistic(trees):
    return mm.nlmer(GROWTH, trees)


def test_a_line_is_no_special_case_of_a_logistic_curve(trees, logistic):
    line = mm.lmer("circumference ~ age + (1 | Tree)", trees, REML=False)
    table = mm.anova(line, logistic)
    assert table[["Chisq", "Df", "Pr(>Chisq)"]].isna().all(axis=None)
    assert table["AIC"].notna().all()
    assert "No test of MODEL2 against MODEL1" in repr(table)
    assert mm.compare(line, logistic)[["Chisq", "Pr(>Chisq)"]].isna().all(axis=None)


def test_nor_is_a_curve_of_a_line(trees, logistic):
    bend = mm.lmer("circumference ~ poly(age, 4) + (age || Tree)", trees, REML=False)
    assert mm.anova(logistic, bend)["Chisq"].isna().all()


@pytest.mark.parametrize(
    ("larger", "start"),
    [
        ("circumference ~ SSfpl(age, A, B, xmid, scal) ~ B | Tree", None),
        ("circumference ~ d + Asym * plogis((age - xmid) / scal) ~ Asym | Tree",
         {"d": 5.0, "Asym": 190.0, "xmid": 725.0, "scal": 350.0}),
        ("circumference ~ SSlogis(age, Asym, xmid, scal) ~ (Asym + xmid || Tree)", None),
    ],
)  # fmt: skip
def test_special_cases_are_tested_however_they_are_written(trees, logistic, larger, start):
    m = mm.nlmer(larger, trees, start=start)
    table = mm.anova(logistic, m)
    chisq = 2.0 * (m.loglik() - logistic.loglik())
    assert table["Chisq"].iloc[1] == pytest.approx(chisq, abs=1e-9)
    assert 0.0 < table["Pr(>Chisq)"].iloc[1] < 1.0


def test_a_line_written_as_a_curve_holds_the_constant_mean(trees):
    flat = mm.lmer("circumference ~ 1 + (1 | Tree)", trees, REML=False)
    line = mm.nlmer("circumference ~ a + b * age ~ a | Tree", trees, start={"a": 10.0, "b": 0.1})
    as_usual = mm.lmer("circumference ~ age + (1 | Tree)", trees, REML=False)
    ours, usual = mm.anova(flat, line), mm.anova(flat, as_usual)
    np.testing.assert_allclose(ours["Chisq"].iloc[1], usual["Chisq"].iloc[1], rtol=1e-6)


def test_covariates_of_parameters_are_named_and_tested():
    plants = mm.load_dataset("CO2")
    uptake = "uptake ~ SSasympOff(conc, Asym, lrc, c0)"
    small = mm.nlmer(uptake, plants, random="Asym ~ 1 | Plant")
    large = mm.nlmer(uptake, plants, random="Asym ~ 1 | Plant", fixed={"Asym": "~ Type"})
    table = mm.anova(small, large)
    assert table["Df"].iloc[1] == 1.0 and table["Pr(>Chisq)"].iloc[1] < 1e-3
    assert "~ Type" in repr(table)
    with pytest.raises(mm.NotAvailableError, match="conditional AIC"):
        mm.compare(small, large, criterion="cAIC")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("(Asym + xmid || Tree)", "((Asym | Tree) + (xmid | Tree))"),
        ("Asym + xmid || Tree", "((Asym | Tree) + (xmid | Tree))"),
        ("(Asym || Tree)", "(Asym | Tree)"),
        ("(Asym | Tree)", "(Asym | Tree)"),
    ],
)
def test_double_bars_are_written_out_without_an_intercept(trees, written, shown):
    m = mm.nlmer(f"circumference ~ SSlogis(age, Asym, xmid, scal) ~ {written}", trees)
    assert m.formula() == f"circumference ~ SSlogis(age, Asym, xmid, scal) ~ {shown}"
