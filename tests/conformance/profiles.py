"""Signed roots of the deviance's increase along profiles, found by refits in R."""

from __future__ import annotations

from typing import Any

import mixedmodels as mm
from mixedmodels.inference.profile.landscape import Landscape, landscape
from tests.conformance.blocks import ESTIMATES, OBJECTIVE, check
from tests.conformance.compare import mismatch
from tests.conformance.fitting import reference_data
from tests.conformance.result import Check

# The words: zeta to 1e-4.
ZETA = 1e-4


def profile_checks(reference: dict[str, Any]) -> list[Check]:
    """Return the verdict on the profile of each parameter."""
    fit = mm.lmer(reference["model"]["formula"], reference_data(reference), REML=False)
    at, results = landscape(fit), reference["results"]
    return [
        check("min_deviance", lambda: mismatch(results["min_deviance"], fit.deviance(), OBJECTIVE, 0)),
        *(check(p["parameter"], lambda p=p: _zeta_mismatch(p, at)) for p in results["profiles"]),
    ]


def _zeta_mismatch(expected: dict[str, Any], at: Landscape) -> str:
    parameter = at.named(expected["parameter"])
    curve = at.curve(parameter)
    estimate = parameter.scale.value(curve.origin.place)
    if found := mismatch(expected["estimate_ml"], estimate, ESTIMATES, 0):
        return f"estimate: {found}"
    places = [parameter.scale.inverse(value) for value in expected["at"]]
    return mismatch(expected["zeta"], [curve.at(place, curve.origin).zeta for place in places], 0, ZETA)
