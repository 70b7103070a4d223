"""Every result of a public function goes through pickle and prints the same when it comes back."""

import pickle

import pytest

import mixedmodels as mm

SLEEP = mm.load_dataset("sleepstudy")
CBPP = mm.load_dataset("cbpp")
BINOMIAL = "cbind(incidence, size - incidence) ~ period + (1 | herd)"

RESULTS = {
    "lmer": lambda m, g: m,
    "glmer": lambda m, g: g,
    "lm": lambda m, g: mm.lm("Reaction ~ Days", SLEEP),
    "glm": lambda m, g: mm.glm("incidence ~ period", CBPP, "poisson"),
    "pql": lambda m, g: mm.glmer(BINOMIAL, CBPP, "binomial", method="pql"),
    "strip": lambda m, g: m.strip(),
    "summary": lambda m, g: m.summary(),
    "VarCorr": lambda m, g: g.VarCorr(),
    "ranef": lambda m, g: m.ranef(),
    "confint": lambda m, g: m.confint(method="Wald"),
    "anova": lambda m, g: m.anova(),
    "Anova": lambda m, g: mm.Anova(g),
    "drop1": lambda m, g: m.drop1(test="F", ddf="satterthwaite"),
    "ranova": lambda m, g: m.ranova(),
    "compare": lambda m, g: mm.compare(m.refitML(), mm.lmer("Reaction ~ Days + (1 | Subject)", SLEEP, False)),
    "linear_hypothesis": lambda m, g: m.linear_hypothesis("Days = 10"),
    "hypotheses": lambda m, g: m.hypotheses(),
    "emmeans": lambda m, g: g.emmeans("period"),
    "emmeans pairs": lambda m, g: g.emmeans("period").pairs(),
    "emmeans summary": lambda m, g: g.emmeans("period").pairs().summary(),
    "emtrends": lambda m, g: m.emtrends("1", var="Days"),
    "joint_tests": lambda m, g: g.joint_tests(),
    "bootstrap": lambda m, g: mm.bootstrap(m, nsim=3, rng=1),
    "profile": lambda m, g: m.profile("beta_"),
    "profile of theta": lambda m, g: mm.lmer(
        "Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff")
    ).profile(),
    "profile of a family": lambda m, g: mm.glmer_nb(
        "y ~ lbase + (1 | subject)", mm.load_dataset("epil")
    ).profile("lbase"),
    "kr_modcomp": lambda m, g: mm.kr_modcomp(m, mm.lmer("Reaction ~ 1 + (Days | Subject)", SLEEP)),
    "exact_rlrt": lambda m, g: mm.exact_rlrt(
        mm.lmer("Reaction ~ Days + (1 | Subject)", SLEEP), nsim=100, rng=1
    ),
    "power": lambda m, g: mm.power(m, nsim=3, rng=1),
    "power_curve": lambda m, g: mm.power_curve(m, along="Subject", breaks=[5, 8], nsim=3, rng=1),
    "specify": lambda m, g: mm.specify("y ~ Days + (1 | Subject)", SLEEP, beta=[1, 2], sd=1, sigma=1),
    "vcov": lambda m, g: m.vcov("CR2"),
    "estfun": lambda m, g: mm.estfun(m),
    "marginal_coefs": lambda m, g: mm.marginal_coefs(g),
    "convergence": lambda m, g: m.convergence(),
    "optimization": lambda m, g: m.optimization,
    "family": lambda m, g: g.family(),
    "tidy": lambda m, g: m.tidy(),
    "glance": lambda m, g: g.glance(),
    "augment": lambda m, g: g.augment(),
}


@pytest.fixture(scope="module")
def fits():
    return (
        mm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP),
        mm.glmer(BINOMIAL, CBPP, "binomial"),
    )


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_goes_through_pickle(name, fits):
    result = RESULTS[name](*fits)
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    assert repr(again) == repr(result)
    for what in ("heading", "notes", "title"):
        assert getattr(again, what, None) == getattr(result, what, None)
