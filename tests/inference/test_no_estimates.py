"""What is said where a response is separated: one level of a factor has no failures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def separated():
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        {"g": np.repeat(np.arange(20), 10), "a": np.tile(["x", "y"], 100), "x": rng.normal(size=200)}
    )
    d["y"] = np.where(d["a"] == "y", 1, rng.binomial(1, 0.4, 200))
    return d


@pytest.fixture(scope="module")
def mixed(separated):
    with pytest.warns(mm.DataWarning, match="ay has no finite estimate"):
        return mm.glmer("y ~ a + x + (1 | g)", separated, family="binomial")


@pytest.mark.parametrize("ask", [
    lambda m: m.vcov("CR0"),
    lambda m: m.summary(vcov="CR2"),
    lambda m: m.emmeans("a", vcov="CR1"),
    mm.marginal_coefs,
])  # fmt: skip
def test_what_rests_on_estimates_is_refused(mixed, ask):
    """A sandwich would be small there: the scores of a perfect fit are zero."""
    with pytest.raises(mm.NotAvailableError, match=r"no failure in a = y.*drop1"):
        ask(mixed)


def test_models_without_random_effects_too(separated):
    with pytest.warns(mm.DataWarning, match="ay has no finite estimate"):
        m = mm.glm("y ~ a + x", separated, family="binomial")
    with pytest.raises(mm.NotAvailableError, match="no finite estimate"):
        m.vcov("CR1", cluster="g")


def test_replicates_say_so(mixed):
    with pytest.warns(mm.DataWarning, match="ay has no finite estimate.*nothing more"):
        mm.bootstrap(mixed, nsim=2, rng=1)


def test_effects_on_the_response_are_those_of_proportions(mixed, separated):
    """In truth 1 - p for p the share of successes in the other level, with its standard error."""
    table = mm.average_marginal_effects(mixed, "a")
    plain = mm.glm("y ~ x", separated[separated["a"] == "x"], family="binomial")
    p = np.asarray(plain.predict(separated, type="response")).mean()
    np.testing.assert_allclose(table["estimate"], 1.0 - p, rtol=1e-4)
    assert 0.04 < table["std.error"].iloc[0] < 0.06
