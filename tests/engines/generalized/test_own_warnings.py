"""Summaries at the ends of a family's range, and the unit of prior weights."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

FAULTS = Path(__file__).parents[2] / "faults/errors-and-warnings-not-its-own"


def test_fitted_values_of_one_leave_a_residual_of_zero():
    # The suite makes NumPy's warnings errors.
    data = pd.read_csv(FAULTS / "doses.csv").astype({"Rep": "category", "Trt": "category"})
    formula = "cbind(Dead, Alive) ~ (Trt + 0) / Dose + (Dose | Rep)"
    model = mm.glmer(formula, data, family=mm.binomial(link="cloglog"))
    assert "nan" not in str(model.summary()).lower()
    assert np.isfinite(model.residuals(type="pearson")).all()


def test_a_response_constant_in_its_groups_is_refused():
    data = pd.read_csv(FAULTS / "constant_ig.csv").astype({"g": "category"})
    with pytest.raises(mm.DataError, match="does not vary within"):
        mm.glmer("y ~ x + (1 | g)", data, family=mm.inverse_gaussian(link="log"))


@pytest.mark.parametrize("weight", [1e-6, 1.0, 1e6, 1e10])
def test_whether_a_linear_fit_is_singular_does_not_depend_on_the_unit_of_the_weights(weight):
    data = mm.load_dataset("sleepstudy")
    weights = np.full(len(data), weight)
    assert not mm.lmer("Reaction ~ Days + (Days | Subject)", data, weights=weights).is_singular()


def test_a_small_variance_known_from_many_trials_is_not_zero():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(20), 5)
    eta = 5e-3 * rng.normal(size=20)[g]
    trials = np.full(len(g), 10**9)
    y = rng.binomial(trials, 1.0 / (1.0 + np.exp(-eta * 1e-2)))
    data = {"y": y, "m": trials - y, "g": g.astype(str)}
    model = mm.glmer("cbind(y, m) ~ 1 + (1 | g)", data, family="binomial")
    assert 0.0 < model.theta().iloc[0] < 1e-4
    assert not model.is_singular()
