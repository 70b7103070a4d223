"""Explained variance and checks beside those of R's performance 0.10.2 (made by performance.R).

Where performance's number is no such thing, ours is compared with a formula in test_r2.py or
test_checks.py: shares by group of models with random slopes or effects of single rows, zeros expected by the
negative binomial with linear variance, and the scale of the test for heteroscedasticity.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import mixedmodels as mm

REFERENCE = json.loads((Path(__file__).parent / "performance.json").read_text(encoding="utf-8"))
#: Agreement of optima found by lme4 and glmmTMB with ours.
RTOL = 1e-4
NAMES = [f"{k}-{case['data']}-{case['family'] or 'linear'}" for k, case in enumerate(REFERENCE)]


@cache
def data_of(name):
    data = mm.load_dataset(name)
    if name == "cbpp":
        data["obs"] = [str(i) for i in range(len(data))]
    if name == "sleepstudy":
        data["w"] = np.tile([1.0, 2.0, 0.5], 60)
    return data


@cache
def model_of(k):
    case = REFERENCE[k]
    data = data_of(case["data"])
    if case["family"] is None:
        return mm.lmer(case["formula"], data, REML=case["REML"], weights=case["weights"])
    family = getattr(mm, case["family"])(link=case["link"])
    return mm.glmer(case["formula"], data, family)


@pytest.fixture(params=range(len(REFERENCE)), ids=NAMES)
def case(request):
    return REFERENCE[request.param], model_of(request.param)


def test_the_same_model(case):
    reference, model = case
    np.testing.assert_allclose(model.loglik(), reference["loglik"], rtol=1e-7)


def test_explained_variance(case):
    reference, model = case
    variance = "delta" if reference["family"] == "Gamma" else None
    found = mm.r2(model, variance=variance)
    icc = mm.icc(model, variance=variance)
    np.testing.assert_allclose(found.conditional, reference["r2_conditional"], rtol=RTOL)
    np.testing.assert_allclose(found.marginal, reference["r2_marginal"], rtol=RTOL, atol=1e-12)
    np.testing.assert_allclose(icc.adjusted, reference["icc_adjusted"], rtol=RTOL)
    np.testing.assert_allclose(icc.unadjusted, reference["icc_unadjusted"], rtol=RTOL)
    if all(term.size == 1 and term.n_levels < len(model.y) for term in model.random):
        shares = mm.icc(model, by_group=True, variance=variance).set_index("Group")["ICC"]
        assert shares.to_dict() == pytest.approx(reference["by_group"], rel=RTOL)


def test_overdispersion(case):
    reference, model = case
    if reference["overdispersion"] is None:
        with pytest.raises(mm.NotAvailableError):
            mm.check_overdispersion(model)
        return
    found = mm.check_overdispersion(model)
    chisq, ratio, df, p = reference["overdispersion"]
    np.testing.assert_allclose([found.chisq, found.ratio], [chisq, ratio], rtol=RTOL)
    assert found.df == df
    assert found.p_value == pytest.approx(p, rel=2e-2)


def test_zeros(case):
    reference, model = case
    if reference["zeros"] is None:
        with pytest.raises(mm.NotAvailableError):
            mm.check_zero_inflation(model)
    elif reference["family"] != "nbinom1":
        found = mm.check_zero_inflation(model)
        assert [round(found.predicted), found.observed] == reference["zeros"]


def test_collinearity(case):
    reference, model = case
    vif = reference["vif"]
    if vif is None:
        return
    table = mm.check_collinearity(model).table
    assert list(table.index) == vif["term"]
    np.testing.assert_allclose(table["VIF"], vif["vif"], rtol=1e-3)
    # Near a factor of 1 the interval has no upper end to speak of.
    beyond = np.array(vif["vif"]) > 1.1
    for ours, theirs in (("VIF_CI_low", "low"), ("VIF_CI_high", "high")):
        expected = np.array([np.nan if x is None else x for x in vif[theirs]], dtype=float)
        np.testing.assert_allclose(table[ours][beyond], expected[beyond], rtol=1e-3)


def test_heteroscedasticity(case):
    reference, model = case
    if reference["heteroscedasticity"] is None:
        with pytest.raises(mm.NotAvailableError):
            mm.check_heteroscedasticity(model)
    else:
        found = mm.check_heteroscedasticity(model)
        assert found.p_value == pytest.approx(reference["heteroscedasticity"], rel=1e-3)


def test_normality(case):
    reference, model = case
    found = mm.check_normality(model, effects="random").table["p_value"]
    expected = np.atleast_1d(reference["random_normality"])
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=5e-3)
    if reference["normality"] is not None:
        found = mm.check_normality(model).table["p_value"]
        np.testing.assert_allclose(found, reference["normality"], rtol=1e-3)
