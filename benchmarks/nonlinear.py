"""Nonlinear mixed models beside lme4's nlmer and nlme: ``python -m benchmarks.nonlinear``.

Processor seconds of one fit, the fastest of several, R's and ours in one session; R is left out where it
is not installed. ``--write`` keeps the table in benchmarks/results/nonlinear.csv.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import pandas as pd

import mixedmodels as mm
from mixedmodels.engines.nonlinear.estimates import Method

HERE = Path(__file__).parent
ORANGE = "circumference ~ SSlogis(age, Asym, xmid, scal)"
DRUG = "conc ~ SSfol(Dose, Time, lKe, lKa, lCl)"
BIEXP = "conc ~ SSbiexp(time, A1, lrc1, A2, lrc2)"
_THEOPH = {"lKe": -2.4, "lKa": 0.45, "lCl": -3.2}
_INDOMETH = {"A1": 2.8, "lrc1": 0.77, "A2": 0.46, "lrc2": -1.3}
#: name -> (data set, formula, random effects, start): starts are those that R is given.
MODELS = {
    "Orange, Asym": ("Orange", ORANGE, "Asym ~ 1 | Tree", {"Asym": 190, "xmid": 725, "scal": 350}),
    "Loblolly, Asym": (
        "Loblolly",
        "height ~ SSasymp(age, Asym, R0, lrc)",
        "Asym ~ 1 | Seed",
        {"Asym": 101, "R0": -8.6, "lrc": -3.2},
    ),
    "Soybean, Asym": (
        "Soybean",
        "weight ~ SSlogis(Time, Asym, xmid, scal)",
        "Asym ~ 1 | Plot",
        {"Asym": 19, "xmid": 55, "scal": 8.4},
    ),
    "CO2, Asym and lrc": (
        "CO2",
        "uptake ~ SSasympOff(conc, Asym, lrc, c0)",
        "Asym + lrc ~ 1 | Plant",
        {"Asym": 32.4, "lrc": -4.56, "c0": 49.3},
    ),
    "DNase, Asym and xmid": (
        "DNase",
        "density ~ SSlogis(log(conc), Asym, xmid, scal)",
        "Asym + xmid ~ 1 || Run",
        {"Asym": 2.3, "xmid": 1.5, "scal": 1.0},
    ),
    "Indometh, A1 and lrc1": ("Indometh", BIEXP, "A1 + lrc1 ~ 1 || Subject", _INDOMETH),
    "Theoph, lKa and lCl": ("Theoph", DRUG, "lKa + lCl ~ 1 | Subject", _THEOPH),
    "Theoph, all three": ("Theoph", DRUG, "lKe + lKa + lCl ~ 1 | Subject", _THEOPH),
}
METHODS: dict[str, Method] = {"ours, Laplace": "laplace", "ours, Lindstrom-Bates": "lindstrom-bates"}
REPEATS = 15


def ours() -> pd.DataFrame:
    """Return seconds and log-likelihoods of our fits, the models in turn so that a busy moment meets each."""
    frames = {data: mm.load_dataset(data) for data, *_ in MODELS.values()}
    seconds: dict[tuple[str, str], float] = {}
    logliks: dict[tuple[str, str], float] = {}
    runs = list(product(MODELS.items(), METHODS.items()))
    for _ in range(REPEATS):
        for (name, (data, formula, random, start)), (program, method) in runs:
            began = time.process_time()
            fit = mm.nlmer(formula, frames[data], random=random, start=start, method=method)
            taken = time.process_time() - began
            seconds[name, program] = min(taken, seconds.get((name, program), taken))
            logliks[name, program] = fit.loglik()
    rows = [(name, program, seconds[name, program], logliks[name, program]) for name, program in seconds]
    return pd.DataFrame(rows, columns=["model", "program", "seconds", "loglik"])


def of_r() -> pd.DataFrame:
    """Return the same of nlmer and nlme; nothing where R is not installed."""
    if shutil.which("Rscript") is None:
        return pd.DataFrame(columns=["model", "program", "seconds", "loglik"])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "nonlinear.csv"
        subprocess.run(["Rscript", str(HERE / "peers" / "nonlinear.R"), str(out)], check=True)
        return pd.read_csv(out)


def main() -> None:
    """Print the table, and keep it where ``--write`` is given."""
    table = pd.concat([ours(), of_r()], ignore_index=True)
    print(table.pivot(index="model", columns="program", values="seconds").round(3).to_string())
    print(table.pivot(index="model", columns="program", values="loglik").round(4).to_string())
    if "--write" in sys.argv[1:]:
        table.round(6).to_csv(HERE / "results" / "nonlinear.csv", index=False)


if __name__ == "__main__":
    main()
