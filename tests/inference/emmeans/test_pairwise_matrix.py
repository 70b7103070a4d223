"""Squares of means, adjustments across families, simple contrasts of each factor: against R's emmeans 1.8.4.

d <- as.data.frame(nlme::Oats); d$nitro <- factor(d$nitro); d$Variety <- factor(d$Variety, ordered = FALSE)
m <- lmer(yield ~ nitro * Variety + (1 | Block/Variety), d)
pwpm(emmeans(m, "nitro")); pwpm(emmeans(m, "nitro"), reverse = TRUE, adjust = "holm")
pwpm(emmeans(m, "nitro"), means = FALSE, diffs = FALSE); pwpm(emmeans(m, ~ Variety | nitro))
summary(pairs(emmeans(m, ~ Variety | nitro)), cross.adjust = "sidak")$p.value   # "holm", "BH": adjust "none"
contrast(emmeans(m, ~ nitro * Variety), "consec", simple = "each")
"""

import pickle

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.emmeans.adjustment import CROSS_METHODS, adjusted_p_values

# The degrees of freedom of R's Satterthwaite method are those of numerical derivatives.
R_DIGITS = 1e-5

OF_NITRO = """\
          0     0.2     0.4     0.6
0   [ 79.4]  0.0004  <.0001  <.0001
0.2  -19.50 [ 98.9]  0.0064  <.0001
0.4  -34.83  -15.33 [114.2]  0.1797
0.6  -44.00  -24.50   -9.17 [123.4]

Row and column labels: nitro
Upper triangle: P values   adjust = “tukey”
Diagonal: [Estimates] (emmean)
Lower triangle: Comparisons (estimate)   earlier vs. later"""

REVERSED = """\
          0     0.2     0.4     0.6
0   [ 79.4]  0.0002  <.0001  <.0001
0.2   19.50 [ 98.9]  0.0024  <.0001
0.4   34.83   15.33 [114.2]  0.0446
0.6   44.00   24.50    9.17 [123.4]

Row and column labels: nitro
Upper triangle: P values   adjust = “holm”
Diagonal: [Estimates] (emmean)
Lower triangle: Comparisons (estimate)   later vs. earlier"""

P_VALUES = """\
       0.2    0.4    0.6
0   0.0004 <.0001 <.0001
0.2        0.0064 <.0001
0.4               0.1797

Row and column labels: nitro
Upper triangle: P values   adjust = “tukey”"""

IN_FAMILIES = """\

nitro = 0
            Golden Rain Marvellous Victory
Golden Rain      [80.0]     0.7733  0.6600
Marvellous        -6.67     [86.7]  0.2777
Victory            8.50      15.17  [71.5]

nitro = 0.2
            Golden Rain Marvellous Victory
Golden Rain     [ 98.5]     0.5645  0.6387
Marvellous       -10.00    [108.5]  0.1453
Victory            8.83      18.83 [ 89.7]"""


@pytest.fixture(scope="module")
def oats():
    data = mm.load_dataset("Oats")
    data["nitro"] = data["nitro"].astype("category")
    return mm.lmer("yield ~ nitro * Variety + (1 | Block/Variety)", data)


def lines(table):
    return [line.rstrip() for line in str(table).splitlines()]


def test_squares_print_as_in_r(oats):
    means = mm.emmeans(oats, "nitro")
    assert lines(means.pwpm()) == OF_NITRO.splitlines()
    assert lines(means.pwpm(reverse=True, adjust="holm")) == REVERSED.splitlines()
    assert lines(means.pwpm(means=False, diffs=False)) == P_VALUES.splitlines()
    in_families = lines(mm.emmeans(oats, "~ Variety | nitro").pwpm())
    assert in_families[: len(IN_FAMILIES.splitlines())] == IN_FAMILIES.splitlines()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_squares_hold_the_numbers_of_means_and_pairs(oats, reverse, flip):
    means = mm.emmeans(oats, ["Variety"], by="nitro")
    squares = means.pwpm(reverse=reverse, flip=flip, adjust="none")
    pairs = means.pairs(reverse=reverse, adjust="none").to_frame()
    assert list(squares) == [f"nitro = {n}" for n in ("0", "0.2", "0.4", "0.6")]
    for (heading, square), (_, emmean) in zip(
        squares.items(), means.to_frame().groupby("nitro", observed=True), strict=True
    ):
        np.testing.assert_allclose(np.diag(square), emmean["emmean"])
        mine = pairs[pairs["nitro"].astype(str) == heading.removeprefix("nitro = ")].set_index("contrast")
        upper, lower = (square.T, square) if flip else (square, square.T)
        for i, first in enumerate(square):
            for later in square.columns[i + 1 :]:
                row = mine.loc[f"{later} - {first}" if reverse else f"{first} - {later}"]
                assert upper.loc[first, later] == row["p.value"]
                assert lower.loc[first, later] == row["estimate"]


def test_squares_of_ratios_say_so():
    m = mm.glm("cbind(incidence, size - incidence) ~ period", mm.load_dataset("cbpp"), family="binomial")
    means = mm.emmeans(m, "period")
    text = repr(squares := means.pwpm(type="response"))
    assert "null = 1  adjust = “tukey”" in text and "(prob)   type = “response”" in text
    assert "(odds.ratio)   earlier vs. later" in text
    assert squares[""].iloc[1, 0] == means.pairs(type="response").summary()["odds.ratio"].iloc[0]
    assert repr(pickle.loads(pickle.dumps(squares))) == text
    assert squares._repr_html_().startswith("<div")


SIDAK = [
    0.997356447582, 0.986629849310, 0.727787887390, 0.964018806529, 0.982965987846, 0.466420443496,
    0.999998356813, 0.999954773685, 0.998153740981, 0.999999716477, 0.998153740981, 0.988217510437,
]  # fmt: skip
HOLM = [1, 1, 0.386687077939, 1, 1, 0.247755481755, 1, 1, 0.795529265062, 1, 1, 0.795529265062]
BH = [
    0.838275082502, 0.692512465717, 0.257791385293, 0.838275082502, 0.692512465717, 0.247755481755,
    0.838275082502, 0.695924407297, 0.519384349287, 0.838275082502, 0.692512465717, 0.519384349287,
]  # fmt: skip


@pytest.mark.parametrize(
    ("adjust", "cross", "expected"), [("tukey", "sidak", SIDAK), ("none", "holm", HOLM), ("none", "BH", BH)]
)
def test_p_values_adjusted_across_families_against_r(oats, adjust, cross, expected):
    pairs = mm.emmeans(oats, "~ Variety | nitro").pairs(adjust=adjust)
    found = pairs.summary(cross_adjust=cross)
    np.testing.assert_allclose(found["p.value"], expected, rtol=R_DIGITS)
    assert f"Cross-group P-value adjustment: {cross}" in repr(found)
    np.testing.assert_array_equal(pairs.test(cross_adjust=cross)["p.value"], found["p.value"])
    means = mm.emmeans(oats, "~ Variety | nitro")
    again = means.pairs(adjust=adjust, cross_adjust=cross).summary()
    np.testing.assert_array_equal(again["p.value"], found["p.value"])


@pytest.mark.parametrize("method", CROSS_METHODS)
def test_adjustment_across_families_takes_the_same_place_of_each(oats, method):
    pairs = mm.emmeans(oats, "~ nitro | Variety").pairs(adjust="none")
    plain = pairs.summary()["p.value"].to_numpy().reshape(3, 6)
    found = pairs.summary(cross_adjust=method)["p.value"].to_numpy().reshape(3, 6)
    for place in range(6):
        np.testing.assert_allclose(found[:, place], adjusted_p_values(plain[:, place], method))


def test_one_family_needs_no_adjustment_across(oats):
    pairs = mm.emmeans(oats, "nitro").pairs()
    assert repr(pairs.summary(cross_adjust="holm")) == repr(pairs.summary())


def test_adjustment_across_families_of_one_size_alone(oats):
    data = mm.load_dataset("Oats").astype({"Block": str})
    data["kind"] = np.where(data["Block"].isin(["I", "II"]), "two", "four")
    with pytest.warns(mm.DataWarning, match="rank deficient"):
        m = mm.lm("yield ~ kind/Block", data)
    pairs = mm.emmeans(m, "~ Block | kind").pairs()
    assert pairs.to_frame().groupby("kind").size().tolist() == [6, 1]
    with pytest.raises(mm.ControlError, match="different numbers of tests"):
        pairs.summary(cross_adjust="holm")
    with pytest.raises(mm.ControlError, match="cross_adjust"):
        mm.emmeans(oats, "~ Variety | nitro").pairs(cross_adjust="tukey")


def test_simple_contrasts_of_each_factor_in_turn(oats):
    means = mm.emmeans(oats, "~ nitro * Variety")
    found = means.contrast("consec", simple="each", adjust="none")
    assert list(found) == ["simple contrasts for nitro", "simple contrasts for Variety"]
    for name in ("nitro", "Variety"):
        alone = means.contrast("consec", simple=name, adjust="none")
        assert repr(found[f"simple contrasts for {name}"]) == repr(alone)
    # R: 2.408, 2.104, 1.323 of the first family; 0.686, -1.561.
    first, second = (table.to_frame() for table in found.values())
    np.testing.assert_allclose(first["t.ratio"].iloc[:3], [2.408, 2.104, 1.323], atol=5e-4)
    np.testing.assert_allclose(second["t.ratio"].iloc[:2], [0.686, -1.561], atol=5e-4)
    text = repr(found)
    assert text.startswith("$`simple contrasts for nitro`\nVariety = Golden Rain:")
    assert "\n\n$`simple contrasts for Variety`\nnitro = 0:" in text
    assert repr(pickle.loads(pickle.dumps(found))) == text


def test_simple_contrasts_of_sets():
    # R: contrast(emmeans(lm(breaks ~ wool * tension, warpbreaks), ~ wool * tension), "consec",
    #    simple = list("wool", c("wool", "tension"))) names its tables so.
    data = mm.load_dataset("Oats")
    data["nitro"] = data["nitro"].astype("category")
    means = mm.emmeans(mm.lm("yield ~ nitro * Variety", data), "~ nitro * Variety")
    found = means.pairs(simple=[["nitro"], ["nitro", "Variety"]])
    assert list(found) == ["simple contrasts for nitro", "simple contrasts for nitro*Variety"]
    assert repr(found["simple contrasts for nitro*Variety"]) == repr(means.pairs(by=[]))


def test_specs_as_lists_and_formulas_say_the_same(oats):
    by_list = mm.emmeans(oats, ["Variety"], by=["nitro"])
    by_formula = mm.emmeans(oats, "pairwise ~ Variety | nitro")
    assert repr(by_formula.emmeans) == repr(by_list)
    assert repr(by_formula.contrasts) == repr(by_list.pairs())
    assert repr(mm.emmeans(oats, ["nitro", "Variety"])) == repr(mm.emmeans(oats, "~ nitro * Variety"))
