"""The power of tests by simulation against exact powers, and every way to ask for a test."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.power.result import binomial_interval

SLEEP = mm.load_dataset("sleepstudy")
CBPP = mm.load_dataset("cbpp")
#: Standard errors that a simulated power may be off.
ERRORS = 4.0


@pytest.fixture(scope="module")
def sleep():
    return mm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP)


@pytest.fixture(scope="module")
def cbpp():
    return mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", CBPP, "binomial")


def paired(groups):
    return pd.DataFrame({"g": np.repeat(np.arange(groups), 2), "x": np.tile([0.0, 1.0], groups)})


def one_way(groups, treatments, rows):
    return pd.DataFrame(
        {
            "g": np.repeat([f"g{k:03d}" for k in range(groups)], rows),
            "t": np.repeat(np.resize(list("ABC")[:treatments], groups), rows),
        }
    )


def assert_power(result, exact):
    error = np.sqrt(exact * (1.0 - exact) / result.nsim)
    assert abs(result.power - exact) < ERRORS * error, (result.power, exact)


def t_power(delta, df, alpha=0.05):
    limit = stats.t.isf(alpha / 2, df)
    return stats.nct.sf(limit, df, delta) + stats.nct.cdf(-limit, df, delta)


@pytest.mark.parametrize(("groups", "effect", "alpha"), [(12, 1.0, 0.05), (8, 1.5, 0.01), (15, 0.0, 0.05)])
def test_a_paired_t_test(groups, effect, alpha):
    """Its power is that of a noncentral t; without an effect, alpha."""
    result = mm.power(
        "y ~ x + (1 | g)", paired(groups), beta=[5, effect], sd=2, sigma=1, alpha=alpha, nsim=400, rng=groups
    )
    assert_power(result, t_power(effect / np.sqrt(2.0 / groups), groups - 1, alpha))
    assert result.effects == {"x": effect}
    assert result.test == "x"


def test_a_balanced_one_way_layout_and_its_extension():
    """Treatments of groups are tested against the variance of group means: a noncentral F."""
    effects, sd, sigma, rows = np.array([0.0, 1.2, 0.3]), 1.0, 1.5, 3
    for groups, extend in ((12, None), (24, {"g": 24})):
        result = mm.power(
            "y ~ t + (1 | g)", one_way(12, 3, rows), beta=[1.0, *effects[1:]], sd=sd, sigma=sigma, test="t",
            nsim=300, rng=3, extend=extend,
        )  # fmt: skip
        ncp = groups / 3 * np.sum((effects - effects.mean()) ** 2) / (sd**2 + sigma**2 / rows)
        df = groups - 3
        assert_power(result, stats.ncf.sf(stats.f.isf(0.05, 2, df), 2, df, ncp))
        assert result.n_levels == {"g": groups}
        assert "F test, Satterthwaite's method" in result.method


def test_least_squares():
    data = pd.DataFrame({"x": np.tile([0.0, 1.0], 15)})
    exact = t_power(0.9 / np.sqrt(4.0 / 30), 28)
    for test in ("x", "~ 1"):
        result = mm.power("y ~ x", data, beta=[1, 0.9], sigma=1, test=test, nsim=300, rng=1)
        assert_power(result, exact)


def test_poisson_rates():
    """Two groups of Poisson counts: the power of the score test in large groups, all but exactly."""
    data = pd.DataFrame({"x": np.tile([0.0, 1.0], 60)})
    result = mm.power("y ~ x", data, family="poisson", beta=[1.0, 0.25], nsim=300, rng=1)
    se = np.sqrt(1 / (60 * np.e) + 1 / (60 * np.exp(1.25)))
    assert_power(result, stats.norm.sf(1.96 - 0.25 / se))


def test_power_rises_with_the_size_of_the_study(sleep):
    effect = {"beta": {"Days": 4.0}}
    curve = mm.power_curve(sleep, along="Subject", breaks=[6, 14, 30], newparams=effect, nsim=100, rng=2)
    assert curve["power"].is_monotonic_increasing
    assert curve["Subject"].tolist() == [6, 14, 30]
    assert curve["rows"].tolist() == [60, 140, 300]
    assert "Power of the test of Days" in repr(curve)
    assert [r.nsim for r in curve.results] == [100] * 3
    curve = mm.power_curve(sleep, within="Subject", breaks=[3, 10], newparams=effect, nsim=100, rng=2)
    assert curve["power"].is_monotonic_increasing
    assert curve["rows in Subject"].tolist() == [3, 10]


@pytest.mark.parametrize("method", ["satterthwaite", "kenward-roger", "residual", "z"])
def test_p_values_are_those_of_the_summaries(sleep, method):
    """Together or one by one: the same p-values as those of single fits."""
    effect = {"beta": {"Days": 5.0}}
    together = mm.power(sleep, test="Days", method=method, newparams=effect, nsim=12, rng=4)
    single = mm.power(
        sleep, test=lambda m: m.linear_hypothesis("Days", ddf=method).iloc[1, -1], newparams=effect, nsim=12,
        rng=4,
    )  # fmt: skip
    np.testing.assert_allclose(together.p_values, single.p_values, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("test", ["lrt", ". ~ . - Days", "model"])
def test_likelihood_ratios_are_those_of_anova(sleep, test):
    small = mm.lmer("Reaction ~ 1 + (Days | Subject)", SLEEP)
    asked = {"lrt": {"test": "Days", "method": "lrt"}, "model": {"test": small}}.get(test, {"test": test})
    effect = {"beta": {"Days": 4.0}}
    found = mm.power(sleep, **asked, newparams=effect, nsim=12, rng=4)

    def p_value(m):
        return mm.anova(small.refitML().refit(m.y), m.refitML())["Pr(>Chisq)"].iloc[1]

    single = mm.power(sleep, test=p_value, newparams=effect, nsim=12, rng=4)
    np.testing.assert_allclose(found.p_values, single.p_values, rtol=2e-3, atol=1e-8)


def test_a_variance_is_tested_at_its_boundary():
    """Without a variance a test that knows of the boundary rejects as often as it should."""
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 4)})
    result = mm.power("y ~ 1 + (1 | g)", data, beta=0, sd=0, sigma=1, test=". ~ . - (1 | g)", nsim=400, rng=1)
    assert "boundary" in result.method
    assert_power(result, 0.05)


def test_terms_and_hypotheses_of_a_generalized_model(cbpp):
    params = {"beta": {"period2": -0.5, "period3": -0.5, "period4": -0.5}}
    term = mm.power(cbpp, test="period", method="lrt", newparams=params, nsim=30, rng=1)
    formula = mm.power(cbpp, test=". ~ . - period", newparams=params, nsim=30, rng=1)
    np.testing.assert_allclose(term.p_values, formula.p_values, rtol=1e-6)
    wald = mm.power(cbpp, test="period", newparams=params, nsim=10, rng=1)
    single = mm.power(
        cbpp, test=lambda m: m.anova(type=3).loc["period", "Pr(>Chisq)"], newparams=params, nsim=10, rng=1
    )
    np.testing.assert_allclose(wald.p_values, single.p_values, rtol=1e-6)
    same = mm.power(cbpp, test="period2 = period3", newparams=params, nsim=20, rng=1)
    assert same.test == "period2 - period3 = 0"
    assert list(same.effects) == ["period2", "period3"]


def test_a_pilot_and_the_same_model_without_a_fit(cbpp):
    """One law: the powers of both differ by chance alone."""
    table = {"beta": cbpp.fixef() * 0.5, "sd": {"herd": 0.6}}
    larger = {"extend": {"herd": 30}, "test": "period4", "nsim": 200}
    pilot = mm.power(cbpp, newparams=table, rng=1, **larger)
    formula = "cbind(y, size - y) ~ period + (1 | herd)"
    stated = mm.power(formula, CBPP, family="binomial", **table, rng=2, **larger)
    specified = mm.power(mm.specify(formula, CBPP, "binomial", **table), rng=2, **larger)
    np.testing.assert_array_equal(stated.p_values, specified.p_values)
    assert pilot.n_rows == stated.n_rows
    pooled = (pilot.power + stated.power) / 2
    assert abs(pilot.power - stated.power) < ERRORS * np.sqrt(2 * pooled * (1 - pooled) / 200)


def test_weights_offset_subset_and_transformed_response_are_extended():
    data = SLEEP.assign(w=1.0 + SLEEP["Days"] % 3, o=0.1)
    m = mm.lmer(
        "log(Reaction) ~ poly(Days, 2) + (1 | Subject)", data, weights="w", offset="o", subset="Days > 1"
    )
    result = mm.power(m, test="poly(Days, 2)1", extend={"Subject": 25}, nsim=20, rng=1)
    assert result.n_rows == 200
    assert result.power == 1.0
    # The polynomial of the pilot is what the effect is about, whatever it is extended to.
    null = mm.power(
        m, test="poly(Days, 2)", newparams={"beta": [5.6, 0, 0]}, extend={"Days": 14}, nsim=200, rng=1
    )
    assert null.n_rows == 18 * 14
    assert_power(null, 0.05)


def test_nested_groups_and_numbers_as_names_are_extended():
    data = pd.DataFrame({"s": np.repeat([11, 17, 40, 90], 6), "c": np.repeat(np.arange(12), 2) ** 2})
    data["x"] = np.tile([0.0, 1.0], 12)
    result = mm.power(
        "y ~ x + (1 | s) + (1 | c)", data, beta=[0, 1], sd={"s": 1, "c": 1}, sigma=1, extend={"s": 10},
        nsim=5, rng=1,
    )  # fmt: skip
    assert result.n_levels == {"c": 30, "s": 10}


def test_the_same_seed_draws_the_same_whatever_the_jobs(sleep):
    effect = {"beta": {"Days": 5.0}}
    one, two = (mm.power(sleep, newparams=effect, nsim=110, rng=8, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(one.p_values, two.p_values)


def test_fits_that_fail_are_counted_and_said(sleep):
    def test(m):
        if m.sigma() > sleep.sigma():
            raise ValueError("too much noise")
        return 0.01

    with pytest.warns(mm.ConvergenceWarning, match="of 40 simulations have no p-value.*too much noise"):
        result = mm.power(sleep, test=test, nsim=40, rng=1)
    assert 0 < result.n_failed < 40
    assert result.n_significant + result.n_failed == 40
    assert result.power == result.n_significant / 40
    assert set(result.reasons) == set(np.flatnonzero(np.isnan(result.p_values)))
    assert f"{result.n_failed} failed (not significant)" in repr(result)


def test_a_test_may_decide_by_itself(sleep):
    result = mm.power(sleep, test=lambda m: bool(m.fixef()["Days"] > 0), nsim=10, rng=1)
    assert result.n_significant == 10


def test_results_print_pickle_and_tabulate(sleep):
    result = mm.power(sleep, newparams={"beta": {"Days": 5.0}}, nsim=50, rng=1)
    text = repr(result)
    assert text.startswith(f"Power of the test of Days: {100 * result.power:.1f}% (95% Wilson interval ")
    assert "Effect: Days = 5" in text
    assert "t test, Satterthwaite's method, alpha = 0.05" in text
    assert repr(pickle.loads(pickle.dumps(result))) == text
    assert result._repr_html_().startswith("<div")
    row = result.to_frame().iloc[0]
    assert row["lower"] < row["power"] < row["upper"]


@pytest.mark.parametrize(
    ("method", "r"), [("wilson", (0.8154300, 0.9380887)), ("clopper-pearson", (0.8134799, 0.9443628))]
)
def test_intervals_of_a_share(method, r):
    """R: prop.test(90, 101, correct = FALSE) and binom.test(90, 101)."""
    scipy = stats.binomtest(90, 101).proportion_ci(
        method={"wilson": "wilson", "clopper-pearson": "exact"}[method]
    )
    np.testing.assert_allclose(binomial_interval(90, 101, 0.95, method), scipy, rtol=1e-10)
    np.testing.assert_allclose(scipy, r, atol=1e-7)
    for k in (0, 20):
        exact = stats.binomtest(k, 20).proportion_ci(
            method={"wilson": "wilson", "clopper-pearson": "exact"}[method]
        )
        np.testing.assert_allclose(binomial_interval(k, 20, 0.95, method), exact, atol=1e-12)


def test_wrong_requests_are_named(sleep, cbpp):
    for call, error, message in [
        (lambda: mm.power(0.5), mm.ControlError, r"link mu\^0.5 has the name 'power\(0.5\)'"),
        (lambda: mm.power(), mm.MissingArgumentError, "needs model"),
        (lambda: mm.power(sleep, SLEEP), mm.ControlError, "data go with a formula"),
        (lambda: mm.power("y ~ x"), mm.MissingArgumentError, r"needs data for a formula"),
        (lambda: mm.power("y ~ Days", SLEEP), mm.ControlError, "beta is missing"),
        (lambda: mm.power(sleep, beta=[1, 2]), mm.UnknownArgumentError, "no argument 'beta'"),
        (lambda: mm.power(sleep, nsims=3), mm.UnknownArgumentError, "did you mean nsim="),
        (lambda: mm.power("y ~ x", SLEEP, nsims=3), mm.UnknownArgumentError, "did you mean nsim="),
        (lambda: mm.power(sleep, seed=3), mm.UnknownArgumentError, "write rng=1"),
        (lambda: mm.power(cbpp), mm.ControlError, "test is missing: a coefficient .period2, period3"),
        (lambda: mm.power(sleep, test="days"), mm.ControlError, "neither a coefficient"),
        (lambda: mm.power(sleep, test="~ . + I(Days^2)"), mm.ControlError, "is not smaller than"),
        (lambda: mm.power(sleep, test=". ~ . - (1 | Subject)"), mm.FormulaError, "no term"),
        (lambda: mm.power(sleep, test=lambda m: "no"), mm.ControlError, "must return a p-value"),
        (lambda: mm.power(sleep, method="wald"), mm.ControlError, "method must be one of"),
        (lambda: mm.power(sleep, test=". ~ . - Days", method="z"), mm.ControlError, "leave out method"),
        (lambda: mm.power(cbpp, test="period2 = period3", method="lrt"), mm.ControlError, "combinations"),
        (lambda: mm.power(cbpp, test="period2", method="satterthwaite"), mm.NotAvailableError, "lmer"),
        (lambda: mm.power(sleep, alpha=1), mm.ControlError, "alpha must be a probability"),
        (lambda: mm.power(sleep, interval="wald"), mm.ControlError, "interval must be one of"),
        (lambda: mm.power(sleep, nsim=0), mm.ControlError, "nsim must be a whole number"),
        (lambda: mm.power(sleep, extend={"subject": 3}), mm.DataError, "no column 'subject' to extend"),
        (lambda: mm.power(sleep, newparams={"beta": {"x": 1}}), mm.ControlError, "beta has no 'x'"),
        (lambda: mm.power(sleep, extend=30), mm.ControlError, "extend must be a dict"),
        (lambda: mm.power(sleep, within=30), mm.ControlError, "within must be a dict"),
        (lambda: sleep.power, mm.UnknownNameError, "write mm.power"),
        (lambda: mm.powerSim, mm.UnknownNameError, "write mm.power"),
        (lambda: mm.makeLmer, mm.UnknownNameError, "write mm.specify"),
        (lambda: mm.power_curve(sleep), mm.ControlError, "needs along="),
        (lambda: mm.power_curve(sleep, along="Subject"), mm.MissingArgumentError, "needs breaks"),
        (lambda: mm.power_curve(sleep, along="Subject", breaks=[2.5]), mm.ControlError, "a break must be"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_arrays_cannot_be_extended_and_quasi_families_not_simulated():
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", SLEEP, weights=np.ones(180))
    assert mm.power(m, nsim=2, rng=1).nsim == 2
    with pytest.raises(mm.DataError, match="weights given as an array"):
        mm.power(m, extend={"Subject": 30})
    quasi = mm.glm("cbind(incidence, size - incidence) ~ period", CBPP, "quasibinomial")
    with pytest.raises(mm.NotAvailableError, match="no distribution"):
        mm.power(quasi, test="period2")
    with pytest.raises(mm.FamilyError, match="no distribution"):
        mm.specify("y ~ x", {"x": [1.0, 2.0]}, "quasipoisson", beta=[1, 2])
