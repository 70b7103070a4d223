"""Leverages, studentized residuals and deletions of the shared prediction references, where present."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mixedmodels as mm
from tests.conformance.shared import find_shared, shared_folder
from tests.inference.profile.references import read_data

#: Estimates of lme4 polished to 1e-5 standard errors, and numbers made of small differences of them.
STANDARD_ERRORS, RELATIVE = 5e-6, 3e-6


def references():
    """Return the ids of the prediction references; none without the folder."""
    found = find_shared()
    return [] if found is None else sorted(p.stem for p in (found / "reference2").glob("prediction_*.json"))


def fitted_reference(name):
    """Return results of a reference and the fitted model."""
    held = json.loads((shared_folder() / "reference2" / f"{name}.json").read_text(encoding="utf-8"))
    model, frame = held["model"], read_data(held["data"])
    if "family" in model:
        family = getattr(mm.families, model["family"])(link=model["link"])
        return held["results"], mm.glmer(model["formula"], frame, family=family)
    return held["results"], mm.lmer(model["formula"], frame, REML=model["REML"], weights=model.get("weights"))


@pytest.mark.filterwarnings("ignore::mixedmodels.ApproximationWarning")
@pytest.mark.parametrize("name", references())
def test_a_reference(name):
    results, m = fitted_reference(name)
    named = {
        "hatvalues": m.hatvalues(),
        "rstudent": m.rstudent(),
        "cooks_distance_leverage_formula": m.cooks_distance(),
    }
    for key, values in named.items():
        if key in results:
            np.testing.assert_allclose(values[:10], results[key]["first10"], rtol=RELATIVE)
            assert (values**2).sum() == pytest.approx(results[key]["sumsq"], rel=RELATIVE)
    for key in ("influence_group", "influence_case"):
        if key in results:
            assert_influence(m, results[key])


def assert_influence(m, held):
    """Compare deletions; the covariance of lme4's generalized models takes theta as known there."""
    groups = None if held["group"] == "case" else held["group"]
    found = mm.influence(m, groups, vcov="rx")
    labels = [str(label + 1) if groups is None else str(label) for label in found.labels]
    order = [labels.index(level) for level in held["levels"]]
    assert not found.reasons

    def in_order(table):
        return np.asarray(table)[order]

    se = np.sqrt(np.diag(found.full.vcov))
    moves = (in_order(found.dfbeta()) - np.array(held["dfbeta"])) / se
    assert np.abs(moves).max() < STANDARD_ERRORS
    np.testing.assert_allclose(in_order(found.dfbetas()), held["dfbetas"], atol=STANDARD_ERRORS)
    np.testing.assert_allclose(in_order(found.theta()), held["theta_deleted"], atol=5e-5)
    if m.family() is None:
        np.testing.assert_allclose(in_order(found.sigma()), held["sigma_deleted"], rtol=RELATIVE)
    for key, convention in (("cooks_distance", "HLMdiag"), ("cooks_distance_lme4", "lme4")):
        values = in_order(found.cooks_distance(convention))
        np.testing.assert_allclose(values, held[key], rtol=1e-5, atol=STANDARD_ERRORS)
