"""Tests and marginal means with a robust covariance against R's clubSandwich 0.5.8, and few clusters."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm

# Fits of R stop at its optimiser's tolerance, which moves standard errors in the eighth digit.
FITTED = 3e-7

# lmer(score ~ Machine + (1 | Worker/Machine), Machines[-c(2, 3, 6, 19, 20, 27, 33), ]):
# coef_test(); Wald_test(test = "HTZ") of both coefficients; linear_contrast() of the three means.
CLUBSANDWICH = {
    "CR2": {
        "se": (1.68095296917, 2.49294798014, 1.52953791957),
        "df": (4.99980456406, 4.99888536007, 4.99968796695),
        "p": (6.49525888209e-07, 2.26868421046e-02, 2.55729508407e-04),
        "HTZ": (33.82983208814183, 3.99945184561450, 0.00311746469877),
        "mean_se": (1.68095296917, 3.51020971630, 1.80616517682),
        "mean_df": (4.99980456406, 4.99981674571, 5.00000004320),
        "pair_se": (2.49294798014, 1.52953791957, 2.46532252189),
        "pair_df": (4.99888536007, 4.99968796695, 4.99970752066),
    },
    "CR3": {
        "se": (1.84161643001, 2.73249070934, 1.67590843887),
        "df": (4.99973710522, 4.99849525008, 4.99957874739),
        "p": (1.02307803210e-06, 3.13242957369e-02, 3.94345029510e-04),
        "HTZ": (28.17809391628412, 3.99926008809841, 0.00439503587091),
        "mean_se": (1.84161643001, 3.84680145127, 1.97867333033),
        "mean_df": (4.99973710522, 4.99975329670, 5.00000000000),
        "pair_se": (2.73249070934, 1.67590843887, 2.70200821677),
        "pair_df": (4.99849525008, 4.99957874739, 4.99960483010),
    },
}


@pytest.fixture(scope="module")
def machines():
    data = mm.load_dataset("Machines")
    return mm.lmer("score ~ Machine + (1 | Worker/Machine)", data.drop(data.index[[1, 2, 5, 18, 19, 26, 32]]))


def given(model, kind):
    """Return what a user gives as vcov=: a name, or the covariance itself."""
    return kind if kind == "CR2" else model.vcov(kind, cluster="Worker")


@pytest.mark.parametrize("kind", CLUBSANDWICH)
def test_the_summary_is_coef_test(machines, kind):
    table, wanted = machines.summary(vcov=given(machines, kind)).coefficients, CLUBSANDWICH[kind]
    for column, values in (("Std. Error", "se"), ("df", "df"), ("Pr(>|t|)", "p")):
        np.testing.assert_allclose(table[column], wanted[values], rtol=3 * FITTED)


@pytest.mark.parametrize("kind", CLUBSANDWICH)
def test_joint_tests_are_hotellings(machines, kind):
    vcov, (F, df, p) = given(machines, kind), CLUBSANDWICH[kind]["HTZ"]
    for table, row in (
        (machines.anova(vcov=vcov)[["F value", "DenDF", "Pr(>F)"]], 0),
        (machines.anova(type=2, vcov=vcov)[["F value", "DenDF", "Pr(>F)"]], 0),
        (machines.drop1(test="F", vcov=vcov)[["F value", "DenDF", "Pr(>F)"]], 0),
        (machines.linear_hypothesis(["MachineB", "MachineC = 0"], vcov=vcov)[["F", "Pr(>F)"]], 1),
        (machines.joint_tests(vcov=vcov)[["F.ratio", "df2", "p.value"]], 0),
        (machines.emmeans("Machine", vcov=vcov).pairs().test(joint=True)[["F.ratio", "df2", "p.value"]], 0),
    ):
        found = table.to_numpy(dtype=float)[row]
        np.testing.assert_allclose(found, (F, df, p) if len(found) == 3 else (F, p), rtol=2e-6)


@pytest.mark.parametrize("kind", CLUBSANDWICH)
def test_means_and_their_differences_are_linear_contrast(machines, kind):
    means, wanted = machines.emmeans("Machine", vcov=given(machines, kind)), CLUBSANDWICH[kind]
    for table, which in ((means.to_frame(), "mean"), (means.pairs().to_frame(), "pair")):
        np.testing.assert_allclose(table["SE"], wanted[f"{which}_se"], rtol=FITTED)
        np.testing.assert_allclose(table["df"], wanted[f"{which}_df"], rtol=FITTED)


@pytest.fixture(scope="module")
def four_clusters():
    """Return a model of four subjects with five coefficients."""
    data = mm.load_dataset("sleepstudy")
    few = data[data["Subject"].isin(data["Subject"].unique()[:4])].assign(x=lambda d: np.sin(d["Days"]))
    return mm.lmer("Reaction ~ Days + I(Days^2) + I(Days^3) + x + (1 | Subject)", few)


def test_fewer_clusters_than_coefficients_concern_one_type_alone(four_clusters):
    # clubSandwich: coef_test(m, vcovCR(m, type)), d.f. of 3 each.
    expected = {"CR0": (24.28, 0.21), "CR1": (28.04, 0.243), "CR2": (28.038, 0.243), "CR3": (32.38, 0.28)}
    for kind, errors in expected.items():
        V = four_clusters.vcov(kind)
        np.testing.assert_allclose(np.sqrt(np.diag(V))[[0, 3]], errors, rtol=3e-3)
        np.testing.assert_allclose(V.degrees.of_rows(np.eye(5)), 3.0, rtol=1e-6)
    np.testing.assert_allclose(four_clusters.vcov("CR1S"), 39 / 35 * four_clusters.vcov("CR1"), rtol=1e-12)
    with pytest.raises(mm.NotAvailableError, match="4 clusters for 5 coefficients; use 'CR2'"):
        four_clusters.vcov("CR1p")


def test_more_hypotheses_than_clusters_can_test_have_no_p_value(four_clusters):
    # Wald_test(test = "HTZ"): F = 0.172 on 2 and 2, p = 0.853; of all four its denominator is 5e-11.
    two = four_clusters.linear_hypothesis(["Days", "I(Days^2)"], vcov="CR2")
    assert two["F"].iloc[1] == pytest.approx(0.172, abs=5e-4)
    assert two["Pr(>F)"].iloc[1] == pytest.approx(0.853, abs=5e-4)
    four = four_clusters.linear_hypothesis(np.eye(5)[1:], vcov="CR2")
    assert np.isnan(four["Pr(>F)"].iloc[1])
