"""The nonlinear models of the reference fits: data, call, and what R found."""

import json

import pandas as pd

import mixedmodels as mm
from tests.conformance.shared import find_shared

DRUG = (
    "conc ~ Dose * exp(lKe + lKa - lCl) * (exp(-exp(lKe) * Time) - exp(-exp(lKa) * Time)) "
    "/ (exp(lKa) - exp(lKe))"
)
WAVE = "current ~ A + B * cos(4.5679 * voltage) + C * sin(4.5679 * voltage) + E * voltage + G * voltage^2"
ORANGE = "circumference ~ SSlogis(age, Asym, xmid, scal)"
SOYBEAN = "weight ~ SSlogis(Time, Asym, xmid, scal)"
INDOMETH = "conc ~ SSbiexp(time, A1, lrc1, A2, lrc2)"
LOBLOLLY = "height ~ SSasymp(age, Asym, R0, lrc)"
CO2 = "uptake ~ SSasympOff(conc, Asym, lrc, c0)"

#: id -> (data set, arguments): lme4's nlmer.
NLMER = {
    "reference2/nlmer_orange_xmid": ("Orange", {"formula": f"{ORANGE} ~ xmid | Tree"}),
    "reference2/nlmer_loblolly_asym": ("Loblolly", {"formula": f"{LOBLOLLY} ~ Asym | Seed"}),
    "reference2/nlmer_loblolly_asym_r0": (
        "Loblolly",
        {"formula": f"{LOBLOLLY} ~ (Asym | Seed) + (R0 | Seed)"},
    ),
    "reference2/nlmer_loblolly_chapman": (
        "Loblolly",
        {"formula": "height ~ top * (1 - exp(-rate * age))^shape ~ top | Seed"},
    ),
    "reference2/nlmer_soybean_asym": ("Soybean", {"formula": f"{SOYBEAN} ~ Asym | Plot"}),
    "reference2/nlmer_chick_asym": (
        "chick_diet1",
        {"formula": "weight ~ SSlogis(Time, Asym, xmid, scal) ~ Asym | Chick"},
    ),
    "reference2/nlmer_indometh_a1_lrc1": (
        "Indometh",
        {"formula": f"{INDOMETH} ~ (A1 | Subject) + (lrc1 | Subject)"},
    ),
    "reference/nlmer_loblolly_asym": ("Loblolly", {"formula": f"{LOBLOLLY} ~ Asym | Seed"}),
    "reference/nlmer_orange_asym_xmid": ("Orange", {"formula": f"{ORANGE} ~ (Asym + xmid | Tree)"}),
}

_THEOPH = {"fixed": "lKe + lKa + lCl ~ 1", "start": {"lKe": -2.4, "lKa": 0.45, "lCl": -3.2}}
_INDOMETH = {
    "fixed": "A1 + lrc1 + A2 + lrc2 ~ 1",
    "start": {"A1": 2.8, "lrc1": 0.77, "A2": 0.46, "lrc2": -1.3},
}
#: id -> (data set, arguments): nlme.
NLME = {
    "reference2/nlme_nonlinear_theoph_diag_ml": (
        "Theoph",
        {"formula": DRUG, "random": "lKa + lCl ~ 1 || Subject", **_THEOPH},
    ),
    "reference2/nlme_nonlinear_theoph_diag_reml": (
        "Theoph",
        {"formula": DRUG, "random": "lKa + lCl ~ 1 || Subject", "REML": True, **_THEOPH},
    ),
    "reference2/nlme_nonlinear_theoph_full_ml": (
        "Theoph",
        {"formula": DRUG, "random": "lKa + lCl ~ 1 | Subject", **_THEOPH},
    ),
    "reference2/nlme_nonlinear_orange_asym_reml": (
        "Orange",
        {"formula": f"{ORANGE} ~ Asym | Tree", "REML": True},
    ),
    "reference2/nlme_nonlinear_indometh_diag_ml": (
        "Indometh",
        {"formula": INDOMETH, "random": "A1 + lrc1 ~ 1 || Subject", **_INDOMETH},
    ),
    "reference2/nlme_nonlinear_indometh_diag3_reml": (
        "Indometh",
        {"formula": INDOMETH, "random": "A1 + lrc1 + A2 ~ 1 || Subject", "REML": True, **_INDOMETH},
    ),
    "reference2/nlme_nonlinear_soybean_asym_ml": ("Soybean", {"formula": f"{SOYBEAN} ~ Asym | Plot"}),
    "reference2/nlme_nonlinear_wafer_cos_ml": (
        "Wafer",
        {
            "formula": WAVE,
            "random": "A + E ~ 1 || Wafer",
            "start": {"A": -4.0, "B": 0.1, "C": 0.1, "E": 6.0, "G": 1.0},
        },
    ),
    "reference2/nlme_nonlinear_co2_asym_ml": (
        "CO2",
        {
            "formula": CO2,
            "fixed": {"Asym": "~ Type * Treatment"},
            "random": "Asym ~ 1 | Plant",
            "start": [36, -9, -5, -3, -4.6, 50],
        },
    ),
    "reference2/nlme_nonlinear_soybean_varpower_ml": (
        "Soybean",
        {
            "formula": SOYBEAN,
            "fixed": {"Asym": "~ factor(Year) * Variety"},
            "random": "Asym ~ 1 | Plot",
            "start": [19, -4, -8, 3, 0, 0, 54, 8],
            "dispersion": "power(fitted)",
        },
    ),
    "reference/nlme_loblolly": ("Loblolly", {"formula": f"{LOBLOLLY} ~ Asym | Seed"}),
    "reference/nlme_indometh_pddiag": (
        "Indometh",
        {"formula": INDOMETH, "random": "A1 + lrc1 + A2 ~ 1 || Subject", **_INDOMETH},
    ),
    "reference/nlme_theoph_pddiag": (
        "Theoph",
        {"formula": DRUG, "random": "lKa + lCl ~ 1 || Subject", **_THEOPH},
    ),
}


def data_of(name):
    """Return a data set by name, or one that was prepared for the reference fits."""
    if name == "chick_diet1":
        return pd.read_csv(find_shared() / "reference2" / "data" / f"{name}.csv")
    return mm.load_dataset(name)


def reference(identity):
    """Return a reference fit."""
    return json.loads((find_shared() / f"{identity}.json").read_text(encoding="utf-8"))
