"""The fits of Pinheiro & Bates (2000), chapters 6 and 8, and some of their kind on data of nlme."""

import numpy as np

import mixedmodels as mm
from tests.engines.nonlinear.doses import Doses
from tests.engines.nonlinear.models import CO2, INDOMETH, LOBLOLLY, ORANGE, SOYBEAN

FOL = "conc ~ SSfol(Dose, Time, lKe, lKa, lCl)"
DIALYZER = "rate ~ SSasympOff(pressure, Asym, lrc, c0)"
CYCLE = "follicles ~ A + B * sin(2 * pi * w * Time) + C * cos(2 * pi * w * Time)"
WAFER = "current ~ A + B * cos(4.5679 * voltage + pi / 4)"
QUADRATIC = "A ~ voltage + I(voltage^2)"
_CYCLE = {"A": 12.18, "B": -3.298, "C": -0.862, "w": 1.0}
_WAFER = [-4.255, 5.622, 1.258, -0.09555]
_INDOMETH = {"A1": 2.8, "lrc1": 0.77, "A2": 0.46, "lrc2": -1.3}
_BOTH = {"Asym": "~ Type * Treatment", "lrc": "~ Type * Treatment"}
_QB = {"Asym": "~ QB", "lrc": "~ QB"}
_YEARS = {"Asym": "~ Year * Variety", "xmid": "~ Year + Variety", "scal": "~ Year"}
_LEVELS = [f"{QUADRATIC} || Wafer", "B ~ 1 | Wafer", f"{QUADRATIC} || Wafer:Site", "B ~ 1 | Wafer:Site"]

#: name in the book's scripts (or of ours) -> (data set, arguments).
FITS = {
    "fm1Oran": ("Orange", {"formula": ORANGE, "random": "Asym + xmid + scal ~ 1 | Tree"}),
    "fm2Oran": ("Orange", {"formula": ORANGE, "random": "Asym ~ 1 | Tree"}),
    "fm1Theo": ("Theoph", {"formula": FOL, "random": "lKe + lKa + lCl ~ 1 | Subject"}),
    "fm2Theo": ("Theoph", {"formula": FOL, "random": "lKe + lKa + lCl ~ 1 || Subject"}),
    "fm3Theo": ("Theoph", {"formula": FOL, "random": "lKa + lCl ~ 1 || Subject"}),
    "fm1Indom": (
        "Indometh",
        {"formula": INDOMETH, "random": "A1 + lrc1 + A2 + lrc2 ~ 1 || Subject", "start": _INDOMETH},
    ),
    "fm2Indom": ("Indometh", {"formula": INDOMETH, "random": "A1 + lrc1 + A2 ~ 1 || Subject"}),
    "fm3Indom": ("Indometh", {"formula": INDOMETH, "random": "A1 + lrc1 + A2 ~ 1 | Subject"}),
    "fm4Indom": (
        "Indometh",
        {"formula": INDOMETH, "random": ["A1 + lrc1 ~ 1 | Subject", "A2 ~ 1 | Subject"]},
    ),
    "fm1CO2": ("CO2", {"formula": CO2, "random": "Asym + lrc + c0 ~ 1 | Plant"}),
    "fm2CO2": ("CO2", {"formula": CO2, "random": "Asym + lrc ~ 1 | Plant"}),
    "fm3CO2": (
        "CO2",
        {"formula": CO2, "fixed": {"Asym": "~ Type * Treatment"}, "random": "Asym + lrc ~ 1 | Plant"},
    ),
    "fm4CO2": ("CO2", {"formula": CO2, "fixed": _BOTH, "random": "Asym + lrc ~ 1 | Plant"}),
    "fm5CO2": ("CO2", {"formula": CO2, "fixed": _BOTH, "random": "Asym ~ 1 | Plant"}),
    "Loblolly, Asym": ("Loblolly", {"formula": LOBLOLLY, "random": "Asym ~ 1 | Seed"}),
    "Loblolly, Asym and lrc": ("Loblolly", {"formula": LOBLOLLY, "random": "Asym + lrc ~ 1 || Seed"}),
    "fm1Soy": ("Soybean", {"formula": SOYBEAN, "random": "Asym + xmid + scal ~ 1 | Plot"}),
    "fm2Soy": (
        "Soybean",
        {"formula": SOYBEAN, "random": "Asym + xmid + scal ~ 1 | Plot", "dispersion": "power(fitted)"},
    ),
    "fm3Soy": (
        "Soybean",
        {
            "formula": SOYBEAN,
            "fixed": dict.fromkeys(("Asym", "xmid", "scal"), "~ Year"),
            "random": "Asym + xmid + scal ~ 1 | Plot",
            "dispersion": "power(fitted)",
        },
    ),
    "fm4Soy": (
        "Soybean",
        {"formula": SOYBEAN, "fixed": _YEARS, "random": "Asym ~ 1 | Plot", "dispersion": "power(fitted)"},
    ),
    "fm1Wafer": (
        "Wafer",
        {"formula": WAFER, "fixed": {"A": "~ voltage + I(voltage^2)"}, "random": _LEVELS, "start": _WAFER},
    ),
    "fm2Wafer": (
        "Wafer",
        {
            "formula": WAFER.replace("4.5679", "w"),
            "fixed": {"A": "~ voltage + I(voltage^2)"},
            "random": [*_LEVELS, "w ~ 1 | Wafer"],
            "start": [*_WAFER, 4.5679],
        },
    ),
    "fm5Ovar": ("Ovary", {"formula": CYCLE, "random": "A + B + w ~ 1 || Mare", "start": _CYCLE}),
    "fm6Ovar": (
        "Ovary",
        {
            "formula": CYCLE,
            "random": "A + B + w ~ 1 || Mare",
            "start": _CYCLE,
            "residual": "ar1(order | Mare)",
        },
    ),
    "fm7Ovar": (
        "Ovary",
        {"formula": CYCLE, "random": "A ~ 1 | Mare", "start": _CYCLE, "residual": "ar1(order | Mare)"},
    ),
    "DNase, three": (
        "DNase",
        {"formula": "density ~ SSlogis(log(conc), Asym, xmid, scal)", "random": "Asym + xmid ~ 1 || Run"},
    ),
    "DNase, four": (
        "DNase",
        {"formula": "density ~ SSfpl(log(conc), A, B, xmid, scal)", "random": "B + xmid ~ 1 | Run"},
    ),
    "Dialyzer": ("Dialyzer", {"formula": DIALYZER, "fixed": _QB, "random": "Asym ~ 1 | Subject"}),
    "Dialyzer, power": (
        "Dialyzer",
        {
            "formula": DIALYZER,
            "fixed": _QB,
            "random": "Asym ~ 1 | Subject",
            "dispersion": "power(pressure)",
        },
    ),
    "fm1Pheno": (
        "Phenobarb",
        {
            "formula": "conc ~ intravenous(row, lCl, lV)",
            "random": "lCl + lV ~ 1 || Subject",
            "start": {"lCl": -5, "lV": 0},
        },
    ),
    "fm2Pheno": (
        "Phenobarb",
        {
            "formula": "conc ~ intravenous(row, lCl, lV)",
            "fixed": {"lCl": "~ Wt", "lV": "~ Wt + ApgarInd"},
            "random": "lCl + lV ~ 1 || Subject",
            "start": [-5.0935, 0, 0.34259, 0, 0],
        },
    ),
    "Cefamandole": (
        "Cefamandole",
        {"formula": INDOMETH.replace("time", "Time"), "random": "A1 + lrc1 ~ 1 || Subject"},
    ),
    "Relaxin": (
        "Relaxin",
        {"formula": "cAMP ~ SSfpl(log(conc), A, B, xmid, scal)", "random": "B ~ 1 | Run"},
    ),
    "Relaxin, power": (
        "Relaxin",
        {
            "formula": "cAMP ~ SSfpl(log(conc), A, B, xmid, scal)",
            "random": "B ~ 1 | Run",
            "dispersion": "power(fitted)",
        },
    ),
    "fm1Quin": (
        "Quinidine",
        {
            "formula": "conc ~ oral(row, lV, lKa, lCl, 0)",
            "random": "lV + lCl ~ 1 || Subject",
            "start": {"lV": 5, "lKa": -0.3, "lCl": 2},
        },
    ),
    "fm2Quin": (
        "Quinidine",
        {
            "formula": "conc ~ oral(row, lV, lKa, lCl, glycoprotein)",
            "random": "lV + lCl ~ 1 || Subject",
            "start": {"lV": 5.4, "lKa": -0.2, "lCl": 2.5, "glycoprotein": 0},
        },
    ),
}


def fit(name, **arguments):
    """Fit a model of :data:`FITS` by Lindstrom and Bates' alternation, or as the arguments say."""
    source, own = FITS[name]
    data, env = mm.load_dataset(source), None
    if source in ("Phenobarb", "Quinidine"):
        doses = Doses(data)
        data["row"] = np.arange(len(data))
        env = {"intravenous": doses.intravenous, "oral": doses.oral}
    if source == "Ovary":
        data["order"] = data.groupby("Mare", observed=True).cumcount()
    return mm.nlmer(**{"data": data, "env": env, "method": "lindstrom-bates", **own, **arguments})
