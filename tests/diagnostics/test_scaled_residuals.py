"""Scaled residuals of fitted models: draws, levels of tests under right models, power under wrong ones."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.diagnostics.scaled.effects import drawn_errors
from mixedmodels.prediction.predict import select_effects

GROUPS, SIZE = 20, 5


def drawn_data(seed, eta_of=lambda x: 0.5 + 0.5 * x, deviation=0.8):
    """Return groups of a few rows with their linear predictor, and the generator."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(GROUPS), SIZE)
    data = pd.DataFrame(
        {"g": g.astype(str), "x": rng.normal(size=len(g)), "t": np.tile(np.arange(SIZE), GROUPS)}
    )
    return data, eta_of(data["x"].to_numpy()) + deviation * rng.normal(size=GROUPS)[g], rng


def poisson_fit(seed, noise=0.0, zeros=0.0):
    data, eta, rng = drawn_data(seed)
    y = rng.poisson(np.exp(eta + noise * rng.normal(size=len(eta))))
    return mm.glmer("y ~ x + (1 | g)", data.assign(y=y * (rng.random(len(eta)) >= zeros)), "poisson")


def linear_fit(seed, curve=0.0):
    data, eta, rng = drawn_data(seed, lambda x: 0.5 * x + curve * x**2)
    return mm.lmer("y ~ x + (1 | g)", data.assign(y=eta + rng.normal(size=len(eta))))


@pytest.fixture(scope="module")
def counts():
    return poisson_fit(1)


@pytest.fixture(scope="module")
def sleep():
    return mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))


# Draws.


def test_the_same_seed_draws_the_same_whatever_the_processes(counts, monkeypatch):
    monkeypatch.setattr("mixedmodels.diagnostics.scaled.draws.BLOCK", 900)
    first, second = (mm.scaled_residuals(counts, 50, rng=3, n_jobs=n) for n in (1, 2))
    pd.testing.assert_series_equal(first.residuals, second.residuals)
    assert repr(first) == repr(second)
    assert not mm.scaled_residuals(counts, 50, rng=4).residuals.equals(first.residuals)


def test_draws_that_are_not_kept_are_the_same(counts, monkeypatch):
    kept = mm.scaled_residuals(counts, 60, rng=3, re_form="0")
    monkeypatch.setattr("mixedmodels.diagnostics.scaled.draws.KEPT", 0)
    again = mm.scaled_residuals(counts, 60, rng=3, re_form="0")
    assert repr(again) == repr(kept)
    pd.testing.assert_frame_equal(again.simulated(), kept.simulated())
    assert repr(pickle.loads(pickle.dumps(again))) == repr(kept)


def test_residuals_are_the_places_of_the_response(counts):
    r = mm.scaled_residuals(counts, 99, rng=5)
    y, Y = r.observed.to_numpy(), r.simulated().to_numpy()
    low, high = ((compare(Y, y[:, None])).sum(axis=1) for compare in (np.less, np.less_equal))
    u = r.residuals.to_numpy()
    assert ((low / 100 < u) & (u < (high + 1) / 100)).all()
    assert (r.outliers == ((low == 99) | (high == 0))).all()
    np.testing.assert_array_equal(y, counts.y)
    np.testing.assert_allclose(r.normal(), stats.norm.ppf(u))
    np.testing.assert_allclose(r.fitted, mm.predict(counts, re_form="0", type="response"))


def test_many_draws_at_the_estimates_reach_the_quantile_residual():
    """F(y-) and f(y) of the Poisson distribution, up to five standard errors."""
    data = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [0, 2, 3, 9]})
    m = mm.glm("y ~ x", data, "poisson")
    r = mm.scaled_residuals(m, 40_000, rng=1, effects="estimated")
    below = stats.poisson.cdf(m.y - 1.0, m.mean)
    u = r.residuals.to_numpy()
    assert (u > below - 0.013).all()
    assert (u < below + stats.poisson.pmf(m.y, m.mean) + 0.013).all()


class OneOf:
    """In place of normal numbers, one that is 1 among zeros: drawn errors are linear in what is drawn."""

    def __init__(self, k):
        self.left = k

    def standard_normal(self, size):
        numbers = np.zeros(size)
        if 0 <= self.left < size:
            numbers[self.left] = 1.0
        self.left -= size
        return numbers


def test_drawn_effects_give_residuals_the_variance_of_errors():
    """Dense algebra: Cov(y - eta) + Cov(drawn error) = sigma^2 / w, the fixed effects included."""
    data, eta, rng = drawn_data(7)
    data = data.iloc[:30].assign(y=eta[:30] + rng.normal(size=30), w=rng.integers(1, 4, 30))
    m = mm.lmer("y ~ x + (1 + x | g)", data, weights="w")
    masks = select_effects(m.design, None)
    drawn = np.array([drawn_errors(m, masks, OneOf(k)) for k in range(30 + m.getME("Z").shape[1])])
    R = m.sigma() ** 2 * np.diag(1.0 / data["w"])
    Z, X = m.getME("Z").toarray(), m.design.X
    Lambda = m.getME("Lambda").toarray()
    V = m.sigma() ** 2 * Z @ Lambda @ Lambda.T @ Z.T + R
    Vi = np.linalg.inv(V)
    P = Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
    residual = R @ P @ R
    np.testing.assert_allclose(drawn.T @ drawn + residual, R, atol=1e-8 * R.max())
    assert np.trace(residual) < 0.9 * np.trace(R)


def test_partial_conditioning_keeps_the_effects_it_names(sleep):
    """Slopes drawn afresh: the variance of simulated responses grows with the days."""
    r = mm.scaled_residuals(sleep, 400, rng=1, re_form="(1 | Subject)", effects="estimated")
    sd = r.simulated().std(axis=1).to_numpy()[:10]
    slopes = 5.9221  # lme4's deviation
    np.testing.assert_allclose(sd, np.sqrt(sleep.sigma() ** 2 + (slopes * np.arange(10)) ** 2), rtol=0.2)
    assert not r.is_independent


# Levels: shares of 5 % tests that reject right models, at most what chance allows in one of a thousand.


def at_most(n, level=0.05):
    return stats.binom.ppf(0.999, n, level)


def test_levels_of_conditional_residuals_of_few_rows_a_group():
    rejected = dict.fromkeys(
        ["uniformity", "dispersion", "outliers", "zero inflation", "quantiles", "series"], 0
    )
    n = 40
    for seed in range(n):
        r = mm.scaled_residuals(poisson_fit(1000 + seed), 79, rng=seed)
        tests = {**r.tests(), "series": r.test_temporal("t", series="g")}
        for name, test in tests.items():
            rejected[name] += not test.is_fine
    assert max(rejected.values()) <= at_most(n)


def test_levels_of_residuals_of_linear_models():
    n, rejected = 60, np.zeros(3)
    for seed in range(n):
        r = mm.scaled_residuals(linear_fit(2000 + seed), 60, rng=seed)
        tests = r.test_uniformity(), r.test_quantiles("g"), r.test_temporal("t", series="g")
        rejected += [not test.is_fine for test in tests]
    assert rejected.max() <= at_most(n)
    assert rejected.sum() > 0


def test_levels_where_random_effects_are_drawn_afresh():
    """Residuals of a group are alike, and a formula for independent ones would reject most of the time."""
    n, rejected, by_formula = 25, 0, 0
    for seed in range(n):
        data, eta, rng = drawn_data(3000 + seed, deviation=3.0)
        m = mm.lmer("y ~ x + (1 | g)", data.assign(y=eta + rng.normal(size=len(eta))))
        r = mm.scaled_residuals(m, 60, rng=seed, re_form="0")
        rejected += not r.test_uniformity().is_fine
        by_formula += stats.kstest(r.residuals, "uniform").pvalue < 0.05
    assert rejected <= at_most(n)
    assert by_formula > at_most(n)


# Power.


def test_overdispersion_is_seen():
    m = poisson_fit(11, noise=1.0)
    r = mm.scaled_residuals(m, rng=1)
    dispersion = r.test_dispersion()
    assert dispersion.statistic > 1.3
    assert dispersion.p_value <= 2 / 251 + 1e-12
    assert r.test_dispersion("less").p_value > 0.9
    assert not r.test_outliers().is_fine
    assert not r.test_dispersion(type="Pearson").is_fine
    assert "look  dispersion" in repr(r)


def test_pearsons_dispersion_is_that_of_the_check(counts):
    check = mm.check_overdispersion(counts)
    found = mm.scaled_residuals(counts, 5, rng=1).test_dispersion("greater", type="Pearson")
    assert (found.statistic, found.p_value) == pytest.approx((check.ratio, check.p_value))


def test_zero_inflation_is_seen():
    m = poisson_fit(12, zeros=0.5)
    test = mm.scaled_residuals(m, rng=1).test_zero_inflation("greater")
    assert test.statistic > 1.2
    assert test.p_value <= 2 / 251
    assert test.values["zeros"] == (m.y == 0).sum()


def test_a_curve_is_seen_along_its_predictor():
    r = mm.scaled_residuals(linear_fit(13, curve=1.0), rng=1)
    test = r.test_quantiles("x")
    assert test.p_value < 0.001
    curves = test.curves()
    middle = curves["predictor"].sub(0.5).abs().idxmin()
    assert curves[0.5].iloc[[0, -1]].min() > 0.6 > 0.45 > curves.loc[middle, 0.5]
    assert not r.test_quantiles("g").p_values.empty


def test_series_and_places_are_seen():
    rng = np.random.default_rng(14)
    n = 80
    path = np.cumsum(rng.normal(size=n))
    m = mm.lm("y ~ z", pd.DataFrame({"y": path, "z": rng.normal(size=n), "t": np.arange(n)[::-1]}))
    r = mm.scaled_residuals(m, rng=1)
    assert r.test_temporal("t", "greater").p_value < 1e-6
    assert r.test_temporal("t", "less").p_value > 0.99
    assert r.test_spatial(x="t").p_value < 1e-6
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(n)[::-1], "D")
    assert r.test_temporal(days).statistic == r.test_temporal("t").statistic
    distances = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    assert r.test_spatial(distances=distances).statistic == pytest.approx(r.test_spatial(x="t").statistic)


def test_any_statistic(counts):
    r = mm.scaled_residuals(counts, 99, rng=1)
    test = r.test_statistic(np.max)
    assert test.values["observed"] == counts.y.max()
    assert test.values["expected"] == pytest.approx(r.simulated().max().mean())


# Kinds of models.


def family_models():
    data, eta, rng = drawn_data(21, deviation=0.3)
    n, mu = len(eta), np.exp(eta)
    k = rng.integers(2, 9, n)
    data = data.assign(
        k=k, s=rng.binomial(k, 1 / (1 + np.exp(-eta))), c=rng.poisson(mu) * (rng.random(n) > 0.2), p=1.0,
        bern=rng.integers(0, 2, n), pos=rng.gamma(3.0, mu / 3.0), unit=rng.beta(2.0, 3.0, n),
        real=eta + rng.normal(size=n),
    )  # fmt: skip
    data["p"], data["cp"], data["yes"] = data["s"] / k, data["c"] + 1, np.where(data["bern"] > 0, "yes", "no")
    glmer = mm.glmer
    return {
        "cbind": lambda: glmer("cbind(s, k - s) ~ x + (1 | g)", data, "binomial"),
        "proportion": lambda: glmer("p ~ x + (1 | g)", data, "binomial", weights="k"),
        "factor": lambda: glmer("factor(yes) ~ x + (1 | g)", data, "binomial"),
        "offset": lambda: glmer("c ~ x + offset(log(k)) + (1 | g)", data, "poisson"),
        "nbinom": lambda: glmer("c ~ x + (1 | g)", data, "nbinom2"),
        "zero-inflated": lambda: glmer("c ~ x + (1 | g)", data, mm.poisson(zi=True)),
        "truncated": lambda: glmer("cp ~ x + (1 | g)", data, mm.truncated_poisson()),
        "gamma": lambda: glmer("pos ~ x + (1 | g)", data, mm.Gamma(link="log")),
        "beta": lambda: glmer("unit ~ x + (1 | g)", data, mm.beta()),
        "betabinomial": lambda: glmer("cbind(s, k - s) ~ x + (1 | g)", data, mm.betabinomial()),
        "pql": lambda: glmer("c ~ x + (1 | g)", data, "poisson", method="pql"),
        "weighted": lambda: mm.lmer("real ~ x + (1 | g)", data, weights="k"),
        "glm": lambda: mm.glm("pos ~ x", data, mm.inverse_gaussian(link="log")),
        "lm": lambda: mm.lm("real ~ x", data),
    }


MODELS = family_models()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.filterwarnings("ignore::mixedmodels.MixedModelsWarning")
def test_models_of_every_kind(kind):
    m = MODELS[kind]()
    for options in ({}, {"re_form": "0"}, {"by": "g"}, {"method": "traditional"}):
        r = mm.scaled_residuals(m, 12, rng=1, **options)
        assert r.residuals.between(0.0, 1.0, inclusive="neither").all()
        assert len(r.residuals) == (GROUPS if "by" in options else GROUPS * SIZE)
        assert "uniformity" in repr(r)
    assert all(0.0 <= test.p_value <= 1.0 for test in r.tests().values())


@pytest.mark.parametrize("kind", ["cbind", "proportion", "factor", "weighted", "glm", "lm"])
def test_refits_of_every_kind(kind):
    r = mm.scaled_residuals(MODELS[kind](), 4, rng=1, refit=True)
    assert r.residuals.between(0.0, 1.0, inclusive="neither").all()
    assert "refits to simulations" in repr(r)


def test_proportions_with_trials_are_numbers_of_successes():
    given, counted = (mm.scaled_residuals(MODELS[k](), 30, rng=1) for k in ("proportion", "cbind"))
    pd.testing.assert_frame_equal(given.simulated(), counted.simulated())
    np.testing.assert_allclose(given.residuals, counted.residuals)
    assert (given.observed == np.round(given.observed)).all()


def test_groups_are_sums_of_their_rows(counts):
    rows = mm.scaled_residuals(counts, 30, rng=1)
    groups = mm.scaled_residuals(counts, 30, rng=1, by="g")
    labels = counts.data["g"].to_numpy()
    order = groups.residuals.index
    sums = rows.simulated().groupby(labels).sum()
    np.testing.assert_array_equal(groups.simulated(), sums.loc[order])
    np.testing.assert_array_equal(groups.observed, rows.observed.groupby(labels).sum().loc[order])
    by_means = groups.test_quantiles(counts.data.groupby("g")["x"].mean().loc[order])
    assert groups.test_quantiles("x").p_value == pytest.approx(by_means.p_value)


def test_refits_compare_residuals_of_refits(counts):
    r = mm.scaled_residuals(counts, 30, rng=1, refit=True)
    chisq = float((counts.residuals("pearson") ** 2).sum())
    each = [float((counts.refit(y).residuals("pearson") ** 2).sum()) for y in r.simulated().to_numpy().T]
    assert r.test_dispersion().statistic == pytest.approx(chisq / np.mean(each), rel=1e-6)


def test_rows_without_weight_and_missing_rows_have_none():
    data, eta, rng = drawn_data(31)
    data = data.assign(y=rng.poisson(np.exp(eta)).astype(float), w=1.0)
    data.loc[3, "w"], data.loc[7, "y"] = 0.0, np.nan
    m = mm.glmer("y ~ x + (1 | g)", data, "poisson", weights="w", na_action="exclude")
    r = mm.scaled_residuals(m, 30, rng=1)
    assert r.residuals.isna().to_numpy().nonzero()[0].tolist() == [3, 7]
    assert np.isfinite([r.test_quantiles("x").p_value, r.test_temporal("t", series="g").p_value]).all()
    assert r.test_uniformity().statistic == pytest.approx(
        stats.kstest(r.residuals.dropna(), "uniform").statistic
    )


@pytest.mark.parametrize(
    "make", [lambda x: x.to_numpy(), list, lambda x: x.iloc[::-1], lambda x: x.astype("Float64")]
)
def test_values_are_read_by_row_or_label(counts, make):
    r = mm.scaled_residuals(counts, 9, rng=1)
    given = r.test_quantiles(make(counts.data["x"]))
    assert given.p_values.tolist() == r.test_quantiles("x").p_values.tolist()


def test_factors_and_numbers_are_told_apart(counts):
    r, t = mm.scaled_residuals(counts, 9, rng=1), counts.data["t"]
    for factor in (t.astype(str), t.astype("category"), t > 1):
        test = r.test_quantiles(factor)
        assert test.statistic == factor.nunique()
        assert len(test.curves()) == factor.nunique()
    assert r.test_quantiles(t.astype(float) + 0.1 * np.arange(100)).statistic == 5


# What is printed, and what is refused.


def test_tests_print_as_r_prints_them(counts):
    test = mm.scaled_residuals(counts, 99, rng=1).test_uniformity()
    first, second = test.line.split(", ")
    assert repr(test) == (
        f"\n\tExact one-sample Kolmogorov-Smirnov test of scaled residuals\n\n{first}, {second}\n"
        "alternative hypothesis: two-sided\n"
    )
    assert first.startswith("D = ")
    assert second.startswith("p-value = ")
    assert test._repr_html_().startswith("<div")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: mm.scaled_residuals(m, 0), mm.ControlError, "nsim must be a whole number"),
        (lambda m: mm.scaled_residuals(m, effects="mode"), mm.ControlError, "effects must be one of 'drawn'"),
        (lambda m: mm.scaled_residuals(m, method="pit"), mm.ControlError, "method must be one of 'PIT'"),
        (lambda m: mm.scaled_residuals(m, by="h"), mm.ControlError, "by 'h' is neither"),
        (lambda m: mm.scaled_residuals(m, re_form="(1 | h)"), mm.FormulaError, "h"),
        (lambda m: mm.scaled_residuals(3), mm.NotAvailableError, "needs a fitted model"),
    ],
)
def test_arguments_that_are_refused(counts, call, error, says):
    with pytest.raises(error, match=says.replace("(", r"\(")):
        call(counts)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda r: r.test_uniformity("both"), mm.ControlError, "alternative must be one of"),
        (lambda r: r.test_dispersion(type="DHARMa"), mm.ControlError, "type must be one of 'simulated'"),
        (lambda r: r.test_outliers(margin="left"), mm.ControlError, "margin must be one of"),
        (lambda r: r.test_statistic("mean"), mm.ControlError, "function must be"),
        (lambda r: r.test_statistic(np.sort), mm.ControlError, "into one number"),
        (lambda r: r.test_spatial(distances="far"), mm.DataError, "matrix of numbers, not 'far'"),
        (lambda r: r.test_spatial(x="t", y=r.observed.iloc[:5]), mm.DataError, "one value for each|index"),
        (lambda r: r.test_quantiles("z"), mm.ControlError, "predictor 'z' is not a column"),
        (lambda r: r.test_quantiles(np.ones(3)), mm.DataError, "one value for each of the 100 rows"),
        (lambda r: r.test_quantiles(quantiles=[0.5, 1.0]), mm.ControlError, "between 0 and 1"),
        (lambda r: r.test_temporal("t"), mm.DataError, "same value at several residuals"),
        (lambda r: r.test_temporal("g"), mm.DataError, "same value|must be numbers"),
        (lambda r: r.test_spatial(), mm.ControlError, "needs coordinates"),
        (lambda r: r.test_spatial(x="t"), mm.DataError, "at one place"),
        (lambda r: r.test_spatial(distances=np.ones((2, 2))), mm.DataError, "shape"),
    ],
)
def test_tests_that_are_refused(counts, call, error, says):
    r = mm.scaled_residuals(counts, 9, rng=1)
    with pytest.raises(error, match=says):
        call(r)


def test_what_has_no_distribution_or_no_zeros_is_refused(sleep):
    data = pd.DataFrame({"y": [1, 2, 4, 3, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    with pytest.raises(mm.NotAvailableError, match="no distribution"):
        mm.scaled_residuals(mm.glm("y ~ x", data, "quasipoisson"))
    with pytest.raises(mm.NotAvailableError, match="for counts"):
        mm.scaled_residuals(sleep, 9, rng=1).test_zero_inflation()
    with pytest.raises(mm.NotAvailableError, match="linear model"):
        mm.scaled_residuals(sleep, 9, rng=1).test_dispersion(type="Pearson")
