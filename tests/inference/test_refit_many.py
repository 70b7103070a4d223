"""One model and many responses: the long table, its names and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference import simulations


def test_the_table_has_what_refit_has(fitted):
    m = fitted("sleepstudy")
    Y = m.simulate(3, seed=1)
    table = mm.refit_many(m, Y)
    assert list(table["response"].unique()) == ["sim_1", "sim_2", "sim_3"] and len(table) == 18
    for name, rows in table.groupby("response"):
        alone = m.refit(Y[name])
        fixed = rows[rows["effect"] == "fixed"].set_index("term")
        np.testing.assert_allclose(fixed["estimate"], alone.fixef(), rtol=1e-6)
        np.testing.assert_allclose(fixed["std_error"], alone.standard_errors(), rtol=1e-6)
        np.testing.assert_allclose(fixed["statistic"], fixed["estimate"] / fixed["std_error"])
        assert rows["objective"].iloc[0] == pytest.approx(alone.REMLcrit(), abs=1e-8)
        random = rows[rows["effect"] == "random"]
        C = alone.term_covariances()[0].covariance
        sd = np.sqrt(np.diag(C))
        expected = [sd[0], C[0, 1] / sd.prod(), sd[1], alone.sigma()]
        np.testing.assert_allclose(random["estimate"], expected, rtol=1e-5)
    assert random["term"].tolist() == ["sd_(Intercept)", "cor_Days.(Intercept)", "sd_Days", "sigma"]
    assert random["group"].tolist() == ["Subject"] * 3 + ["Residual"]


@pytest.mark.parametrize("name", ["penicillin", "cbpp", "cbpp_obs", "cbpp_glm", "cake"])
def test_models_of_any_kind(fitted, name):
    m = fitted(name)
    y = m.design.response.values
    table = mm.refit_many(m, np.column_stack([y, y]))
    assert set(table["verdict"]) == {"converged"}
    np.testing.assert_allclose(table["objective"], -2.0 * m.loglik(), atol=1e-6)
    fixed = table[(table["effect"] == "fixed") & (table["response"] == "y2")]
    np.testing.assert_allclose(fixed["estimate"], m.fixef(), rtol=1e-4, atol=1e-5)


def test_rows_by_label_jobs_and_missing_rows(data):
    frame = data("sleepstudy")
    frame.loc[3, "Reaction"] = np.nan
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", frame)
    rng = np.random.default_rng(1)
    Y = pd.DataFrame(rng.normal(size=(180, 45)), index=frame.index)
    table = mm.refit_many(m, Y)
    pd.testing.assert_frame_equal(table, mm.refit_many(m, Y.sample(frac=1.0, random_state=1)))
    pd.testing.assert_frame_equal(table, mm.refit_many(m, Y.drop(index=3)))
    crossed = mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", data("Penicillin"))
    Z = crossed.simulate(22, seed=1)
    pd.testing.assert_frame_equal(mm.refit_many(crossed, Z), mm.refit_many(crossed, Z, n_jobs=2))


def test_a_response_without_variation_fails_and_stays(fitted):
    m = fitted("sleepstudy")
    table = mm.refit_many(m, {"gene": m.y, "silent": np.zeros(180)})
    silent = table[table["response"] == "silent"]
    assert set(silent["verdict"]) == {"failed"} and silent["estimate"].isna().all()
    assert set(table[table["response"] == "gene"]["verdict"]) == {"converged"}


def test_what_is_refused(fitted):
    m = fitted("sleepstudy")
    good = pd.DataFrame({"a": m.y, "b": m.y})
    with pytest.raises(mm.DataError, match=r"column 'b', first at row 5"):
        mm.refit_many(m, good.assign(b=good["b"].where(good.index != 5)))
    with pytest.raises(mm.DataError, match="column 'b' must be numbers"):
        mm.refit_many(m, good.assign(b="x"))
    with pytest.raises(mm.DataError, match="170 rows; the model uses 180"):
        mm.refit_many(m, good.iloc[:170].to_numpy())
    with pytest.raises(mm.DataError, match=r"shape \(180,\)"):
        mm.refit_many(m, m.y)
    with pytest.raises(mm.DataError, match="shape"):
        mm.refit_many(m, np.empty((180, 0)))
    with pytest.raises(mm.ControlError, match="fitted model"):
        mm.refit_many(good, m)


def test_ctrl_c_returns_the_responses_that_are_done(fitted, monkeypatch):
    m = fitted("cbpp_obs")
    Y = m.simulate(45, seed=1)
    whole = mm.refit_many(m, Y.iloc[:, :20])
    ordered = simulations.in_order

    def interrupted(task, pieces, jobs):
        yield next(ordered(task, pieces, jobs))
        raise KeyboardInterrupt

    monkeypatch.setattr(simulations, "in_order", interrupted)
    with pytest.warns(mm.DataWarning, match="20 of 45 responses are done"):
        pd.testing.assert_frame_equal(mm.refit_many(m, Y), whole)

    def at_once(task, pieces, jobs):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(simulations, "in_order", at_once)
    with pytest.warns(mm.DataWarning, match="0 of 45"):
        none = mm.refit_many(m, Y)
    assert not len(none) and list(none.columns) == list(whole.columns)
