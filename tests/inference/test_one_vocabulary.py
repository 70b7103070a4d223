"""Tables have one vocabulary: they print, show themselves in a notebook and have ``to_frame()``."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

import mixedmodels as mm

OATS = mm.load_dataset("Oats")
SPLIT = mm.lmer("yield ~ Variety * factor(nitro) + (1 | Block/Variety)", OATS)
DYES = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
CBPP = mm.glmer(
    "cbind(incidence, size - incidence) ~ period + (1 | herd)", mm.load_dataset("cbpp"), family="binomial"
)

TABLES = {
    "summary": lambda: SPLIT.summary(),
    "anova": lambda: SPLIT.anova(),
    "Anova": lambda: mm.Anova(CBPP),
    "drop1": lambda: mm.drop1(SPLIT, test="F"),
    "ranova": lambda: mm.ranova(DYES),
    "linear_hypothesis": lambda: mm.linear_hypothesis(SPLIT, "VarietyVictory"),
    "hypotheses": lambda: mm.hypotheses(SPLIT),
    "exact_rlrt": lambda: mm.exact_rlrt(DYES, nsim=50, rng=1),
    "confint": lambda: DYES.confint(method="Wald"),
    "profile": lambda: mm.profile(DYES, ".sigma"),
    "bootstrap": lambda: mm.bootstrap(DYES, nsim=5, rng=1),
    "kr_modcomp": lambda: mm.kr_modcomp(DYES, [[1.0]]),
    "vcov": lambda: SPLIT.vcov("CR2"),
    "pool": lambda: mm.pool([DYES, DYES]),
    "emmeans": lambda: SPLIT.emmeans("Variety"),
    "emmeans_by": lambda: SPLIT.emmeans("Variety", by="nitro").summary(),
    "pairs": lambda: SPLIT.emmeans("Variety").pairs(),
    "pairwise": lambda: SPLIT.emmeans("pairwise ~ Variety"),
    "simple": lambda: SPLIT.emmeans(["Variety", "nitro"]).contrast("eff", simple="each"),
    "letters": lambda: SPLIT.emmeans("Variety").cld(),
    "pwpm": lambda: SPLIT.emmeans("Variety", by="nitro").pwpm(),
    "joint_tests": lambda: mm.joint_tests(SPLIT),
    "marginal_coefs": lambda: mm.marginal_coefs(CBPP),
    "marginal_effects": lambda: mm.average_marginal_effects(CBPP),
    "compare": lambda: mm.compare(CBPP),
    "VarCorr": lambda: SPLIT.VarCorr(),
    "ranef": lambda: SPLIT.ranef(),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_prints_and_becomes_a_frame(name):
    table = TABLES[name]()
    frame = table.to_frame()
    assert type(frame) is pd.DataFrame and len(frame)
    assert str(table) == repr(table)
    assert "..." not in repr(table) or name == "vcov"  # a matrix, which prints as pandas prints it
    assert table._repr_html_().startswith(("<div", "<table", "<p"))
    assert repr(pickle.loads(pickle.dumps(table))) == repr(table)


def test_the_frame_has_the_numbers_and_is_a_copy():
    table = SPLIT.anova()
    frame = table.to_frame()
    pd.testing.assert_frame_equal(frame, pd.DataFrame(table))
    frame.iloc[0, 0] = -1.0
    assert table.iloc[0, 0] > 0.0
    assert repr(frame) != repr(table)


def test_tables_of_several_parts_are_stacked():
    L = mm.hypotheses(SPLIT).to_frame()
    assert L.index.names == ["term", "row"]
    assert L.groupby("term", sort=False).size().to_dict() == {
        "Variety": 2, "factor(nitro)": 3, "Variety:factor(nitro)": 6,
    }  # fmt: skip
    squares = SPLIT.emmeans("Variety", by="nitro").pwpm()
    stacked = squares.to_frame()
    assert stacked.index.names == ["family", "mean"] and len(stacked) == 12
    pd.testing.assert_frame_equal(stacked.loc["nitro = 0.2"], squares["nitro = 0.2"], check_names=False)
