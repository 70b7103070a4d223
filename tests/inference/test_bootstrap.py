"""The bootstrap: draws, refits, intervals, what fails and what is interrupted."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference import bootstrap_intervals as intervals
from mixedmodels.inference import simulations
from mixedmodels.inference.clusters import clusters_of
from mixedmodels.inference.refits import Refitter, empty_refits
from mixedmodels.inference.resampling import draw_responses, drawn_clusters

# lme4 1.1-31, bootMer(m, nsim = 3000), seed 101: quantiles 2.5, 50, 97.5 % and standard deviations of
# as.data.frame(VarCorr(x))$sdcor and fixef(x) of Reaction ~ Days + (Days | Subject).
LME4 = pd.DataFrame(
    {
        "2.5 %": [12.494298, -0.507016, 3.302830, 22.665875, 238.13073, 7.426162],
        "50 %": [23.960191, 0.081487, 5.764108, 25.519613, 251.67174, 10.475804],
        "97.5 %": [35.343183, 0.904245, 8.265139, 28.520680, 265.04343, 13.514538],
        "sd": [5.884148, 0.354379, 1.282186, 1.473847, 6.760712, 1.539244],
    },
    index=[
        "sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject", "sd_Days|Subject", "sigma", "(Intercept)",
        "Days",
    ],
)  # fmt: skip


@pytest.fixture(scope="module")
def sleep(fitted):
    return mm.bootstrap(fitted("sleepstudy"), nsim=3000, rng=1)


def test_quantiles_are_those_of_lme4(sleep):
    # Both have the Monte Carlo error of 3000 draws: 4 standard errors of a difference of two quantiles.
    for name, row in LME4.iterrows():
        x = sleep.to_frame()[name].dropna()
        for column, share in (("2.5 %", 0.025), ("50 %", 0.5), ("97.5 %", 0.975)):
            low, high = np.quantile(x, [max(share - 0.015, 0.001), min(share + 0.015, 0.999)])
            density = (min(share + 0.015, 0.999) - max(share - 0.015, 0.001)) / (high - low)
            error = math.sqrt(2.0 * share * (1.0 - share) / 3000) / density
            assert np.quantile(x, share) == pytest.approx(row[column], abs=4.0 * error)
        assert x.std() == pytest.approx(row["sd"], rel=0.08)


def test_standard_errors_are_those_of_theory(sleep, fitted):
    m = fitted("sleepstudy")
    theory = m.standard_errors().to_numpy()
    np.testing.assert_allclose(sleep.standard_errors()[["(Intercept)", "Days"]], theory, rtol=0.06)
    assert sleep.bias()[["(Intercept)", "Days"]].abs().max() < 0.1 * theory.max()


def test_the_same_seed_draws_the_same_whatever_the_jobs(fitted):
    m = fitted("dyestuff")
    one, two = (mm.bootstrap(m, nsim=2100, rng=7, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(one.replicates, two.replicates)
    other = mm.bootstrap(m, nsim=2100, rng=8)
    assert not np.array_equal(one.replicates, other.replicates)
    statistic = [mm.bootstrap(m, lambda m: m.sigma(), 45, rng=7, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_array_equal(statistic[0].replicates, statistic[1].replicates)


def test_everything_is_kept(sleep, fitted):
    frame = sleep.to_frame()
    assert len(frame) == 3000 and set(frame["verdict"]) == {"converged", "boundary"}
    expected = ["objective", *LME4.index, "se((Intercept))", "se(Days)"]
    expected += [f"theta({name})" for name in fitted("sleepstudy").theta().index]
    assert list(frame.columns) == [*expected, "verdict"]
    first = Refitter(fitted("sleepstudy"))
    Y = draw_responses(first.fit, "parametric", False, np.random.default_rng(1).spawn(3)[0], 1000)
    assert frame["objective"].iloc[0] == pytest.approx(first.fit.refit(Y[:, 0]).REMLcrit(), abs=1e-8)


def test_generalized_models(fitted):
    m = fitted("cbpp")
    result = mm.bootstrap(m, nsim=200, rng=1)
    np.testing.assert_allclose(result.standard_errors()[1:], m.standard_errors(), rtol=0.25)
    crossed = mm.bootstrap(fitted("cbpp_obs"), nsim=3, rng=1)
    assert list(crossed.names[:2]) == ["sd_(Intercept)|obs", "sd_(Intercept)|herd"]


@pytest.mark.parametrize("kind", ["semiparametric", "wild", "cluster"])
def test_other_kinds_of_draws_have_the_spread_of_theory(fitted, kind):
    m = fitted("sleepstudy")
    result = mm.bootstrap(m, nsim=150 if kind == "cluster" else 600, rng=3, kind=kind)
    se = result.standard_errors()[["(Intercept)", "Days"]]
    np.testing.assert_allclose(se, m.standard_errors(), rtol=0.25)


def test_semiparametric_effects_have_the_covariance_of_the_model(fitted):
    m = fitted("sleepstudy")
    Y = draw_responses(m, "semiparametric", False, np.random.default_rng(1), 4000)
    T = m.term_covariances()[0].covariance
    Z = np.column_stack([np.ones(10), np.arange(10.0)])
    expected = Z @ T @ Z.T + m.sigma() ** 2 * np.eye(10)
    deviations = Y[:10] - (m.design.X[:10] @ m.beta)[:, None]
    np.testing.assert_allclose(deviations @ deviations.T / 4000, expected, rtol=0.15, atol=150.0)


def test_use_u_keeps_the_effects(fitted):
    m = fitted("sleepstudy")
    for kind in ("parametric", "semiparametric"):
        Y = draw_responses(m, kind, True, np.random.default_rng(1), 3000)
        np.testing.assert_allclose(Y.mean(axis=1), m.fitted(), atol=5.0 * m.sigma() / math.sqrt(3000))
        np.testing.assert_allclose(Y.std(axis=1).mean(), m.sigma(), rtol=0.02)


def test_a_cluster_drawn_twice_counts_as_two(fitted):
    m = fitted("pastes")
    codes, n = clusters_of(m).codes, clusters_of(m).size
    assert n == 10  # casks are nested in batches
    again = drawn_clusters(m, np.arange(n))
    assert again.loglik() == pytest.approx(m.loglik(), abs=1e-7)
    twice = drawn_clusters(m, np.array([0, 0, 1, 2, 3]))
    assert twice.ngrps() == {"batch:cask": 15, "batch": 5} or list(twice.ngrps().values()) == [15, 5]
    assert twice.nobs() == sum((codes == c).sum() for c in (0, 0, 1, 2, 3))


def test_statistics_of_any_form(fitted):
    m = fitted("dyestuff")
    result = mm.bootstrap(
        m, lambda m: {"ratio": m.theta_values[0] ** 2 / (1 + m.theta_values[0] ** 2)}, 40, rng=1
    )
    assert result.names == ("ratio",) and result.replicates.shape == (40, 1)
    assert mm.bootstrap(m, lambda m: m.fixef(), 3, rng=1).names == ("(Intercept)",)
    assert mm.bootstrap(m, lambda m: [1.0, 2.0], 3, rng=1).names == ("t1", "t2")


def test_failures_are_counted_and_kept(fitted):
    m = fitted("dyestuff")
    original = m.sigma()

    def fails(model):
        if model.sigma() < 0.98 * original:
            raise ZeroDivisionError("too small")
        return model.sigma()

    with pytest.warns(mm.ConvergenceWarning, match=r"of 40 replicates could not be fitted.*too small"):
        result = mm.bootstrap(m, fails, nsim=40, rng=1)
    assert 0 < result.n_failed < 40 and len(result) == 40
    assert np.isnan(result.replicates[:, 0]).sum() == result.n_failed
    assert f"{result.n_failed} failed" in repr(result)
    assert np.isfinite(result.confint()).all(axis=None)


def test_ctrl_c_returns_what_is_done(fitted, monkeypatch):
    ordered = simulations.in_order

    def interrupted(task, pieces, jobs):
        results = ordered(task, pieces, jobs)
        yield next(results)
        raise KeyboardInterrupt

    monkeypatch.setattr(simulations, "in_order", interrupted)
    with pytest.warns(mm.DataWarning, match="1000 of 2500 replicates"):
        result = mm.bootstrap(fitted("dyestuff"), nsim=2500, rng=1)
    assert result.nsim == 1000 and "1000 of 2500" in repr(result)


def test_intervals_of_a_known_distribution():
    rng = np.random.default_rng(1)
    x = rng.normal(size=20001)
    for interval in (
        intervals.percentile(x, 0.9), intervals.basic(x, 0.9, 0.0), intervals.shortest(x, 0.9),
        intervals.bias_corrected(x, 0.9, 0.0, rng.normal(size=500)),
    ):  # fmt: skip
        np.testing.assert_allclose(interval, stats.norm.interval(0.9), atol=0.12)
    np.testing.assert_allclose(intervals.basic(x + 1.0, 0.9, 0.0), (-2.64, 0.64), atol=0.1)
    skewed = rng.exponential(size=20001)
    low, high = intervals.shortest(skewed, 0.9)
    assert low < 0.01 and high == pytest.approx(-math.log(0.1), abs=0.1)
    assert np.mean((skewed >= low) & (skewed <= high)) >= 0.9


def test_bca_by_its_formula():
    rng = np.random.default_rng(3)
    x, jackknife, estimate = rng.gamma(4.0, size=999), rng.gamma(2.0, size=15), 3.6
    z0 = stats.norm.ppf(np.mean(x < estimate))
    d = jackknife.mean() - jackknife
    a = (d**3).sum() / (6.0 * (d**2).sum() ** 1.5)
    shares = [stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in (-1.959964, 1.959964)]
    found = intervals.bias_corrected(x, 0.95, estimate, jackknife)
    np.testing.assert_allclose(found, np.quantile(x, shares, method="weibull"), rtol=1e-6)


def test_bca_leaves_clusters_out(fitted):
    result = mm.bootstrap(fitted("dyestuff"), nsim=500, rng=1)
    table = result.confint(type="bca")
    assert (table.iloc[:, 0] < result.estimates).all() and (table.iloc[:, 1] > result.estimates).all()
    with pytest.raises(mm.NotAvailableError, match="bca"):
        mm.bootstrap(fitted("penicillin"), nsim=3, rng=1).confint(type="bca")


def test_printed(sleep):
    text = repr(sleep).splitlines()
    assert text[0] == "Parametric bootstrap: 3000 replicates"
    assert text[2].startswith("Refits: ") and "boundary" in text[2]
    assert max(map(len, text)) <= 80
    assert "<table>" in sleep._repr_html_()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"nsim": 0}, mm.ControlError, "nsim"),
        ({"nsim": 2.5}, mm.ControlError, "nsim"),
        ({"kind": "residual"}, mm.ControlError, "kind"),
        ({"n_jobs": 0}, mm.ControlError, "n_jobs"),
        ({"rng": "today"}, mm.ControlError, "seed"),
        ({"statistic": 3}, mm.ControlError, "statistic"),
        ({"statistic": lambda m: "text"}, mm.ControlError, "statistic"),
        ({"use_u": True, "kind": "wild"}, mm.ControlError, "use_u"),
        ({"seed": 1}, mm.UnknownArgumentError, "rng"),
    ],
)
def test_wrong_options(fitted, options, error, words):
    with pytest.raises(error, match=words):
        mm.bootstrap(fitted("dyestuff"), **options)


def test_what_cannot_be_drawn(fitted):
    with pytest.raises(mm.NotAvailableError, match=r"shared between clusters.*kind='parametric'"):
        mm.bootstrap(fitted("penicillin"), kind="cluster")
    with pytest.raises(mm.NotAvailableError, match="residuals"):
        mm.bootstrap(fitted("cbpp"), kind="wild")
    with pytest.raises(mm.NotAvailableError, match="quasibinomial"):
        mm.bootstrap(fitted("cbpp_glm_quasi"))
    with pytest.raises(mm.ControlError, match="fitted model"):
        mm.bootstrap("model")
    with pytest.raises(mm.ControlError, match="parm"):
        mm.bootstrap(fitted("dyestuff"), nsim=3, rng=1).confint("Days")


@pytest.mark.parametrize("name", ["cbpp_glm", "cbpp_pql", "cbpp"])
def test_clusters_of_models_of_any_kind(fitted, name):
    m = fitted(name)
    again = drawn_clusters(m, np.arange(clusters_of(m).size))
    np.testing.assert_allclose(again.fixef(), m.fixef(), rtol=1e-4)
    result = mm.bootstrap(m, nsim=4, kind="cluster", rng=1)
    assert result.replicates.shape == (4, len(result.names)) and not result.n_failed


def test_rows_are_the_clusters_of_a_linear_model(data):
    m = mm.lm("Reaction ~ Days", data("sleepstudy"))
    result = mm.bootstrap(m, nsim=300, kind="cluster", rng=1)
    np.testing.assert_allclose(result.standard_errors()[m.fixef().index], m.standard_errors(), rtol=0.2)


def test_nothing_done_is_nan_and_no_error(fitted):
    m = fitted("dyestuff")
    result = mm.Bootstrap(m, "parametric", False, None, 10, empty_refits(m, 0), np.empty((0, 3)))
    assert "0 of 10 replicates" in repr(result) and len(result.to_frame()) == 0
    for kind in ("percentile", "basic", "bca", "shortest"):
        assert result.confint(type=kind).isna().all(axis=None)
