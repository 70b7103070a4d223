"""Likelihoods that are not comparable are refused by anova() and warned of by AIC() and BIC()."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
NULL = "cbind(incidence, size - incidence) ~ 1 + (1 | herd)"
PROBIT = mm.binomial(link="probit")


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"nAGQ": 9}, {}, "MODEL1 has nAGQ=9.*MODEL2 has nAGQ=1.*Refit"),
        ({"nAGQ": 0}, {}, "nAGQ=0"),
        ({"nAGQ": "auto"}, {"nAGQ": 9}, "nAGQ='auto'"),
        ({"family": PROBIT, "hessian": "expected"}, {"family": PROBIT}, "hessian='expected'"),
        ({"family": PROBIT, "hessian": "expected"}, {"family": "binomial"}, "hessian='expected'"),
    ],
)
def test_different_approximations(one, other, words, data):
    models = [
        mm.glmer(f, data("cbpp"), **{"family": "binomial"} | options)
        for f, options in ((NULL, one), (CBPP, other))
    ]
    with pytest.raises(mm.ControlError, match=words):
        mm.anova(*models)
    with pytest.warns(mm.DataWarning, match=words):
        mm.AIC(*models)
    with pytest.warns(mm.DataWarning, match="not comparable"):
        mm.BIC(*models)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"nAGQ": "auto"}, {"nAGQ": "auto"}),
        ({"hessian": "expected"}, {}),  # the same for a canonical link
        ({"family": PROBIT}, {"family": "binomial"}),
        ({"nAGQ": 9}, {"nAGQ": 9}),
    ],
)
def test_equal_approximations(one, other, data):
    models = [
        mm.glmer(f, data("cbpp"), **{"family": "binomial"} | options)
        for f, options in ((NULL, one), (CBPP, other))
    ]
    assert mm.anova(*models)["Df"].iloc[1] == 3
    assert mm.AIC(*models)["df"].tolist() == [2, 5]


def test_a_glm_goes_with_every_approximation(fitted, data):
    glm = mm.glm(CBPP.removesuffix(" + (1 | herd)"), data("cbpp"), family="binomial")
    for nodes in (1, 9, "auto"):
        mixed = mm.glmer(CBPP, data("cbpp"), family="binomial", nAGQ=nodes)
        assert mm.anova(glm, mixed)["Chisq"].iloc[1] > 5.0


def test_equally_many_but_different_rows():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": np.tile([0.0, 1.0], 30), "x": rng.normal(size=60), "z": rng.normal(size=60)})
    frame["g"] = np.repeat(list("abcdef"), 10)
    frame.loc[0:1, "x"] = frame.loc[2:3, "z"] = np.nan
    models = [mm.glmer(f"y ~ {v} + (1 | g)", frame, family="binomial") for v in "xz"]
    with pytest.raises(mm.DataError, match="same rows"):
        mm.anova(*models)
    with pytest.warns(mm.DataWarning, match="same rows"):
        mm.AIC(*models)
    halves = [mm.glmer("y ~ 1 + (1 | g)", frame, "binomial", subset=f"g {sign} 'c'") for sign in ("<=", ">")]
    with pytest.raises(mm.DataError, match="same rows"):
        mm.anova(*halves)


def test_an_information_that_does_not_exist_is_refused(data):
    with pytest.raises(mm.ControlError, match=r"betabinomial.*leave hessian out"):
        mm.glmer(CBPP, data("cbpp"), family="betabinomial", hessian="expected")
