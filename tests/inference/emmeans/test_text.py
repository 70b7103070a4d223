"""Printed tables are R's, line by line; what is asked wrongly gets one clear error."""

import pickle

import numpy as np
import pytest

import mixedmodels as mm

# R 4.2.2, emmeans 1.8.4-1, with lmer.df = "satterthwaite"; its lines end in a blank, which is left out here.
MEANS = """\
nitro = 0.0:
 Variety     emmean   SE   df lower.CL upper.CL
 Golden Rain   80.0 9.11 16.1     60.7     99.3
 Marvellous    86.7 9.11 16.1     67.4    106.0
 Victory       71.5 9.11 16.1     52.2     90.8

nitro = 0.6:
 Variety     emmean   SE   df lower.CL upper.CL
 Golden Rain  124.8 9.11 16.1    105.5    144.1
 Marvellous   126.8 9.11 16.1    107.5    146.1
 Victory      118.5 9.11 16.1     99.2    137.8

Degrees-of-freedom method: satterthwaite
Confidence level used: 0.95"""
PAIRS = """\
nitro = 0.0:
 contrast                 estimate   SE   df t.ratio p.value
 Golden Rain - Marvellous    -6.67 9.72 30.2  -0.686  0.7733
 Golden Rain - Victory        8.50 9.72 30.2   0.875  0.6600
 Marvellous - Victory        15.17 9.72 30.2   1.561  0.2777

nitro = 0.6:
 contrast                 estimate   SE   df t.ratio p.value
 Golden Rain - Marvellous    -2.00 9.72 30.2  -0.206  0.9769
 Golden Rain - Victory        6.33 9.72 30.2   0.652  0.7927
 Marvellous - Victory         8.33 9.72 30.2   0.858  0.6705

Degrees-of-freedom method: satterthwaite
P value adjustment: tukey method for comparing a family of 3 estimates"""
POLYNOMIALS = """\
 contrast  estimate    SE df t.ratio p.value
 linear       147.3 14.03 45  10.503  <.0001
 quadratic    -10.3  6.27 45  -1.647  0.1065
 cubic         -2.0 14.03 45  -0.143  0.8873

Results are averaged over the levels of: Variety
Degrees-of-freedom method: satterthwaite"""
EFFECTS = """\
 contrast        estimate   SE df t.ratio p.value
 nitro0 effect     -24.58 2.72 45  -9.050  <.0001
 nitro0.2 effect    -5.08 2.72 45  -1.871  0.0678
 nitro0.4 effect    10.25 2.72 45   3.773  0.0006
 nitro0.6 effect    19.42 2.72 45   7.148  <.0001

Results are averaged over the levels of: Variety
Degrees-of-freedom method: satterthwaite
P value adjustment: fdr method for 4 tests"""
JOINT = """\
 model term    df1 df2 F.ratio p.value
 nitro           3  45  37.686  <.0001
 Variety         2  10   1.485  0.2724
 nitro:Variety   6  45   0.303  0.9322"""
RATIOS = """\
 contrast          odds.ratio    SE  df null z.ratio p.value
 period1 / period2       2.70 0.827 Inf    1   3.236  0.0066
 period1 / period3       3.09 1.010 Inf    1   3.455  0.0031
 period1 / period4       4.86 2.076 Inf    1   3.697  0.0012
 period2 / period3       1.15 0.436 Inf    1   0.358  0.9843
 period2 / period4       1.80 0.847 Inf    1   1.250  0.5947
 period3 / period4       1.57 0.761 Inf    1   0.933  0.7873

P value adjustment: tukey method for comparing a family of 4 estimates
Tests are performed on the log odds ratio scale"""
PROBABILITIES = """\
 period   prob     SE  df asymp.LCL asymp.UCL
 1      0.1980 0.0369 Inf    0.1354     0.280
 2      0.0839 0.0238 Inf    0.0475     0.144
 3      0.0740 0.0226 Inf    0.0401     0.132
 4      0.0484 0.0198 Inf    0.0214     0.106

Confidence level used: 0.95
Intervals are back-transformed from the logit scale"""


@pytest.fixture(scope="module")
def oats():
    return mm.lmer("yield ~ factor(nitro) * Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))


@pytest.fixture(scope="module")
def slopes():
    return mm.lmer("yield ~ nitro * Variety + (1 | Block/Variety)", mm.load_dataset("Oats"))


def test_means_by_another_factor(oats):
    both = oats.emmeans("pairwise ~ Variety | nitro", at={"nitro": [0, 0.6]})
    assert repr(both.emmeans) == MEANS
    assert repr(both.contrasts) == PAIRS
    assert repr(both) == f"$emmeans\n{MEANS}\n\n$contrasts\n{PAIRS}"
    assert "<table>" in both.emmeans._repr_html_()


def test_contrasts(oats):
    means = mm.emmeans(oats, "nitro")
    assert "NOTE: Results may be misleading due to involvement in interactions" in repr(means)
    assert repr(means.contrast("poly")) == POLYNOMIALS
    assert repr(means.contrast()) == EFFECTS


def test_joint_tests(oats):
    assert repr(oats.joint_tests()) == JOINT


def test_odds_ratios_and_probabilities():
    # The numbers of an exact optimum: R prints standard errors of a noisy one (0.817 for 0.827).
    m = mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mm.load_dataset("cbpp"), "binomial"
    )
    assert repr(m.emmeans("period", type="response")) == PROBABILITIES
    assert repr(m.emmeans("period", type="response").pairs()) == RATIOS


def test_tables_are_data_frames_and_survive_pickling(oats):
    means = mm.emmeans(oats, "Variety")
    frame = means.to_frame()
    assert type(frame).__name__ == "DataFrame"
    assert frame.columns.tolist() == ["Variety", "emmean", "SE", "df", "lower.CL", "upper.CL"]
    assert len(means) == 3
    assert repr(pickle.loads(pickle.dumps(means))) == repr(means)
    V = means.vcov()
    np.testing.assert_allclose(np.sqrt(np.diag(V)), frame["SE"], rtol=1e-12)


def test_a_family_can_be_all_rows(oats):
    pairs = oats.emmeans("~ Variety | nitro").pairs()
    assert "for comparing a family of 3" in repr(pairs)
    assert "sidak method for 12 tests" in repr(pairs.summary(by=[]))
    assert len(oats.emmeans("~ Variety | nitro").pairs(by=[])) == 66


ERRORS = [
    (lambda m: m.emmeans("variety"), mm.ControlError, "no variable 'variety'; they have nitro, Variety"),
    (lambda m: m.emmeans("Block"), mm.ControlError, r"no variable 'Block'.*ranef"),
    (lambda m: m.emmeans(3), mm.ControlError, "specs must be the name of a variable"),
    (
        lambda m: m.emmeans("Variety", at={"Variety": "Golden"}),
        mm.DataError,
        "'Golden' that factor Variety does",
    ),
    (lambda m: m.emmeans("Variety", at={"nitr": 0}), mm.ControlError, "at names 'nitr'"),
    (lambda m: m.emmeans("Variety", at={"nitro": "much"}), mm.DataError, "at must have numbers for nitro"),
    (lambda m: m.emmeans("Variety", at={"nitro": []}), mm.ControlError, "at has no value for nitro"),
    (lambda m: m.emmeans("Variety", at=["nitro"]), mm.ControlError, "at must be a dict"),
    (lambda m: m.emmeans("Variety", weights="counts"), mm.ControlError, "weights must be one of 'equal'"),
    (lambda m: m.emmeans("Variety", weights=[1, 2]), mm.ControlError, "weights has 2 numbers; it needs 1"),
    (lambda m: m.emmeans("Variety", level=95), mm.ControlError, "level must lie between 0 and 1"),
    (lambda m: m.emmeans("Variety", type="resp"), mm.ControlError, "type must be one of 'link', 'response'"),
    (lambda m: m.emmeans("Variety", adjust="tuckey"), mm.ControlError, "adjust must be one of"),
    (lambda m: m.emmeans("Variety", offset="a"), mm.ControlError, "offset must be a number"),
    (lambda m: m.emmeans("Variety", lmer_df="z"), mm.UnknownArgumentError, "no argument 'lmer_df'"),
    (lambda m: mm.emmeans([], "Variety"), mm.NotAvailableError, "needs a fitted model"),
    (lambda m: m.emmeans("Variety").contrast("pair"), mm.ControlError, "method must be one of 'pairwise'"),
    (
        lambda m: m.emmeans("Variety").contrast([1, -1]),
        mm.ControlError,
        "has 2 coefficients; there are 3 means",
    ),
    (lambda m: m.emmeans("Variety").contrast({}), mm.ControlError, "there is no contrast"),
    (lambda m: m.emmeans("Variety").contrast({"a": "b"}), mm.ControlError, "must have numbers"),
    (lambda m: m.emmeans("Variety").contrast("dunnett", ref="x"), mm.ControlError, "ref='x' is no level"),
    (lambda m: m.emmeans("Variety").contrast("poly", ref=1), mm.ControlError, "have no option 'ref'"),
    (lambda m: m.emmeans("Variety").pairs(by="x"), mm.ControlError, "by names 'x'"),
    (lambda m: m.emmeans("Variety").pairs(by="Variety"), mm.ControlError, "nothing to contrast"),
    (lambda m: m.emmeans("nitro").pairs(), mm.ControlError, "one mean only"),
    (
        lambda m: m.emmeans("Variety").summary(infer="yes"),
        mm.ControlError,
        "infer must be True, False or a pair",
    ),
    (lambda m: m.emmeans("Variety").test(side="left"), mm.ControlError, "side must be one of"),
    (lambda m: m.emmeans("Variety").test(null="0"), mm.ControlError, "null must be a number"),
    (lambda m: m.emmeans("Variety").cld(alpha=5), mm.ControlError, "alpha must lie between"),
    (lambda m: m.emmeans("Variety").eff_size(0.0, 3), mm.ControlError, "sigma must be positive"),
    (lambda m: m.emtrends("Variety", "Variety"), mm.ControlError, "var='Variety' is a factor"),
    (lambda m: m.emtrends("Variety", "dose"), mm.ControlError, "covariates are nitro"),
    (lambda m: m.joint_tests(by="x"), mm.ControlError, "no variable 'x'"),
    (lambda m: m.joint_tests(by=["nitro", "Variety"]), mm.ControlError, "at least one factor"),
    (lambda m: m.refitML().emmeans("Variety", ddf="kenward-roger"), mm.NotAvailableError, "REML"),
]


@pytest.mark.parametrize(("ask", "kind", "message"), ERRORS, ids=range(len(ERRORS)))
def test_what_is_asked_wrongly_gets_one_clear_error(slopes, ask, kind, message):
    with pytest.raises(kind, match=message):
        ask(slopes)


def test_bias_adjustment_of_a_mixed_model_needs_the_whole_spread():
    m = mm.lmer("log(yield) ~ Variety + (1 | Block)", mm.load_dataset("Oats"))
    with pytest.raises(mm.ControlError, match="root of the sum of its variances"):
        m.emmeans("Variety", type="response", bias_adjust=True).summary()
    sigma = 0.3
    plain = m.emmeans("Variety", type="response").to_frame()
    adjusted = m.emmeans("Variety", type="response", bias_adjust=True, sigma=sigma).to_frame()
    np.testing.assert_allclose(adjusted["response"], plain["response"] * (1 + sigma**2 / 2), rtol=1e-12)


def test_a_huge_grid_names_the_variable_that_makes_it():
    rng = np.random.default_rng(1)
    data = {"y": rng.normal(size=800), "x": np.arange(800.0), "z": np.arange(800.0)[::-1] ** 2}
    m = mm.lm("y ~ x + z", data)
    with pytest.raises(mm.ControlError, match=r"640000 cells.*x alone has 800 values"):
        m.emmeans("x", cov_keep=["x", "z"])
