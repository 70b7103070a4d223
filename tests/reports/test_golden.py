"""Printed texts equal those of R and lme4 to the character; golden.R makes the texts in golden/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mixedmodels as mm

GOLDEN = Path(__file__).parent / "golden"
FITS = sorted(path.name.split(".")[0] for path in GOLDEN.glob("*.print.txt"))


def golden(name: str, what: str) -> list[str]:
    """Return the lines R printed, with our optimiser in place of lme4's and the place to ask here."""
    text = (GOLDEN / f"{name}.{what}.txt").read_text(encoding="utf-8").removesuffix("\n")
    note = "boundary (singular) fit: see m.convergence()"
    text = text.replace(" ; 0 optimizer warnings; 1 lme4 warnings ", f"\n{note}")
    text = text.replace("see help('isSingular')", "see m.convergence()")
    return re.sub(r"optimizer \(\w+\)", "optimizer (BFGS)", text).split("\n")


def ours(text: object) -> list[str]:
    """Return the lines we print, with a short name of the optimiser."""
    return re.sub(r"optimizer \([^)]*\)", "optimizer (BFGS)", str(text)).split("\n")


@pytest.mark.parametrize("name", FITS)
def test_print(name, fitted):
    assert ours(fitted(name)) == golden(name, "print")


@pytest.mark.parametrize("name", FITS)
def test_summary(name, fitted):
    text = str(fitted(name).summary(ddf=None))
    shown = text.split("\n\nCorrelation matrix not shown")[0]  # a message in R, not in its output
    assert ours(shown) == golden(name, "summary")


TESTED = sorted(
    path.stem.split(".")
    for path in [*GOLDEN.glob("*.satterthwaite.txt"), *GOLDEN.glob("*.kenward-roger.txt")]
)


@pytest.mark.parametrize(("name", "ddf"), TESTED)
def test_summary_with_tests(name, ddf, fitted):
    """lmerTest's, to which a note on parameters at a boundary is added."""
    text = str(fitted(name).summary(ddf=ddf))
    lines = [line for line in text.split("\n") if not line.startswith("at a boundary")]
    assert ours("\n".join(lines).split("\n\nCorrelation matrix not shown")[0]) == golden(name, ddf)


@pytest.mark.parametrize(
    ("name", "what", "options"),
    [
        ("sleepstudy", "VarCorr", {}),
        ("sleepstudy", "VarCorr_variance", {"comp": "Variance"}),
        ("sleepstudy", "VarCorr_both", {"comp": ("Variance", "Std.Dev.")}),
        ("machines", "VarCorr", {}),
    ],
)
def test_variance_components(name, what, options, fitted):
    assert fitted(name).VarCorr().to_string(**options).split("\n") == golden(name, what)


@pytest.mark.parametrize(
    ("name", "smaller", "larger"),
    [("sleepstudy", "sleepstudy_intercept", "sleepstudy"), ("cbpp", "cbpp_null", "cbpp")],
)
def test_comparison_of_models(name, smaller, larger, fitted, capsys):
    table = mm.anova(fitted(smaller), fitted(larger), model_names=["m1", "m2"])
    # What R does not print, the p-value that knows of the boundary, stands below its table.
    assert str(table).split("\nPr(>Chibar)")[0].split("\n") == golden(name, "anova")
    refits = name == "sleepstudy"
    assert capsys.readouterr().err == "refitting model(s) with ML (instead of REML)\n" * refits


@pytest.mark.parametrize(
    ("name", "fit"), [("sleepstudy", "sleepstudy"), ("cake", "cake_large"), ("cbpp", "cbpp")]
)
def test_anova_of_one_model(name, fit, fitted):
    assert str(mm.anova(fitted(fit), ddf=None)).split("\n") == golden(name, "anova_one")


@pytest.mark.parametrize("name", ["sleepstudy", "cake"])
def test_single_term_deletions(name, fitted):
    assert str(mm.drop1(fitted(name))).split("\n") == golden(name, "drop1")
