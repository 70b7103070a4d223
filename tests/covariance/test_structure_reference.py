"""Models with structured covariances reach the optima of glmmTMB and nlme."""

import json
from pathlib import Path

import numpy as np
import pytest

import mixedmodels as mm

CASES = json.loads((Path(__file__).parent / "structure_reference.json").read_text())
# glmmTMB and nlme stop when the log-likelihood no longer changes in its tenth digit or so.
LOGLIK = 2e-6
# The log-likelihood is flat at its optimum: 1e-6 in it is 1e-3 standard errors in a parameter.
PARAMETERS = 1e-3


def fit(case):
    data = mm.load_dataset(case["data"])
    if case["family"] == "gaussian":
        return mm.lmer(case["formula"], data, REML=case["REML"])
    return mm.glmer(case["formula"], data, family=case["family"])


@pytest.mark.parametrize("case", CASES, ids=[f"{c['source']}: {c['formula']} {c['REML']}" for c in CASES])
def test_the_optimum_of_others_is_reached(case):
    model = fit(case)
    structure = model.design.random[0].structure
    scale = model.sigma() if case["family"] == "gaussian" else 1.0
    theta = np.asarray(model.theta())
    T = scale * structure.factor(theta)
    sd = np.sqrt(np.sum(T**2, axis=1))
    assert float(model.loglik()) == pytest.approx(case["loglik"], abs=LOGLIK)
    np.testing.assert_allclose(sd, case["sd"], atol=PARAMETERS * max(case["sd"]))
    np.testing.assert_allclose(model.fixef(), case["fixef"], rtol=PARAMETERS, atol=PARAMETERS)
    if structure.name in ("cs", "ar1"):
        assert theta[-1] == pytest.approx(case["rho"], abs=PARAMETERS)
