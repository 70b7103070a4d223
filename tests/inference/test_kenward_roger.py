"""Kenward and Roger's tests against dense algebra and pbkrtest."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.covariance.autoregressive import Autoregressive
from mixedmodels.covariance.compound_symmetry import CompoundSymmetry
from mixedmodels.covariance.jacobian import covariance_curvature
from mixedmodels.engines.linear import expected_information
from mixedmodels.engines.linear.independent_groups import group_stacks, independent_groups, random_products
from mixedmodels.inference.contrasts import contrast_tests, hypothesis_test
from mixedmodels.inference.fixed_effects import fixed_effects
from tests.inference.dense import dense, kenward_roger
from tests.inference.inference_references import inference_references, reference, reference_model
from tests.inference.test_satterthwaite import DF, STATISTIC, random_data

# Both routes are exact at given variances; what is left is rounding of inverses of order n.
DENSE = 1e-7
REFERENCES = [name for name in inference_references() if "kenward_roger" in reference(name)["results"]]
STRUCTURES = [
    "(x | g)",
    "(1 | g) + (1 | h)",
    "(x || g) + (1 | h)",
    "(1 | g / t)",
    "diag(0 + t | g)",
    "diag(0 + t | g, hom = TRUE)",
    "cs(0 + t | g)",
    "cs(0 + t | g, hom = TRUE)",
    "ar1(0 + t | g)",
]
L = np.array([[0.0, 1.0, 0.0], [0.0, 0.5, 2.0]])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(STRUCTURES), st.booleans())
def test_tests_are_those_of_dense_algebra(seed, bars, weighted):
    data = random_data(seed)
    model = mm.lmer(f"y ~ x + z + {bars}", data, weights="w" if weighted else None)
    if ("cs" in bars or "ar1" in bars) and model.is_singular():
        return
    fixed, expected = fixed_effects(model, "kenward-roger"), kenward_roger(dense(model))
    np.testing.assert_allclose(
        fixed.covariance, expected.adjusted, rtol=DENSE, atol=DENSE * expected.adjusted.max()
    )
    np.testing.assert_allclose(fixed.degrees.of_hypothesis(L), expected.test(L), rtol=DENSE)
    rows = [expected.test(row[None])[0] for row in L]
    np.testing.assert_allclose(fixed.degrees.of_rows(L), rows, rtol=DENSE)


def test_related_levels_are_those_of_dense_algebra():
    rng = np.random.default_rng(2)
    A = rng.normal(size=(8, 8))
    K = pd.DataFrame(A @ A.T + np.eye(8), index=list("abcdefgh"), columns=list("abcdefgh"))
    model = mm.lmer("y ~ x + z + (x | g) + (1 | h)", random_data(4), relmat={"g": K})
    fixed, expected = fixed_effects(model, "kenward-roger"), kenward_roger(dense(model))
    np.testing.assert_allclose(
        fixed.covariance, expected.adjusted, rtol=DENSE, atol=DENSE * expected.adjusted.max()
    )
    np.testing.assert_allclose(fixed.degrees.of_hypothesis(L), expected.test(L), rtol=DENSE)


@pytest.mark.parametrize("name", REFERENCES)
def test_tests_are_those_of_pbkrtest(name):
    model, expected = reference_model(name), reference(name)["results"]["kenward_roger"]
    fixed = fixed_effects(model, "kenward-roger")
    ours, table = contrast_tests(fixed, np.eye(len(fixed.beta))), np.array(expected["coef"]["values"])
    np.testing.assert_allclose(ours.se, table[:, 1], rtol=STATISTIC)
    np.testing.assert_allclose(ours.df, table[:, 2], rtol=DF)
    np.testing.assert_allclose(ours.statistic, table[:, 3], rtol=STATISTIC)
    for contest in expected.get("contest") or []:
        test, joint = hypothesis_test(fixed, np.array(contest["L"], dtype=float)), contest["joint"]["columns"]
        np.testing.assert_allclose(test.df, joint["DenDF"][0], rtol=DF)
        np.testing.assert_allclose(test.statistic, joint["F value"][0], rtol=STATISTIC)


def test_known_values():
    """pbkrtest 0.5-2: sleepstudy with a quadratic trend, both of its columns at once."""
    model = mm.lmer("Reaction ~ Days + I(Days^2) + (Days | Subject)", mm.load_dataset("sleepstudy"))
    test = hypothesis_test(fixed_effects(model, "Kenward-Roger"), np.eye(3)[1:])
    found = [test.statistic, test.df, test.scale]
    # R's optimum is lme4's, 2e-6 away.
    np.testing.assert_allclose(found, [23.36451808, 39.81704244, 0.9835888852], rtol=5e-6)


def test_groups_of_any_size_hold_all_cross_products():
    """However levels are stacked, sums over groups are those over rows."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    h = 3 * g + rng.integers(0, 3, len(g))
    data = pd.DataFrame({"y": rng.normal(size=len(g)), "x": rng.normal(size=len(g)), "g": g, "h": h})
    model = mm.lmer(
        "y ~ x + (x | g) + (1 | h)",
        data.astype({"g": str, "h": str}).assign(g=lambda d: "g" + d.g, h=lambda d: "h" + d.h),
    )
    groups = independent_groups(model.design.random, None)
    assert len(groups.sizes) == 40
    Q = model.problem.fixed_basis.Q
    stacks = list(group_stacks(model.problem, groups, random_products(model.problem)))
    assert len(stacks) > 1
    squares = sum(float((stack.ZZ**2).sum()) for stack in stacks)
    fixed = sum(float((stack.ZX**2).sum()) for stack in stacks)
    columns = [b.columns(t.Z) for t, b in zip(model.design.random, model.problem.column_bases, strict=True)]
    Z = np.hstack(
        [
            np.einsum("ns,nl->nls", c, np.eye(t.n_levels)[t.codes]).reshape(len(g), -1)
            for c, t in zip(columns, model.design.random, strict=True)
        ]
    )
    assert squares == pytest.approx(float(((Z.T @ Z) ** 2).sum()))
    assert fixed == pytest.approx(float(((Z.T @ Q) ** 2).sum()))


def test_it_says_where_it_does_not_exist():
    sleepstudy = mm.load_dataset("sleepstudy")
    with pytest.raises(mm.NotAvailableError, match=r"REML=True, or use ddf='satterthwaite'"):
        mm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, REML=False).summary(ddf="kenward-roger")
    with pytest.raises(mm.NotAvailableError, match="linear mixed models"):
        fixed_effects(mm.lm("Reaction ~ Days", sleepstudy), "kenward-roger")


def test_crossed_factors_of_many_levels_are_out_of_reach(monkeypatch):
    """InstEval, four thousand levels in one group, is: here the limit comes down to the model."""
    model = mm.lmer("y ~ x + (1 | g) + (1 | h)", random_data(1))
    monkeypatch.setattr(expected_information, "MOST_WORK", 1e3)
    with pytest.raises(mm.NotAvailableError, match=r"13 random effects.*ddf='satterthwaite'"):
        model.summary(ddf="kenward-roger")


def nested(bars: str = "(Days | Subject)", data: pd.DataFrame | None = None) -> list[mm.LinearMixedModel]:
    """Return two models with nested fixed effects."""
    data = mm.load_dataset("sleepstudy") if data is None else data
    return [mm.lmer(f"Reaction ~ {x} + {bars}", data) for x in ("Days + I(Days^2)", "1")]


def test_nested_models_are_compared_as_in_pbkrtest():
    large, small = nested()
    table = mm.kr_modcomp(large, small)
    # pbkrtest 0.5-2, at lme4's optimum, which is 2e-6 away.
    expected = [[23.36451808, 2, 39.81704244, 0.9835888852], [23.75435350, 2, 39.81704244, np.nan]]
    np.testing.assert_allclose(table.iloc[:, :4], expected, rtol=5e-6)
    assert str(table).split("\n")[:4] == [
        "large : Reaction ~ Days + I(Days^2) + (Days | Subject)",
        "small : Reaction ~ 1 + (Days | Subject)",
        "        stat    ndf    ddf F.scaling   p.value    ",
        "Ftest 23.364  2.000 39.817   0.98359 1.938e-07 ***",
    ]
    assert "Ftest" in table._repr_html_()
    again = mm.kr_modcomp(small, large)
    np.testing.assert_allclose(again, table)
    np.testing.assert_allclose(mm.kr_modcomp(large, [[0, 1, 0], [0, 1, 2]]), table)


def test_models_are_nested_in_any_coding():
    """The smaller model's columns are combinations of the larger one's, none of which it has."""
    oats = mm.load_dataset("Oats").assign(linear=lambda d: 3.0 - 2.0 * d.nitro)
    large = mm.lmer("yield ~ factor(nitro) * Variety + (1 | Block / Variety)", oats)
    small = mm.lmer("yield ~ linear + Variety + (1 | Block / Variety)", oats)
    L = mm.kr_modcomp(large, small).L
    assert L.shape == (8, 12)
    coefficients = np.linalg.lstsq(large.design.X, small.design.X, rcond=None)[0]
    np.testing.assert_allclose(L @ coefficients, 0.0, atol=1e-10)


@pytest.mark.parametrize("fit", [
    lambda x, d: mm.gls(f"Reaction ~ {x}", d, residual="ar1(Days | Subject)"),
    lambda x, d: mm.lmer(f"Reaction ~ {x} + (1 | Subject)", d, dispersion="ident(half)"),
    lambda x, d: mm.mmrm(f"Reaction ~ {x} + us(day | Subject)", d[d["Days"] < 4]),
])  # fmt: skip
def test_models_with_structured_residuals_are_compared_too(fit):
    """The test of the same hypothesis by coefficients, in another basis of it."""
    data = mm.load_dataset("sleepstudy")
    days = data["Days"].astype(int).astype(str)
    data = data.assign(half=np.where(data["Days"] % 2, "b", "a"), day=("d" + days).astype("category"))
    large, small = fit("Days * half", data), fit("Days", data)
    table = mm.kr_modcomp(large, small)
    expected = mm.linear_hypothesis(large, ["halfb", "Days:halfb"], ddf="kenward-roger")
    np.testing.assert_allclose(table.loc["Ftest", "stat"], expected["F"].iloc[1], rtol=1e-9)
    np.testing.assert_allclose(table.loc["Ftest", "ddf"], expected["Res.Df"].iloc[1], rtol=1e-9)


def test_comparisons_without_meaning_are_refused():
    large, small = nested()
    data = mm.load_dataset("sleepstudy").assign(z=lambda d: np.sin(np.arange(180.0)))
    other = mm.lmer("Reaction ~ z + (Days | Subject)", data)
    with pytest.raises(mm.ControlError, match="not nested: z of"):
        mm.kr_modcomp(large, other)
    with pytest.raises(mm.ControlError, match="nothing to test"):
        mm.kr_modcomp(large, large)
    with pytest.raises(mm.ControlError, match="random effects differ"):
        mm.kr_modcomp(large, nested("(1 | Subject)")[1])
    with pytest.raises(mm.DataError, match="same size"):
        mm.kr_modcomp(large, nested(data=data.iloc[:-5])[1])
    with pytest.raises(mm.NotAvailableError, match="REML=True"):
        mm.kr_modcomp(large.refitML(), small)
    by_time, by_pair = (
        mm.gls("Reaction ~ Days", data, residual=f"{s}(Days | Subject)") for s in ("ar1", "cs")
    )
    with pytest.raises(mm.ControlError, match="covariances of the residuals differ"):
        mm.kr_modcomp(by_time, by_pair)
    for matrix in ([[0, 1]], "Days", np.zeros((1, 3)), [[0, np.nan, 1]]):
        with pytest.raises(mm.ControlError, match=r"matrix"):
            mm.kr_modcomp(large, matrix)


def test_the_adjusted_covariance_is_that_of_the_tests():
    large, _ = nested()
    adjusted = large.vcov("kenward-roger")
    se = large.summary(ddf="kenward-roger").coefficients["Std. Error"]
    np.testing.assert_allclose(np.sqrt(np.diag(adjusted)), se)
    assert list(adjusted) == list(large.design.x_names)


@pytest.mark.parametrize("residual", [1e-2, 1e-5, 1e-8])
def test_a_small_residual_takes_no_digits(residual):
    """Balanced groups: a predictor of groups and the intercept have 8 - 2, one of rows 48 - 8 - 1."""
    rng = np.random.default_rng(1)
    g, x, z = np.repeat(np.arange(8), 6), np.tile(np.arange(6.0), 8), rng.normal(size=8)
    y = z[g] + x + rng.normal(size=8)[g] + residual * rng.normal(size=48)
    data = {"y": y, "x": x - 2.5, "z": z[g], "g": np.array(list("abcdefgh"))[g]}
    model = mm.lmer("y ~ x + z + (1 | g)", data)
    df = fixed_effects(model, "kenward-roger").degrees.of_rows(np.eye(3))
    np.testing.assert_allclose(df, [6, 39, 6], rtol=DF)


def test_collinear_columns_take_no_digits():
    """The years 2001 to 2010 and their squares: the tests of the trend are those of centred years."""
    data = mm.load_dataset("sleepstudy").assign(year=lambda d: 2001.0 + d.Days)
    near, far = (mm.lmer(f"Reaction ~ {x} + I({x}^2) + ({x} | Subject)", data) for x in ("Days", "year"))
    for ddf in ("satterthwaite", "kenward-roger"):
        tests = [contrast_tests(fixed_effects(m, ddf), np.eye(3)[2:]) for m in (near, far)]
        np.testing.assert_allclose(tests[0].df, tests[1].df, rtol=DF)
        np.testing.assert_allclose(tests[0].statistic, tests[1].statistic, rtol=DF)


@pytest.mark.parametrize(
    ("bars", "share"),
    [("cs(0 + t | g)", 3e-3), ("ar1(0 + t | g)", 3e-2), ("ar1(0 + t | g, hom = FALSE) + (1 | h)", 1e-2)],
)
@pytest.mark.parametrize("seed", [0, 4])
def test_second_derivatives_of_a_covariance_count(bars, share, seed):
    model = mm.lmer(f"y ~ x + z + {bars}", random_data(seed))
    assert not model.is_singular()
    found = fixed_effects(model, "kenward-roger").covariance
    at = dense(model)
    np.testing.assert_allclose(found, kenward_roger(at).adjusted, rtol=DENSE, atol=DENSE * found.max())
    flat = replace(at, second=[[0.0 * M for M in row] for row in at.second])
    without = kenward_roger(flat).adjusted
    assert np.abs(np.diag(found) / np.diag(without) - 1.0).max() > share


@pytest.mark.parametrize(
    ("curved", "linear"),
    [
        ("cs(1 + Days | Subject)", "(1 + Days | Subject)"),
        ("cs(0 + half | Subject, hom = TRUE)", "ar1(0 + half | Subject)"),
    ],
)
def test_equal_models_have_equal_tests_however_their_covariance_is_written(curved, linear):
    data = mm.load_dataset("sleepstudy").iloc[:-7]
    data["half"] = np.where(data["Days"] < 5, "a", "b")
    first, second = (
        fixed_effects(mm.lmer(f"Reaction ~ Days + {bars}", data), "kenward-roger")
        for bars in (curved, linear)
    )
    np.testing.assert_allclose(first.covariance, second.covariance, rtol=1e-5)
    np.testing.assert_allclose(first.degrees.of_rows(np.eye(2)), second.degrees.of_rows(np.eye(2)), rtol=1e-5)


def test_at_a_bound_a_term_is_linear():
    structure = CompoundSymmetry(3)
    assert covariance_curvature(structure, np.array([1.0, 0.0, 2.0, 0.3])) is None
    assert covariance_curvature(structure, np.array([1.0, 0.5, 2.0, 1.0])) is None
    assert covariance_curvature(CompoundSymmetry(4, homogeneous=True), np.array([1.3, 0.2])) is None
    assert covariance_curvature(structure, np.array([1.0, 0.5, 2.0, 0.3])) is not None


def test_curvature_of_an_autoregressive_term_by_hand():
    variance, rho = 1.44, 0.3
    second = covariance_curvature(Autoregressive(3), np.array([np.sqrt(variance), rho]))
    lags = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    slope = lags * rho ** np.maximum(lags - 1, 0)
    # d(variance) = 2 sd d(sd).
    np.testing.assert_allclose(second[0, 0], 0.0, atol=1e-8)
    np.testing.assert_allclose(second[0, 1], 2.0 * np.sqrt(variance) * slope, atol=1e-8)
    np.testing.assert_allclose(second[1, 1], variance * 2.0 * (lags == 2), atol=1e-8)
