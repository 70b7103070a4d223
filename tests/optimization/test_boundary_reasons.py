"""A correlation at its bound is a boundary, said with its name."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def made(rho_one):
    """Return 30 groups whose effect at three times is the same, or alternates in sign."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 12), "t": np.tile(list("abc"), 120)})
    sign = 1.0 if rho_one else np.where(data.t == "b", -1.0, 1.0)
    return data.assign(y=sign * rng.normal(size=30)[data.g] + rng.normal(size=len(data)))


@pytest.mark.parametrize(("structure", "rho_one"), [("ar1", True), ("cs", True), ("ar1", False)])
@pytest.mark.parametrize("REML", [True, False])
def test_verdict_and_is_singular_agree(structure, rho_one, REML):
    m = mm.lmer(f"y ~ 1 + {structure}(0 + t | g, hom = TRUE)", made(rho_one), REML=REML)
    report = m.convergence()
    at_bound = [reason for reason in report.reasons if "rho" in reason]
    assert m.is_singular() == (report.verdict == "boundary") == bool(at_bound)


def test_the_bound_is_named():
    rng = np.random.default_rng(4)
    data = made(True).assign(y=lambda d: rng.normal(size=30)[d.g] + 0.01 * rng.normal(size=len(d)))
    report = mm.lmer("y ~ 1 + cs(0 + t | g, hom = TRUE)", data).convergence()
    assert report.verdict == "boundary"
    assert report.reasons == ("The correlation rho in (0 + t | g) is at its bound, 1.",)
