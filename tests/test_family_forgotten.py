"""A family that was forgotten is told of; one that was given, or is not needed, is not."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def table(seed=0, n=120):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(12), n // 12)
    data = pd.DataFrame({"g": g.astype(str), "x": rng.normal(size=n)})
    data["binary"] = (rng.random(n) < 0.4).astype(float)
    data["flag"] = data["binary"] > 0
    data["count"] = rng.poisson(1.5, n)
    data["trials"] = rng.integers(3, 9, n)
    data["share"] = rng.binomial(data["trials"], 0.4) / data["trials"]
    data["y"] = rng.normal(size=n)
    data["whole"] = np.round(300 + 40 * rng.normal(size=n))
    data["yes"] = pd.Categorical(np.where(data["flag"], "yes", "no"))
    return data


FORGOTTEN = [
    ("binary", {}, "binomial"),
    ("flag", {}, "binomial"),
    ("count", {}, "poisson"),
    ("share", {"weights": "trials"}, "binomial"),
]


@pytest.mark.parametrize(("response", "options", "family"), FORGOTTEN)
@pytest.mark.parametrize(("function", "random"), [("glmer", " + (1 | g)"), ("glmer", ""), ("glm", "")])
def test_a_forgotten_family(function, random, response, options, family):
    call, formula, data = getattr(mm, function), f"{response} ~ x{random}", table()
    with pytest.warns(mm.DataWarning, match=f"{function}.* was given no family.*family='{family}'") as caught:
        gaussian = call(formula, data, **options)
    assert caught[0].filename == __file__
    same = call(formula, data, "gaussian", **options)  # said, so no warning
    assert gaussian.loglik() == same.loglik()
    call(formula, data, family, **options)


@pytest.mark.parametrize("response", ["y", "whole", "share"])
def test_responses_that_suit_a_gaussian_model(response):
    mm.glmer(f"{response} ~ x + (1 | g)", table())
    mm.glm(f"{response} ~ x", table())


def test_a_factor_is_refused():
    for call, formula in ((mm.glmer, "yes ~ x + (1 | g)"), (mm.lmer, "yes ~ x + (1 | g)")):
        with pytest.raises(mm.DataError, match="family='binomial'"):
            call(formula, table())


@pytest.mark.parametrize(
    "family", ["poisson", "binomial", mm.poisson(), mm.negative_binomial(2.0), "gaussian", "quasipoisson"]
)
def test_glmer_nb_fits_negative_binomials_only(family):
    with pytest.raises(mm.ControlError, match=r"glmer_nb.. fits a negative binomial.*mm\.nbinom2\(link"):
        mm.glmer_nb("count ~ x + (1 | g)", table(), family=family)


def test_glmer_nb_with_its_families():
    rng = np.random.default_rng(3)
    data = table()
    data["nb"] = rng.negative_binomial(2, 0.3, len(data))
    default = mm.glmer_nb("nb ~ x + (1 | g)", data)
    assert default.family().name == "nbinom2"
    sqrt = mm.glmer_nb("nb ~ x + (1 | g)", data, mm.nbinom2(link="sqrt"))
    assert sqrt.family().link.name == "sqrt"
    linear = mm.glmer_nb("nb ~ x + (1 | g)", data, "nbinom1")
    assert linear.family().name == "nbinom1"
    weighted = mm.glmer_nb("nb ~ x + (1 | g)", data, weights="trials", subset="x < 2", offset="0.1 * x")
    assert weighted.nobs() < default.nobs()
