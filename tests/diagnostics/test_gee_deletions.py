"""One-step deletions of marginal models: exact where the equations are linear, near where they are not."""

import numpy as np
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def teeth():
    return mm.load_dataset("Orthodont")


WEIGHTS = np.tile([1.0, 2.0, 0.5, 1.0], 27)


@pytest.mark.parametrize(("groups", "weights"), [("Subject", WEIGHTS), (None, None)])
def test_a_step_is_exact_where_the_working_correlation_is_known(teeth, groups, weights):
    R = 0.6 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    m = mm.gee(
        "distance ~ age * Sex", teeth, groups="Subject", corr=R, time="age", scale=4.0, weights=weights
    )
    step, refits = (mm.influence(m, groups, method=method) for method in ("one-step", "exact"))
    np.testing.assert_allclose(step.dfbeta(), refits.dfbeta(), rtol=1e-8, atol=1e-10)
    assert set(step.verdict) == {"one step"}


def test_naive_covariances_are_exact_too(teeth):
    m = mm.gee("distance ~ age", teeth, groups="Subject", scale=4.0, cov_type="naive")
    step, refits = (mm.influence(m, None, method=method) for method in ("one-step", "exact"))
    np.testing.assert_allclose(step.covratio(), refits.covratio(), rtol=1e-8)


@pytest.mark.parametrize("corr", ["exchangeable", "ar1"])
def test_counts_move_as_their_refits_do(corr):
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(30), 4)
    x = rng.standard_normal(len(g))
    y = rng.poisson(np.exp(1.0 + 0.3 * x + 0.4 * rng.standard_normal(30)[g]))
    m = mm.gee("y ~ x", {"y": y, "x": x, "g": g}, groups="g", family="poisson", corr=corr)
    step, refits = (mm.influence(m, "g", method=method) for method in ("one-step", "exact"))
    assert np.corrcoef(step.cooks_distance(), refits.cooks_distance())[0, 1] > 0.98


def test_a_column_that_goes_with_the_rows_has_no_coefficient(teeth):
    data = teeth.assign(one=(teeth["Subject"].astype(str) == "M01").astype(float))
    m = mm.gee("distance ~ age + one", data, groups="Subject", corr="independence")
    with pytest.warns(mm.errors.ConvergenceWarning, match="one"):
        found = mm.influence(m, "Subject", method="one-step")
    assert found.dfbeta().loc["M01"].isna().tolist() == [False, False, True]
    assert found.dfbeta().drop(index="M01").notna().all(axis=None)


def test_corrected_covariances_have_no_step(teeth):
    m = mm.gee("distance ~ age", teeth, groups="Subject", cov_type="mancl-derouen")
    with pytest.raises(mm.NotAvailableError, match="cov_type='robust'"):
        mm.influence(m, "Subject", method="one-step")


def test_lags_beyond_the_longest_group_are_not_looked_for(teeth):
    m = mm.lmer("distance ~ age + (1 | Subject)", teeth)
    assert mm.acf(m, max_lag=10**9)["lag"].tolist() == mm.acf(m, max_lag=3)["lag"].tolist()
