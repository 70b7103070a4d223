"""Fits with structures of every kind: log-likelihoods of nlme (reference2/nlme_*.json) and glmmTMB."""

import numpy as np
import pytest

import mixedmodels as mm

# nlme stops where the relative change is 1e-6 or so; these were made with tight control: see `spread` there.
LOGLIK = 1e-6
CYCLE = "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)"
GLS = [
    ("BodyWeight", "weight ~ Time * Diet", "arma(1 | Rat, p = 1, q = 1)", None, False, -573.0931825542311),
    ("ergoStool", "effort ~ Type", "cs(1 | Subject)", None, True, -60.565394350999604),
    ("Orthodont", "distance ~ Sex * I(age - 11)", "us(age | Subject)", None, False, -209.73852405499545),
    ("Ovary", CYCLE, "exp(Time | Mare, nugget = TRUE)", None, True, -774.1709087273779),
    ("Ovary", CYCLE, "gau(Time | Mare, nugget = TRUE)", None, False, -785.4113812240428),
    ("Ovary", CYCLE, "spher(Time | Mare, nugget = TRUE)", None, True, -775.7179901674052),
    ("RatPupWeight", "weight ~ Treatment + sex + Lsize", "cs(1 | Litter)", "ident(Treatment)", True,
     -179.2846011041371),
]  # fmt: skip
LME = [
    ("BodyWeight", "weight ~ Time * Diet + (Time | Rat)", "gau(Time | Rat)", None, False, -574.6614442340299),
    ("Early", "cog ~ age * trt + (1 | id)", "ar1(1 | id)", None, True, -1181.6206093295923),
    ("dietox", "Weight ~ Time * Cu + (Time || Pig)", "ar1(Time | Pig)", None, True, -2051.0258425545353),
    ("Orthodont", "distance ~ age * Sex + (1 | Subject)", None, "ident(Sex) * exp(age)", True,
     -207.01105510583716),
    ("RatPupWeight", "weight ~ Treatment * sex + Lsize + (1 | Litter)", None, "ident(sex * Treatment)", True,
     -177.78362520672727),
    ("CO2", "uptake ~ log(conc) + Type * Treatment + (1 | Plant)", None, "fixed(conc)", True,
     -254.87656986777813),
    # glmmTMB(..., dispformula = ~ Sex), ~ Sex + age
    ("Orthodont", "distance ~ age * Sex + (1 | Subject)", None, "~ Sex", True, -207.610239786),
    ("Orthodont", "distance ~ age * Sex + (1 | Subject)", None, "~ Sex + age", False, -204.078861796),
]  # fmt: skip


def arguments(residual, dispersion):
    pairs = (("residual", residual), ("dispersion", dispersion))
    return {name: text for name, text in pairs if text is not None}


@pytest.mark.parametrize(("dataset", "formula", "residual", "dispersion", "reml", "loglik"), GLS)
def test_generalized_least_squares(dataset, formula, residual, dispersion, reml, loglik):
    data = mm.load_dataset(dataset)
    m = mm.gls(formula, data, REML=reml, **arguments(residual, dispersion))
    assert m.loglik() == pytest.approx(loglik, abs=LOGLIK)


@pytest.mark.parametrize(("dataset", "formula", "residual", "dispersion", "reml", "loglik"), LME)
def test_beside_random_effects(dataset, formula, residual, dispersion, reml, loglik):
    data = mm.load_dataset(dataset)
    m = mm.lmer(formula, data, REML=reml, **arguments(residual, dispersion))
    assert m.loglik() == pytest.approx(loglik, abs=LOGLIK)


@pytest.mark.parametrize(
    "text", ["ar1(order | Mare)", "car1(Time | Mare)", "mat(Time | Mare)", "toep(k | Mare)"]
)
def test_order_of_rows_units_and_labels_change_nothing(text):
    data = mm.load_dataset("Ovary")
    data["order"] = data.groupby("Mare", observed=True)["Time"].rank()
    data["k"] = data["order"].clip(upper=12)
    if "k |" in text:
        data = data[data["order"] <= 12]
    other = data.sample(frac=1.0, random_state=7)
    other["order"] *= 7.0
    other["Mare"] = "mare " + other["Mare"].astype(str)
    m = mm.gls("follicles ~ 1", data, residual=text)
    if "Time" in text:
        other["Time"] *= 86400.0
    n = mm.gls("follicles ~ 1", other, residual=text)
    assert n.loglik() == pytest.approx(m.loglik(), abs=1e-7)
    np.testing.assert_allclose(n.fixef(), m.fixef(), rtol=1e-5)
