"""A user's script that calls what users call, type-checked by tests/test_types.py and run by it too."""

from typing import assert_type

import numpy as np
import pandas as pd
from scipy import sparse

import mixedmodels as mm
from mixedmodels.formula.design.relationship import Precision
from mixedmodels.inference.anova import AnovaTable
from mixedmodels.inference.confint import ConfidenceIntervals
from mixedmodels.inference.emmeans.marginal_means import MarginalMeans
from mixedmodels.inference.emmeans.summary_table import EmmeansTable
from mixedmodels.inference.profile.result import Profile
from mixedmodels.inference.ranef import RandomEffects
from mixedmodels.inference.summary import Summary
from mixedmodels.inference.varcorr import VarCorr
from mixedmodels.models.stripped import StrippedModel
from mixedmodels.models.summed import SummedLinearMixedModel
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.sql.queries import MomentQueries

sleepstudy = mm.load_dataset("sleepstudy")
assert_type(sleepstudy, pd.DataFrame)

# Linear mixed models.
m = mm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, verbose=0)
m0 = mm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, REML=False, weights=None)
assert_type(m, mm.LinearMixedModel)
assert_type(m.ranef(), RandomEffects)
assert_type(mm.ranef(m), RandomEffects)
assert_type(m.ranef()["Subject"], pd.DataFrame)
assert_type(m.VarCorr(), VarCorr)
assert_type(mm.VarCorr(m), VarCorr)
assert_type(m.coef(), dict[str, pd.DataFrame])
assert_type(mm.coef(m), dict[str, pd.DataFrame])
assert_type(m.vcov("CR2"), pd.DataFrame)
assert_type(mm.vcov(m, "kenward-roger"), pd.DataFrame)
assert_type(m.summary(), Summary)
assert_type(mm.summary(m, ddf="kenward-roger"), Summary)
assert_type(m.summary().coefficients, pd.DataFrame)
assert_type(m.confint(method="Wald"), ConfidenceIntervals)
assert_type(mm.confint(m, parm="beta_", method="Wald", level=0.9), ConfidenceIntervals)
assert_type(m.convergence(), ConvergenceReport)
assert_type(mm.convergence(m).reasons, tuple[str, ...])
assert_type(m.optimization, OptimizationReport)
assert_type(m.sigma(), float)
assert_type(mm.sigma(m), float)
assert_type(mm.loglik(m), float)
assert_type(mm.logLik(m), float)
assert_type(mm.deviance(m), float)
assert_type(mm.REMLcrit(m), float)
assert_type(mm.AIC(m), float)
assert_type(mm.bic(m0, mm.refitML(m)), pd.DataFrame)
assert_type(mm.nobs(m), int)
assert_type(mm.df_residual(m), int)
assert_type(mm.ngrps(m), dict[str, int])
assert_type(mm.is_singular(m, tol=1e-4), bool)
assert_type(mm.isSingular(m), bool)
assert_type(mm.formula(m), str)
assert_type(mm.terms(m), list[str])
assert_type(mm.model_frame(m), pd.DataFrame)
assert_type(mm.refitML(m), mm.LinearMixedModel)
assert_type(mm.refit(m, sleepstudy["Reaction"] * 2), mm.LinearMixedModel)
assert_type(m.refit(np.ones(180) + sleepstudy["Reaction"]), mm.LinearMixedModel)
assert_type(m.anova(m0), AnovaTable)
assert_type(mm.anova(m0, m), AnovaTable)
assert_type(mm.ranova(m), AnovaTable)
assert_type(mm.drop1(m), AnovaTable)
assert_type(m.profile("beta_"), Profile)
assert_type(mm.profile(m0, "(Intercept)"), Profile)
assert_type(m.model_matrix(), pd.DataFrame)
assert_type(mm.model_matrix(m, "random"), sparse.csc_array)
assert_type(m.simulate(2, seed=1), pd.DataFrame)
assert_type(mm.simulate(m, 2, seed=1), pd.DataFrame)
DESIGN = {"x": [0.0, 1.0] * 20, "g": [k // 4 for k in range(40)]}
assert_type(mm.simulate("y ~ x + (1 | g)", DESIGN, nsim=3, beta=[1, 2], sd=1, sigma=2), pd.DataFrame)
assert_type(mm.update(m, ". ~ . - Days").ranef(), RandomEffects)
assert_type(mm.gls("Reaction ~ Days", sleepstudy).fixef(), "pd.Series[float]")
assert_type(mm.tidy(m), pd.DataFrame)
assert_type(mm.glance(m), pd.DataFrame)
assert_type(mm.augment(m), pd.DataFrame)
assert_type(m.tidy(), pd.DataFrame)
assert_type(mm.bootstrap(m0, nsim=5, rng=1), mm.Bootstrap)
assert_type(mm.influence(m0, "Subject"), mm.Influence)
assert_type(mm.scaled_residuals(m0, nsim=20, rng=1), mm.ScaledResiduals)
assert_type(m.strip(), StrippedModel)
assert_type(mm.regression_table([m0, m], "markdown"), str)
assert_type(mm.estfun(m0), pd.DataFrame)

# Rows: one number each.
for by_row in (m.fitted(), mm.residuals(m, "pearson", scaled=True), mm.hatvalues(m), mm.cooks_distance(m)):
    assert_type(by_row, "pd.Series[float]")
for by_name in (m.fixef(), mm.fixef(m, add_dropped=True), m.standard_errors(), m.theta(), mm.theta(m)):
    assert_type(by_name, "pd.Series[float]")
assert_type(m.predict(sleepstudy), "pd.Series[float]")
assert_type(mm.predict(m, sleepstudy, re_form=mm.NA, type="response"), "pd.Series[float]")
assert_type(m.predict(sleepstudy, se_fit=True), pd.DataFrame)
assert_type(m.predict(sleepstudy, interval="prediction"), pd.DataFrame)
assert_type(mm.predict(m, sleepstudy, interval="prediction"), pd.DataFrame)

# Marginal means.
oats = mm.lmer("yield ~ nitro + Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))
assert_type(mm.emmeans(oats, "Variety"), MarginalMeans)
assert_type(oats.emmeans("Variety"), MarginalMeans)
assert_type(mm.emmeans(oats, "Variety").pairs(), MarginalMeans)
assert_type(mm.emmeans(oats, "Variety").summary(), EmmeansTable)
assert_type(mm.emmeans(oats, "Variety").to_frame(), pd.DataFrame)
assert_type(mm.emtrends(oats, "Variety", var="nitro"), MarginalMeans)

# Generalized mixed models: what they are, the formula and the family decide.
cbpp = mm.load_dataset("cbpp")
TICKS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
g = mm.glmer(TICKS, cbpp, "binomial", nAGQ=5)
assert_type(g, mm.GeneralizedLinearMixedModel | mm.GeneralizedLinearModel | mm.LinearMixedModel)
assert_type(g.fixef(), "pd.Series[float]")
assert_type(g.summary(), Summary)
assert_type(mm.ranef(g), RandomEffects)
assert_type(mm.VarCorr(g), VarCorr)
assert isinstance(g, mm.GeneralizedLinearMixedModel)
assert_type(g.ranef(), RandomEffects)
assert_type(g.quadrature_sequence(), pd.DataFrame)
assert_type(g.vcov(method="rx"), pd.DataFrame)
assert_type(g.family_parameters(), "pd.Series[float]")
assert_type(mm.refit(g, cbpp["incidence"]), mm.GeneralizedLinearMixedModel)
pql = mm.glmer(TICKS, cbpp, mm.binomial(link="probit"), method="pql")
assert_type(pql, mm.QuasiLikelihoodMixedModel | mm.GeneralizedLinearModel)
nb = mm.glmer_nb("y ~ base + trt + (1 | subject)", mm.load_dataset("epil"))
assert_type(nb, mm.GeneralizedLinearMixedModel | mm.GeneralizedLinearModel)

# Models without random effects.
plain = mm.lm("Reaction ~ Days", sleepstudy)
assert_type(plain, mm.LinearModel)
assert_type(plain.coef(), "pd.Series[float]")
assert_type(mm.coef(plain), "pd.Series[float]")
assert_type(plain.predict(sleepstudy), "pd.Series[float]")
assert_type(plain.r_squared(adjusted=True), float)
assert_type(mm.glm("incidence / size ~ period", cbpp, "binomial", weights="size"), mm.GeneralizedLinearModel)
assert_type(mm.update(plain, ". ~ 1"), mm.LinearModel)

# Curves, marginal models, sums of rows, groups by themselves.
orange = mm.load_dataset("Orange")
curve = mm.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", orange)
assert_type(curve, mm.NonlinearMixedModel)
assert_type(curve.ranef(), RandomEffects)
assert_type(curve.predict(orange), "pd.Series[float]")
assert_type(curve.predict(orange, interval="confidence"), pd.DataFrame)
COUNTS = "circumference ~ a + b * log(age)"
counts = mm.nlmer(COUNTS, orange, random="a ~ 1 | Tree", start={"a": 3, "b": 0.2}, family="poisson")
assert_type(counts, mm.NonlinearMixedModel | mm.GeneralizedNonlinearMixedModel)
assert isinstance(counts, mm.GeneralizedNonlinearMixedModel)
assert_type(counts.ranef(), RandomEffects)
GROWTH = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
spread = mm.nlmer(GROWTH, orange, method="lindstrom-bates", dispersion="power(fitted)")
assert_type(spread, mm.StructuredNonlinearMixedModel)
ohio = mm.load_dataset("ohio")
marginal = mm.gee("resp ~ age + smoke", ohio, "id", "binomial", corr="exchangeable")
assert_type(marginal, mm.GeeModel)
assert_type(marginal.fixef(), "pd.Series[float]")
assert_type(marginal.vcov(), pd.DataFrame)
assert_type(mm.qic(marginal), pd.DataFrame)
sums = mm.moments("Reaction ~ Days + (Days | Subject)", [sleepstudy])
assert_type(sums, mm.Moments)
assert_type(mm.lmer(sums), SummedLinearMixedModel)
assert_type(mm.lmer(sums).fixef(), "pd.Series[float]")
assert_type(mm.moments_sql("Reaction ~ Days + (1 | Subject)", "trials"), MomentQueries)
assert_type(mm.moments_sql("Reaction ~ Days + (1 | Subject)", "trials")["all rows"], str)
assert_type(mm.lm_list("Reaction ~ Days | Subject", sleepstudy), mm.LmList)
assert_type(mm.lm_list("Reaction ~ Days | Subject", sleepstudy).coef(), pd.DataFrame)
unequal = mm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, dispersion="power(fitted)")
assert_type(unequal, mm.StructuredLinearMixedModel)
assert_type(mm.mmrm("Reaction ~ Days + us(Days | Subject)", sleepstudy.query("Days < 3")), mm.MmrmModel)
assert_type(mm.precision(np.eye(2), ["a", "b"]), Precision)
assert_type(
    mm.specify("y ~ x + (1 | g)", DESIGN, beta=[1, 2], sd=1, sigma=2).simulate(2, rng=1), pd.DataFrame
)
