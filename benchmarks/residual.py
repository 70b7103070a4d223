"""Structured residuals beside nlme and glmmTMB: ``python -m benchmarks.residual``.

Processor seconds of one fit, the fastest of several, R's and ours in one session; R is left out where it is
not installed. ``--write`` keeps the table in benchmarks/results/residual.csv.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import mixedmodels as mm

HERE = Path(__file__).parent
REPEATS = 3
OVARY = "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)"


def trial(patients: int, visits: int, missed: float) -> pd.DataFrame:
    """Return a trial of two arms whose visits are correlated, a share of them missed."""
    rng = np.random.default_rng(patients + visits)
    lags = np.abs(np.subtract.outer(np.arange(visits), np.arange(visits)))
    y = rng.multivariate_normal(np.zeros(visits), 0.7**lags * 4.0, size=patients)
    data = pd.DataFrame({"id": np.repeat(np.arange(patients), visits), "y": y.ravel()})
    data["visit"] = pd.Categorical(np.tile([f"v{k:02d}" for k in range(visits)], patients))
    data["arm"] = pd.Categorical(np.where(data["id"] % 2 == 0, "a", "b"))
    return data[rng.random(len(data)) >= missed].reset_index(drop=True)


def series(n: int) -> pd.DataFrame:
    """Return one autoregressive series about a line."""
    rng = np.random.default_rng(n)
    noise = rng.normal(size=n)
    for t in range(1, n):
        noise[t] += 0.6 * noise[t - 1]
    return pd.DataFrame({"t": np.arange(n), "x": np.linspace(0.0, 1.0, n), "y": noise})


Fit = Callable[[pd.DataFrame], object]


def _visits(data: pd.DataFrame) -> object:
    return mm.mmrm("y ~ arm * visit + us(visit | id)", data)


def _series(residual: str) -> Fit:
    return lambda data: mm.gls("y ~ x", data, residual=residual)


def _weight(power: str) -> Fit:
    formula = "weight ~ Time * Diet + (Time | Rat)"
    return lambda data: mm.lmer(formula, data, dispersion=power)


#: name -> (data, our fit); the names are those of benchmarks/peers/residual.R.
MODELS: dict[str, tuple[Callable[[], pd.DataFrame], Fit]] = {
    "us, 200 patients, 4 visits": (lambda: trial(200, 4, 0.0), _visits),
    "us, 200 patients, 4 visits, gaps": (lambda: trial(200, 4, 0.2), _visits),
    "us, 10,000 patients, 10 visits": (lambda: trial(10_000, 10, 0.0), _visits),
    "us, 10,000 patients, 10 visits, gaps": (lambda: trial(10_000, 10, 0.2), _visits),
    "Ovary, ARMA(1,1)": (
        lambda: mm.load_dataset("Ovary"),
        lambda data: mm.gls(OVARY, data, residual="arma(1 | Mare, p = 1, q = 1)"),
    ),
    "BodyWeight, power(Time)": (lambda: mm.load_dataset("BodyWeight"), _weight("power(Time)")),
    "BodyWeight, power(fitted)": (lambda: mm.load_dataset("BodyWeight"), _weight("power(fitted)")),
    "series of 2,000, AR(1)": (lambda: series(2000), _series("ar1(t)")),
    "series of 2,000, ARMA(1,1)": (lambda: series(2000), _series("arma(t, p = 1, q = 1)")),
}


def ours(data: pd.DataFrame, fit: Fit) -> tuple[float, float]:
    """Return processor seconds of one fit, the fastest of several, and the log-likelihood."""
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        found = fit(data)
        seconds.append(time.process_time() - began)
    return min(seconds), float(found.loglik())  # type: ignore[attr-defined]


def of_r(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return what nlme and glmmTMB take, empty where there is no R."""
    script = HERE / "peers" / "residual.R"
    if shutil.which("Rscript") is None:
        return pd.DataFrame()
    with tempfile.TemporaryDirectory() as folder:
        for k, frame in enumerate(frames.values()):
            frame.to_csv(Path(folder) / f"{k}.csv", index=False)
        Path(folder, "names.txt").write_text("\n".join(frames) + "\n")
        subprocess.run(["Rscript", "--vanilla", str(script), folder], check=True)
        return pd.read_csv(Path(folder) / "times.csv").set_index("model")


def main() -> None:
    """Time every model and print the table."""
    frames = {name: make() for name, (make, _) in MODELS.items()}
    rows = {name: ours(frames[name], fit) for name, (_, fit) in MODELS.items()}
    table = pd.DataFrame.from_dict(rows, "index", columns=["ours", "ours, loglik"]).rename_axis("model")
    table = table.join(of_r(frames))
    print(table.round(4).to_string())
    if "--write" in sys.argv:
        table.round(4).to_csv(HERE / "results" / "residual.csv")


if __name__ == "__main__":
    main()
