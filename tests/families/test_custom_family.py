"""A family of one's own is one small class: the geometric distribution, fitted with everything else."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.families import get_family, get_link, negative_binomial
from mixedmodels.families.base import check_counts
from mixedmodels.families.positive import LogMeanTerms, PositiveFamily


@dataclass(frozen=True, slots=True)
class Geometric(PositiveFamily):
    """Number of failures before the first success, of mean mu: l = y t - (y + 1) log(1 + exp(t))."""

    name: ClassVar[str] = "geometric"

    def check(self, y, weights):
        check_counts(y, weights, self.name)

    def start_mu(self, y, weights):
        return y + 0.5

    def terms(self, y, t, weights, phi, constant):
        p = 1.0 / (1.0 + np.exp(-t))
        v = weights * (y + 1.0) * p * (1.0 - p)
        loglik = weights * (y * t - (y + 1.0) * np.logaddexp(0.0, t)) + constant
        information = weights * p
        return LogMeanTerms(
            loglik,
            weights * (y - (y + 1.0) * p),
            -v,
            -v * (1.0 - 2.0 * p),
            information,
            information * (1.0 - p),
        )

    def variance(self, mu, phi):
        return mu * (1.0 + mu)

    def deviance(self, y, mu, weights, phi):
        return negative_binomial(1.0).deviance(y, mu, weights, phi)

    def simulate(self, rng, mu, weights, phi):
        return rng.geometric(1.0 / (1.0 + mu)) - 1.0


GEOMETRIC = Geometric(get_link("log"))
RNG = np.random.default_rng(11)
GROUP = np.repeat(np.arange(20), 10)
X = RNG.normal(size=200)
DATA = pd.DataFrame(
    {
        "x": X,
        "g": GROUP.astype(str),
        "y": GEOMETRIC.simulate(RNG, np.exp(0.5 + 0.4 * X + 0.7 * RNG.normal(size=20)[GROUP]), None, None),
    }
)


def test_it_is_accepted_as_a_family():
    assert get_family(GEOMETRIC) is GEOMETRIC


def test_the_geometric_is_the_negative_binomial_of_theta_one():
    arguments = (DATA.y.to_numpy(), np.ones(200), np.column_stack([np.ones(200), X]), None)
    ours, theirs = fit_glm(*arguments, GEOMETRIC), fit_glm(*arguments, negative_binomial(1.0))
    np.testing.assert_allclose(ours.beta, theirs.beta, rtol=1e-8)
    assert ours.loglik == pytest.approx(theirs.loglik, abs=1e-9)


def test_it_goes_through_the_mixed_model():
    ours, theirs = (mm.glmer("y ~ x + (1 | g)", DATA, f) for f in (GEOMETRIC, negative_binomial(1.0)))
    assert ours.loglik() == pytest.approx(theirs.loglik(), abs=1e-7)
    np.testing.assert_allclose(ours.fixef(), theirs.fixef(), atol=1e-6)
