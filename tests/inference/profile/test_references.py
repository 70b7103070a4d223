"""Limits, zeta and Wald intervals agree with those found by refits in R, on every shared reference."""

import numpy as np
import pytest
from scipy import special

from mixedmodels.inference.profile.landscape import landscape
from tests.inference.profile.references import fitted_reference, reference, references_with

# The words: profile limits to 1e-4 relative, zeta to 1e-4.
LIMITS, ZETA, WALD = 1e-4, 1e-4, 1e-4
# Parameters above which a model is tested by a part of them.
MANY = 8


@pytest.mark.parametrize("name", references_with("profile_exact"))
def test_profile_limits_agree_with_r(name):
    held = reference(name)
    intervals = held["results"]["confint"]
    expected = intervals["profile_exact"]
    model = fitted_reference(held)
    # Of many fixed effects every third is enough.
    every = slice(None, None, 3 if len(expected["parameter"]) > MANY else 1)
    names = expected["signames"][every]
    ours = model.confint(names, level=expected["level"])
    assert list(ours.index) == names
    np.testing.assert_allclose(ours.iloc[:, 0], expected["lower"][every], rtol=LIMITS)
    np.testing.assert_allclose(ours.iloc[:, 1], expected["upper"][every], rtol=LIMITS)
    at = landscape(model.refitML())
    listed = [p.signame for p in at.parameters]
    assert [name for name in listed if name in expected["signames"]] == expected["signames"]
    for block in intervals.get("zeta", []):
        curve = at.curve(at.named(block["parameter"]))
        places = [curve.held.parameter.scale.inverse(value) for value in block["at"]]
        zeta = [curve.at(place, curve.origin).zeta for place in places]
        np.testing.assert_allclose(zeta, block["zeta"], atol=ZETA)


@pytest.mark.filterwarnings("ignore:fixed-effect model matrix is rank deficient")
@pytest.mark.parametrize("name", references_with("wald"))
def test_wald_intervals_agree_with_r(name):
    held = reference(name)
    expected = held["results"]["confint"]["wald"]
    ours = fitted_reference(held).confint("beta_", method="Wald")
    assert list(ours.index) == expected["rows"]
    widths = np.diff(np.array(expected["values"])).max()
    np.testing.assert_allclose(ours, expected["values"], atol=WALD * widths)


def test_joint_standard_errors_of_generalized_models_agree_with_r():
    for name in references_with("se_joint_hessian"):
        held = reference(name)
        expected = held["results"]["confint"]["se_joint_hessian"]
        model = fitted_reference(held)
        for parm, error in zip(expected["names"], expected["values"], strict=True):
            lower, upper = model.confint(parm, method="Wald").iloc[0]
            if parm.startswith("cor_"):
                low, high = np.arctanh([lower, upper])
                ours = (high - low) / (2.0 * special.ndtri(0.975)) / np.cosh(0.5 * (low + high)) ** 2
            elif not parm.startswith("sd_"):
                ours = (upper - lower) / (2.0 * special.ndtri(0.975))
            elif lower > 0.0:
                estimate = np.sqrt(lower * upper)
                ours = estimate * np.log(upper / lower) / (2.0 * special.ndtri(0.975))
            else:
                continue
            assert ours == pytest.approx(error, rel=1e-3), (name, parm)
