"""Models in the package marginaleffects: its predictions, comparisons and slopes equal ours."""

import importlib
import sys
from importlib import metadata

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

me = pytest.importorskip("marginaleffects")

# The package's own name tidy is the function.
MODULE = importlib.import_module("mixedmodels.tidy.marginaleffects")

# marginaleffects 0.6.0 compares the levels of factors with Polars 1 only, of whatever model.
polars_1 = pytest.mark.skipif(
    metadata.version("marginaleffects") == "0.6.0" and not metadata.version("polars").startswith("1."),
    reason="marginaleffects 0.6.0 compares levels of factors with Polars 1 only",
)
# What marginaleffects calls of Polars is deprecated there.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
# Standard errors of slopes are differences of differences there; this step leaves them five digits.
DIFFERENCES, STEP = 1e-5, 1e-4


def adapter(m, **options):
    """Return a model for marginaleffects, without the warning that is tested on its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "NOT_WITH_POLARS_2", "none")
        return mm.marginaleffects_model(m, **options)


@pytest.fixture(scope="module")
def sleep():
    return mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))


@pytest.fixture(scope="module")
def cbpp():
    data = mm.load_dataset("cbpp")
    return mm.glmer("incidence / size ~ period + (1 | herd)", data, "binomial", weights="size")


@pytest.fixture(scope="module")
def ticks():
    """Return a model of a number taken as a factor, a transformed one and an offset."""
    data = mm.load_dataset("grouseticks").assign(
        YEAR=lambda d: d["YEAR"].astype(int), high=lambda d: d["HEIGHT"] > 460
    )
    return mm.glmer("TICKS ~ factor(YEAR) + log(HEIGHT) + high + (1 | BROOD)", data, "poisson")


def close(found, estimate, se):
    np.testing.assert_allclose(found["estimate"].to_numpy(), estimate, rtol=DIFFERENCES)
    np.testing.assert_allclose(found["std_error"].to_numpy(), se, rtol=DIFFERENCES)


def test_slopes_of_a_linear_model(sleep):
    a = adapter(sleep)
    close(
        me.avg_slopes(a, eps_vcov=STEP), [10.467286], [1.545790]
    )  # lme4's coefficient and its standard error
    trend = mm.average_marginal_effects(sleep)
    close(me.avg_slopes(a, eps_vcov=STEP), trend["estimate"], trend["std.error"])
    adjusted = sleep.vcov("kenward-roger").loc["Days", "Days"]
    close(me.avg_slopes(a, eps_vcov=STEP, vcov="kenward-roger"), [10.467286], [np.sqrt(adjusted)])
    robust = sleep.vcov("CR2", cluster="Subject").loc["Days", "Days"]
    close(me.avg_slopes(a, eps_vcov=STEP, vcov="CR2"), [10.467286], [np.sqrt(robust)])
    assert "std_error" not in me.avg_slopes(a, vcov=False).columns


def test_predictions_are_of_the_population_by_default(sleep):
    new = pd.DataFrame({"Days": [0.0, 5.0]})
    ours = sleep.predict(new, re_form="0", se_fit=True)
    found = me.predictions(adapter(sleep), newdata=new)
    close(found, ours["fit"], ours["se_fit"])
    grid = me.predictions(adapter(sleep), newdata=me.datagrid(model=adapter(sleep), Days=[0, 5]))
    np.testing.assert_allclose(grid["estimate"].to_numpy(), ours["fit"], rtol=1e-9)
    every = me.predictions(adapter(sleep, re_form=None), vcov=False)
    np.testing.assert_allclose(every["estimate"].to_numpy(), sleep.fitted(), rtol=1e-9)


def test_predictions_of_a_generalized_model_are_its_marginal_means(cbpp):
    means = mm.emmeans(cbpp, "period", type="response").summary()
    close(me.predictions(adapter(cbpp), by="period"), means["prob"], means["SE"])
    links = mm.emmeans(cbpp, "period").summary()
    close(me.predictions(adapter(cbpp, type="link"), by="period"), links["emmean"], links["SE"])


@polars_1
def test_comparisons_of_levels(cbpp):
    m = mm.lmer("score ~ Machine + (Machine | Worker)", mm.load_dataset("Machines"))
    pairs = mm.emmeans(m, "Machine").contrast("revpairwise").summary()
    found = me.avg_comparisons(adapter(m), variables={"Machine": "revpairwise"})
    by_label = dict(
        zip(found["contrast"], zip(found["estimate"], found["std_error"], strict=True), strict=True)
    )
    for row in pairs.to_dict("records"):
        label = (
            row["contrast"] if row["contrast"] in by_label else " - ".join(row["contrast"].split(" - ")[::-1])
        )
        np.testing.assert_allclose(
            np.abs(by_label[label]), np.abs([row["estimate"], row["SE"]]), rtol=DIFFERENCES
        )
    links = mm.emmeans(cbpp, "period").contrast("trt.vs.ctrl").summary()
    close(me.avg_comparisons(adapter(cbpp, type="link")), links["estimate"], links["SE"])


@polars_1
def test_predictions_of_groups(sleep):
    new = pd.DataFrame({"Days": [0.0, 5.0], "Subject": ["308", "309"]})
    found = me.predictions(adapter(sleep, re_form=None), newdata=new, vcov=False)
    np.testing.assert_allclose(found["estimate"].to_numpy(), sleep.predict(new), rtol=1e-9)


@polars_1
def test_slopes_of_factors_numbers_and_truth_values(ticks):
    data = ticks.data
    found = me.avg_slopes(adapter(ticks))
    assert found["term"].to_list() == ["HEIGHT", "YEAR", "YEAR", "high"]

    def mean(**values):
        return float(ticks.predict(data.assign(**values), type="response", re_form="0").mean())

    height, step = data["HEIGHT"], 1e-3
    expected = [
        (mean(HEIGHT=height + step) - mean(HEIGHT=height - step)) / (2 * step),
        mean(YEAR=96) - mean(YEAR=95), mean(YEAR=97) - mean(YEAR=95), mean(high=True) - mean(high=False),
    ]  # fmt: skip
    np.testing.assert_allclose(found["estimate"].to_numpy(), expected, rtol=1e-4)


@polars_1
def test_without_random_effects_they_are_average_marginal_effects():
    data = mm.load_dataset("grouseticks").assign(
        level=lambda d: pd.Categorical(d["YEAR"], ["97", "95", "96"])
    )
    m = mm.glm("TICKS ~ level * high", data.assign(high=data["cHEIGHT"] / 100), "poisson")
    ours = mm.average_marginal_effects(m)
    theirs = me.avg_slopes(adapter(m), eps_vcov=STEP).sort("term", "contrast").to_dict(as_series=False)
    ours = ours.sort_values(["term", "contrast"])
    assert theirs["contrast"] == ours["contrast"].tolist() and "95 - 97" in theirs["contrast"]
    np.testing.assert_allclose(theirs["estimate"], ours["estimate"], rtol=1e-4)
    np.testing.assert_allclose(theirs["std_error"], ours["std.error"], rtol=1e-3)


def test_offsets_of_the_formula_count():
    data = mm.load_dataset("grouseticks").assign(log_height=lambda d: np.log(d["HEIGHT"]))
    m = mm.glmer("TICKS ~ cHEIGHT + offset(log_height) + (1 | BROOD)", data, "poisson")
    found = me.avg_predictions(adapter(m), vcov=False)["estimate"].to_numpy()
    np.testing.assert_allclose(found, m.predict(type="response", re_form="0").mean(), rtol=1e-9)
    array = mm.glmer("TICKS ~ cHEIGHT + (1 | BROOD)", data, "poisson", offset=data["log_height"].to_numpy())
    with pytest.raises(mm.NotAvailableError, match="offset as a column name"):
        mm.marginaleffects_model(array)


def test_columns_with_odd_names_and_missing_values():
    rng = np.random.default_rng(5)
    data = pd.DataFrame(
        {"a b": rng.normal(size=80), "x.1": rng.normal(size=80), "g": np.repeat(np.arange(8), 10)}
    )
    data["y"] = data["a b"] + 2 * data["x.1"] + rng.normal(size=8)[data["g"]] + rng.normal(size=80)
    data.loc[3, "a b"] = np.nan
    m = mm.lmer("y ~ `a b` + x.1 + (1 | g)", data)
    found = me.avg_slopes(adapter(m)).sort("term")
    assert found["term"].to_list() == ["a b", "x.1"]
    np.testing.assert_allclose(found["estimate"].to_numpy(), m.fixef().iloc[1:], rtol=1e-6)


def test_what_is_not_there_is_said(sleep, cbpp, monkeypatch):
    with pytest.raises(mm.ControlError, match=r"marginaleffects_model\(\) needs a fitted model"):
        mm.marginaleffects_model("m")
    with pytest.raises(mm.ControlError, match="type"):
        mm.marginaleffects_model(sleep, type="terms")
    monkeypatch.setattr(
        MODULE.metadata,
        "version",
        {"polars": "2.1.0", "marginaleffects": "0.6.0"}.get,
    )
    mm.marginaleffects_model(sleep)  # numbers alone: nothing to warn of
    with pytest.warns(mm.MixedModelsWarning, match="cannot compare the levels of period with Polars 2.1.0"):
        mm.marginaleffects_model(cbpp)
    monkeypatch.setitem(sys.modules, "marginaleffects.classes.model", None)
    with pytest.raises(mm.NotAvailableError, match=r"pip install 'mixedmodels\[marginaleffects\]'"):
        mm.marginaleffects_model(sleep)
