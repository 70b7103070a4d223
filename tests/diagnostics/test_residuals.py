"""Standardized and studentized residuals and Cook's distances from leverages, against R and by definition."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm


def test_a_linear_mixed_model_as_lme4(fitted):
    m = fitted("sleepstudy")
    student = [-0.182654149437, -0.6271792596555, -1.7644722702540, 0.3616450565512]
    cook = [0.0049631247373, 0.0402059540839, 0.2260977812550, 0.0073132042963]
    np.testing.assert_allclose(m.rstudent()[:4], student, rtol=1e-6)
    np.testing.assert_allclose(m.cooks_distance()[:4], cook, rtol=1e-6)
    np.testing.assert_allclose((m.rstudent() ** 2).sum(), 182.65035767591, rtol=1e-7)
    np.testing.assert_allclose(m.cooks_distance().sum(), 20.022640476366, rtol=1e-7)
    # Without a family both kinds are the residual over its standard deviation.
    np.testing.assert_allclose(m.rstandard(), m.rstudent(), rtol=1e-12)


def test_standard_deviations_of_the_residuals_are_those_of_the_model(fitted):
    """Residuals of (y, u) are ``(I - H)`` times theirs, of which the block of y is that of the leverages."""
    m = fitted("sleepstudy_arguments")
    X, Z, Lambda = m.getME("X"), m.getME("Z").toarray(), m.getME("Lambda").toarray()
    root = np.sqrt(m.prior_weights)
    rows = np.hstack([Z @ Lambda, X]) * root[:, None]
    q = Z.shape[1]
    augmented = np.vstack([rows, np.hstack([np.eye(q), np.zeros((q, X.shape[1]))])])
    H = augmented @ np.linalg.solve(augmented.T @ augmented, augmented.T)
    left = np.diag(np.eye(len(H)) - H)[: len(X)]
    expected = root * (m.y - m.fitted()) / (m.sigma() * np.sqrt(left))
    np.testing.assert_allclose(m.rstandard(), expected, rtol=1e-8)


@pytest.fixture(scope="module")
def few():
    d = mm.load_dataset("sleepstudy").iloc[:30].copy()
    return d.assign(w=1 + d["Days"] % 3)


def test_least_squares_as_r(few):
    m = mm.lm("Reaction ~ Days", few, weights="w")
    np.testing.assert_allclose(m.rstudent()[:3], [0.359241177100, 0.497817012475, 0.267346010468], rtol=1e-9)
    np.testing.assert_allclose(
        m.cooks_distance()[:3], [0.00485587096913, 0.01362864028754, 0.00413470341562], rtol=1e-9
    )
    # rstudent by its meaning: sigma from a fit without the row.
    without = mm.lm("Reaction ~ Days", few.iloc[1:], weights="w")
    h = m.hatvalues().iloc[0]
    r = np.sqrt(few["w"].iloc[0]) * m.residuals().iloc[0]
    assert m.rstudent().iloc[0] == pytest.approx(r / without.sigma() / np.sqrt(1 - h), rel=1e-10)


@pytest.mark.parametrize(
    ("formula", "data", "family", "standard", "student", "cook"),
    [
        (
            "incidence ~ period", "cbpp", "poisson", [-1.17775243122, 1.41351517714, 2.34135014039],
            [-1.17031915275, 1.43433362641, 2.40471669711], [0.02009451321, 0.05438565957, 0.18639052438],
        ),
        (
            "Reaction ~ Days", "few", mm.Gamma(link="log"), [0.558805403835, 0.538129108821, 0.233023724094],
            [0.587381330683, 0.564535337906, 0.242691673864], [0.02213862519, 0.01422356326, 0.00175351185],
        ),
    ],
)  # fmt: skip
def test_generalized_linear_models_as_r(formula, data, family, standard, student, cook, few):
    m = mm.glm(formula, few if data == "few" else mm.load_dataset(data), family=family)
    # R stops iterating at 1e-8 of the deviance.
    np.testing.assert_allclose(m.rstandard()[:3], standard, rtol=2e-7)
    np.testing.assert_allclose(m.rstudent()[:3], student, rtol=2e-7)
    np.testing.assert_allclose(m.cooks_distance()[:3], cook, rtol=2e-6)


def test_residuals_by_type_are_the_same(fitted):
    for name in ("sleepstudy", "cbpp", "cbpp_glm", "cbpp_pql"):
        m = fitted(name)
        np.testing.assert_array_equal(m.residuals("standardized"), m.rstandard())
        np.testing.assert_array_equal(m.residuals(type="studentized"), mm.rstudent(m))
        assert np.isfinite(m.cooks_distance()).all()
        assert m.rstandard().name == "rstandard"
        with pytest.raises(mm.ControlError, match="as they are"):
            m.residuals("studentized", scaled=True)
    with pytest.raises(mm.ControlError, match="standardized"):
        fitted("cbpp").residuals("student")


def test_a_row_fitted_exactly_has_no_standardized_residual(few):
    m = mm.lm("Reaction ~ Days + first", few.assign(first=np.arange(30) == 4))
    for values in (m.rstandard(), m.rstudent(), m.cooks_distance()):
        assert values.isna().to_numpy().nonzero()[0].tolist() == [4]
    assert mm.lm("Reaction ~ Days", few.iloc[:3]).rstudent().isna().all()


def test_rows_left_out_for_missing_values_are_padded(few):
    d = few.assign(Reaction=few["Reaction"].mask(few.index == few.index[3]))
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", d, na_action="exclude")
    assert len(m.rstudent()) == len(m.cooks_distance()) == len(d)
    assert m.rstudent().isna().sum() == 1
