"""Deletion diagnostics against fits to the data without the group, and against lme4's numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def without(m, data, column, level, **options):
    """Return the ordinary fit to the rows of other levels."""
    reduced = data[data[column].astype(str) != str(level)].copy()
    reduced[column] = reduced[column].astype(str)
    if m.family() is None:
        return mm.lmer(m.formula(), reduced, REML=m.is_reml, **options)
    return mm.glmer(m.formula(), reduced, family=m.family(), **options)


def assert_like(found, level, m, rtol=1e-5):
    """Compare one deletion with a fit; estimates of searches agree to some 1e-5 standard errors."""
    se = m.standard_errors()
    assert (np.abs(found.fixef().loc[level] - m.fixef()) / se).max() < 3e-5
    np.testing.assert_allclose(found.theta().loc[level], m.getME("theta"), atol=2e-5)
    assert found.sigma()[level] == pytest.approx(m.sigma(), rel=rtol)
    np.testing.assert_allclose(found.vcov(level), m.vcov(), rtol=1e-3, atol=1e-3 * (se**2).min())


# lme4's numbers (influence(m, "Subject") of refits at tight tolerances).
SLEEPSTUDY = {
    "fixef": [251.82936577540056, 9.80273204991062],
    "dfbeta": [0.4242609269176967, -0.6645539096856492],
    "dfbetas": [0.0587250191107975, -0.4489296268090387],
    "cooks_distance": 0.09241704405545512,
    "lme4": 0.082148483604849,
    "sigma": 23.646962191091866,
    "theta": [1.1141498752108978, 0.013066647838854348, 0.23308295498389886],
}


def test_sleepstudy_as_lme4(fitted):
    found = mm.influence(fitted("sleepstudy"), "Subject")
    np.testing.assert_allclose(found.fixef().loc["308"], SLEEPSTUDY["fixef"], rtol=1e-6)
    np.testing.assert_allclose(found.dfbeta().loc["308"], SLEEPSTUDY["dfbeta"], rtol=2e-6)
    np.testing.assert_allclose(found.dfbetas().loc["308"], SLEEPSTUDY["dfbetas"], rtol=2e-6)
    np.testing.assert_allclose(found.theta().loc["308"], SLEEPSTUDY["theta"], rtol=1e-5)
    assert found.sigma()["308"] == pytest.approx(SLEEPSTUDY["sigma"], rel=1e-6)
    assert found.cooks_distance()["308"] == pytest.approx(SLEEPSTUDY["lme4"], rel=2e-6)
    plain = found.cooks_distance("HLMdiag")
    assert plain["308"] == pytest.approx(SLEEPSTUDY["cooks_distance"], rel=2e-6)


def test_measures_are_their_definitions(fitted):
    m = fitted("sleepstudy_ml")
    found = mm.influence(m, "Subject")
    V, full = m.vcov().to_numpy(), m.fixef().to_numpy()
    for level in ("309", "372"):
        W = found.vcov(level).to_numpy()
        d = found.fixef().loc[level].to_numpy() - full
        assert found.cooks_distance("HLMdiag")[level] == pytest.approx(d @ np.linalg.solve(V, d) / 2)
        assert found.mdffits()[level] == pytest.approx(d @ np.linalg.solve(W, d) / 2)
        assert found.covratio()[level] == pytest.approx(np.linalg.det(W) / np.linalg.det(V))
        trace = np.trace(np.linalg.solve(V, W))
        assert found.covtrace()[level] == pytest.approx(abs(trace - 2))
        reduced = without(m, m.data, "Subject", level)
        components = reduced.VarCorr().to_frame("lower.tri")["vcov"].to_numpy()
        all_rows = m.VarCorr().to_frame("lower.tri")["vcov"].to_numpy()
        np.testing.assert_allclose(found.varcomp().loc[level], components, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found.rvc().loc[level], components / all_rows - 1, rtol=1e-3, atol=1e-4)
    assert list(found.varcomp()) == [
        "var_(Intercept)|Subject", "cov_Days.(Intercept)|Subject", "var_Days|Subject", "sigma^2"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("sleepstudy_double_bar", "Subject"),
        ("penicillin", "sample"),
        ("penicillin", "plate"),
        ("pastes", "batch"),
        ("cake", "replicate"),
        ("machines", "Worker"),
        ("cbpp", "herd"),
        ("cbpp_agq9", "herd"),
    ],
)
def test_deletions_are_ordinary_fits_to_the_other_rows(name, column, fitted, data):
    m = fitted(name)
    frame = m.data if isinstance(m.data, pd.DataFrame) else data(name)
    found = mm.influence(m, column)
    assert not found.failed
    options = {"nAGQ": m.estimates.nAGQ} if name.startswith("cbpp") else {}
    for level in found.labels[:: max(1, len(found.labels) // 2)]:
        assert_like(found, level, without(m, frame, column, level, **options))


def test_case_deletions_are_ordinary_fits_to_the_other_rows(fitted, data):
    m = fitted("sleepstudy")
    found, frame = mm.influence(m), data("sleepstudy")
    assert len(found.labels) == 180
    for row in (56, 120):
        assert_like(found, frame.index[row], mm.lmer(m.formula(), frame.drop(index=frame.index[row])))


def test_weights_offsets_and_subsets_go_along(fitted, data):
    m = fitted("sleepstudy_arguments")
    frame = data("sleepstudy")
    reduced = frame[frame["Subject"] != "335"]
    expected = mm.lmer(
        "Reaction ~ Days + (1 | Subject)", reduced, weights="w", offset="shift", subset="Days > 1"
    )
    assert_like(mm.influence(m, "Subject"), "335", expected)


def test_random_designs():
    rng = np.random.default_rng(11)
    for n, q in ((60, 5), (90, 8)):
        g, h = rng.integers(q, size=n), rng.integers(4, size=n)
        x = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4)
        y = 3 + x / x.std() + rng.normal(size=q)[g] + rng.normal(size=4)[h] + rng.normal(size=n)
        d = pd.DataFrame({"y": y, "x": x, "g": g.astype(str), "h": h.astype(str)})
        m = mm.lmer("y ~ x + (1 | g) + (1 | h)", d, REML=bool(n == 60))
        found = mm.influence(m, "h")
        for level in found.labels[:2]:
            assert_like(found, level, without(m, d, "h", level))


def test_one_step_of_a_linear_model_is_close_to_the_refit(fitted):
    m = fitted("sleepstudy")
    exact, step = mm.influence(m, "Subject"), mm.influence(m, "Subject", method="one-step")
    # In balanced data the fixed effects do not depend on theta at all.
    np.testing.assert_allclose(step.fixef(), exact.fixef(), rtol=1e-8)
    moved = np.abs(exact.theta() - m.getME("theta")).max()
    assert (np.abs(step.theta() - exact.theta()).max() < 0.2 * moved).all()
    assert set(step.verdict) == {"one step"}
    cases, at_once = mm.influence(m), mm.influence(m, method="one-step")
    assert np.abs(at_once.dfbetas() - cases.dfbetas()).max().max() < 1e-3


def test_one_step_of_a_generalized_model_is_close_to_the_refit(fitted):
    m = fitted("cbpp")
    exact = mm.influence(m, "herd", vcov="rx")
    step = mm.influence(m, "herd", method="one-step")
    assert exact.dfbetas().abs().max().max() > 1.0
    assert np.abs(step.dfbetas() - exact.dfbetas()).max().max() < 0.12
    assert (
        step.cooks_distance().nlargest(3).index.tolist() == exact.cooks_distance().nlargest(3).index.tolist()
    )
    np.testing.assert_allclose(exact.vcov("5").to_numpy(), exact.deletions[4].vcov)


def test_covariances_of_a_generalized_model(fitted, data):
    frame = data("cbpp")
    reduced = mm.glmer(fitted("cbpp").formula(), frame[frame["herd"] != "1"], family="binomial")
    for vcov, method in ((None, "hessian"), ("rx", "rx")):
        found = mm.influence(fitted("cbpp"), "herd", vcov=vcov)
        np.testing.assert_allclose(found.vcov("1"), reduced.vcov(method=method), rtol=2e-3, atol=1e-4)


def test_models_without_random_effects(data):
    frame = data("sleepstudy").iloc[:40]
    m = mm.lm("Reaction ~ Days", frame)
    found = mm.influence(m)
    h, r = m.hatvalues(), m.residuals()
    # The closed form of least squares.
    X = m.model_matrix().to_numpy()
    expected = -np.linalg.solve(X.T @ X, (X * (r / (1 - h)).to_numpy()[:, None]).T).T
    np.testing.assert_allclose(found.dfbeta(), expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.cooks_distance("HLMdiag"), m.cooks_distance(), rtol=1e-8)
    g = mm.glm("incidence ~ period", data("cbpp"), family="poisson")
    again = mm.glm("incidence ~ period", data("cbpp").query("herd != '3'"), family="poisson")
    np.testing.assert_allclose(mm.influence(g, "herd").fixef().loc["3"], again.fixef(), rtol=1e-6)
    with pytest.raises(mm.NotAvailableError, match="exact"):
        mm.influence(g, method="one-step")


def test_fixed_effects_that_only_the_group_determines(fitted):
    with pytest.warns(mm.ConvergenceWarning, match=r"2 \(period2\)") as caught:
        found = mm.influence(fitted("cbpp"), "period")
    assert len(caught) == 1
    # Without the first level nothing is left for the others to differ from.
    assert found.fixef().loc["1"].isna().all()
    assert found.fixef().loc["2"].isna().tolist() == [False, True, False, False]
    assert found.undetermined["2"] == ("period2",)
    assert found.cooks_distance().isna().all()
    assert not found.failed
    assert "needed for fixed effects" in repr(found)


def test_deletions_that_cannot_be_fitted_are_named(data):
    frame = data("sleepstudy").query("Subject in ['308', '309']")
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", frame)
    with pytest.warns(mm.ConvergenceWarning, match="2 of 2 could not be fitted: 308, 309"):
        found = mm.influence(m, "Subject")
    assert found.failed == ("308", "309")
    assert "Subject (only '309')" in found.reasons["308"]
    assert found.fixef().isna().all().all()
    assert found.covratio().isna().all()


def test_singular_fits(fitted, data):
    m = fitted("dyestuff2")
    found = mm.influence(m, "Batch")
    assert_like(found, "C", without(m, data("Dyestuff2"), "Batch", "C"))
    assert found.rvc()["var_(Intercept)|Batch"].isna().all()
    step = mm.influence(m, "Batch", method="one-step")
    assert (step.theta() == 0.0).all().all()


def test_groups_by_name_by_combination_and_by_value(fitted):
    m = fitted("pastes")
    by_name = mm.influence(m, ["batch", "cask"])
    assert by_name.labels[:2] == ("A:a", "A:b")
    assert mm.influence(m, "batch:cask").labels == tuple(by_name.labels)
    values = m.data["batch"].astype(str).isin(["A", "B"])
    halves = mm.influence(m, values.to_numpy())
    assert len(halves.labels) == 2
    assert halves.n_rows.sum() == 60
    with pytest.raises(mm.ControlError, match="groups 'bach' is neither"):
        mm.influence(m, "bach")
    with pytest.raises(mm.DataError, match="one group"):
        mm.influence(m, np.ones(60))
    with pytest.raises(mm.DataError, match="each of the 60 rows"):
        mm.influence(m, np.ones(3))


def test_wrong_options(fitted):
    m = fitted("cbpp")
    with pytest.raises(mm.ControlError, match="rx"):
        mm.influence(m, "herd", method="one-step", vcov="hessian")
    with pytest.raises(mm.ControlError, match="'one-step'"):
        mm.influence(m, "herd", method="onestep")
    with pytest.raises(mm.ControlError, match="fitted model"):
        mm.influence("m")
    found = mm.influence(m, "herd", vcov="rx")
    for wrong in (
        lambda: found.largest(by="dfbetas"),
        lambda: found.vcov("99"),
        lambda: found.cooks_distance("R"),
    ):
        with pytest.raises(mm.ControlError):
            wrong()


def test_processes_give_the_same(fitted):
    m = fitted("sleepstudy_intercept")
    one, two = (mm.influence(m, n_jobs=jobs, progress=False) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())
    again = pickle.loads(pickle.dumps(two))
    pd.testing.assert_frame_equal(again.to_frame(), one.to_frame())


def test_text(fitted):
    found = mm.influence(fitted("sleepstudy"), "Subject")
    text = repr(found)
    assert text.startswith("Influence of 18 levels of Subject, exact deletion\nFormula: Reaction ~ Days")
    assert text.splitlines()[5].split()[:3] == ["309", "10", "0.1320"]
    assert found.largest(3, by="covratio").index[0] == found.covratio().apply(np.log).abs().idxmax()
    assert "<table>" in found._repr_html_()
    assert list(found.to_frame())[:5] == ["n", "cooks_distance", "mdffits", "covtrace", "covratio"]
