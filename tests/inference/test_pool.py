"""Rubin's rules against the formulas of mice::pool, written out in R."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.pool import _combined, barnard_rubin

Q = np.array([[250.1, 10.2], [252.7, 9.8], [249.3, 10.9], [251.0, 10.4], [253.2, 9.5]])
U = np.array([[46.1, 2.30], [44.8, 2.41], [47.5, 2.28], [45.0, 2.35], [46.6, 2.50]])
# Rscript: the formulas of mice 3.15 (pool.fitlist, barnard.rubin) on these numbers, dfcom = 174.
EXPECTED = {
    "Estimate": [251.26, 10.16], "Std. Error": [7.02336101877, 1.64912097798],
    "df": [135.667042180, 92.1280117366], "riv": [0.0723391304348, 0.148479729730],
    "lambda": [0.0674591912033, 0.129283718194], "fmi": [0.0809092625993, 0.147589919825],
    "Pr(>|t|)": [5.91792039949e-71, 1.87745669983e-08], "2.5 %": [237.370570743, 6.88476402693],
}  # fmt: skip


def test_the_formulas():
    table = _combined(Q, U, 174.0, ("(Intercept)", "Days"))
    for column, values in EXPECTED.items():
        np.testing.assert_allclose(table[column], values, rtol=1e-9)


def test_degrees_of_freedom_at_their_ends():
    share = np.array([0.0, 0.3])
    np.testing.assert_allclose(barnard_rubin(5, share, np.inf), [4e8, 4 / 0.09])
    assert barnard_rubin(5, share, 100.0)[0] == pytest.approx(101 / 103 * 100.0, rel=1e-3)


def test_fits_to_completed_data(data):
    rng = np.random.default_rng(1)
    fits = []
    for _ in range(4):
        d = data("sleepstudy")
        d.loc[d.index[::9], "Reaction"] += rng.normal(0.0, 30.0, 20)
        fits.append(mm.lmer("Reaction ~ Days + (Days | Subject)", d))
    table = mm.pool(fits)
    assert list(table.index) == ["(Intercept)", "Days"]
    np.testing.assert_allclose(table["Estimate"], np.mean([m.beta for m in fits], axis=0))
    within = np.mean([m.standard_errors() ** 2 for m in fits], axis=0)
    np.testing.assert_allclose(table["ubar"], within)
    assert (table["Std. Error"] ** 2 > within).all()
    assert (mm.pool(fits, dfcom=np.inf)["df"] > table["df"]).all()


def test_generalized_fits(fitted):
    m = fitted("cbpp")
    table = mm.pool([m, m, m])
    np.testing.assert_allclose(table["Std. Error"], m.standard_errors())


def test_what_is_refused(fitted):
    m = fitted("sleepstudy")
    with pytest.raises(mm.ControlError, match="two fits"):
        mm.pool([m])
    with pytest.raises(mm.ControlError, match="list of fits"):
        mm.pool(m)
    with pytest.raises(mm.DataError, match=r"fit 2 has the fixed effects \(Intercept\)"):
        mm.pool([m, fitted("dyestuff")])
    with pytest.raises(mm.ControlError, match="no fitted model"):
        mm.pool([m, 3])
    with pytest.raises(mm.ControlError, match="dfcom"):
        mm.pool([m, m], dfcom=-1)
