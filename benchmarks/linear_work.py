"""Work on large linear mixed models that the table of fits does not show, one process for each row.

    python -m benchmarks.linear_work                      # everything
    python -m benchmarks.linear_work --only relmat        # rows whose name contains a word
    python -m benchmarks.linear_work --label before       # what the rows are called in the csv

Processor seconds with one BLAS thread: of the fit (from the data frame to the model), and of the work that
follows it. Memory is the peak of the process above what was resident before the fit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

import mixedmodels as mm
from benchmarks import machine, simulate
from mixedmodels.formula.design.relationship import precision

SEED = 20261128
OUTPUT = Path("benchmarks/results/linear_work.csv")
#: The data, and the fit to time.
Prepared = tuple[pd.DataFrame, Callable[[], Any]]
Work = Callable[[Any, pd.DataFrame], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One row: data, a fit, and what is asked of it afterwards.

    Attributes
    ----------
    prepare : callable
        Makes the data, off the clock, and returns them with the fit to time.
    work : callable or None
        What is asked of the fitted model.
    target : str
        What is to be reached.
    """

    prepare: Callable[[], Prepared]
    work: Work | None
    target: str


def one_factor(levels: int, rows: int) -> Prepared:
    """Return the fit of a random intercept."""
    data = simulate.slopes(rows=rows, groups=levels)
    return data, lambda: mm.lmer("y ~ x + (1 | g)", data)


def crossed(rows: int, a: int, b: int) -> Prepared:
    """Return the fit of two crossed factors."""
    data = simulate.crossed(rows=rows, a_levels=a, b_levels=b)
    return data, lambda: mm.lmer("y ~ x + (1 | a) + (1 | b)", data)


def zipf(rows: int, a: int, b: int) -> Prepared:
    """Return the fit of two crossed factors with levels as frequent as the inverse of their rank."""
    rng = np.random.default_rng(SEED)
    codes = {name: _zipf(rng, rows, levels) for name, levels in (("a", a), ("b", b))}
    x = rng.normal(size=rows)
    y = 0.4 * x + rng.normal(size=rows)
    for (name, scale), levels in zip((("a", 0.8), ("b", 0.5)), (a, b), strict=True):
        y += rng.normal(scale=scale, size=levels)[codes[name]]
    data = pd.DataFrame({"y": y, "x": x, **{name: _factor(c) for name, c in codes.items()}})
    return data, lambda: mm.lmer("y ~ x + (1 | a) + (1 | b)", data)


def five_crossed(rows: int, levels: int) -> Prepared:
    """Return the fit of five crossed factors of equal size."""
    rng = np.random.default_rng(SEED)
    codes = {name: rng.integers(0, levels, size=rows) for name in "abcde"}
    y = rng.normal(size=rows)
    for scale, code in zip((0.3, 0.5, 0.7, 0.9, 1.1), codes.values(), strict=True):
        y += rng.normal(scale=scale, size=levels)[code]
    data = pd.DataFrame({"y": y, **{name: _factor(code) for name, code in codes.items()}})
    formula = "y ~ 1 + " + " + ".join(f"(1 | {name})" for name in codes)
    return data, lambda: mm.lmer(formula, data)


def related(levels: int, rows: int, kind: str) -> Prepared:
    """Return the fit of a random intercept of related levels: dense, blocks of ten or a pedigree."""
    rng = np.random.default_rng(SEED)
    names = [f"i{k:06d}" for k in range(levels)]
    if kind == "pedigree":
        Q, b = _pedigree(rng, levels)
        given: Any = precision(Q, names)
    else:
        K: Any
        if kind == "dense":
            M = rng.normal(size=(levels, 2 * levels))
            K = M @ M.T / (2 * levels)
            b = np.linalg.cholesky(K) @ rng.normal(size=levels)
            given = pd.DataFrame(K, index=names, columns=names)
        else:
            block = 0.5 * np.eye(10) + 0.5
            K = scipy.sparse.block_diag([block] * (levels // 10), format="csc")
            b = (rng.normal(size=(levels // 10, 10)) @ np.linalg.cholesky(block).T).ravel()
            given = (names, K)
    codes = np.concatenate([np.arange(levels), rng.integers(0, levels, size=rows - levels)])
    x = rng.normal(size=rows)
    y = 0.4 * x + 0.8 * b[codes] + rng.normal(size=rows)
    data = pd.DataFrame({"y": y, "x": x, "id": pd.Categorical.from_codes(codes, categories=names)})
    return data, lambda: mm.lmer("y ~ x + (1 | id)", data, relmat={"id": given})


def _zipf(rng: np.random.Generator, rows: int, levels: int) -> np.ndarray:
    shares = 1.0 / np.arange(1, levels + 1)
    return rng.choice(levels, size=rows, p=shares / shares.sum())


def _factor(codes: np.ndarray) -> pd.Categorical:
    levels = [f"{k:06d}" for k in range(int(codes.max()) + 1)]
    return pd.Categorical.from_codes(codes, categories=levels).remove_unused_categories()


def _pedigree(rng: np.random.Generator, animals: int) -> tuple[Any, np.ndarray]:
    """Return the inverse of the additive relationship of a pedigree (Henderson 1976), and effects.

    Ten generations: a hundredth of each are sires and a fifth dams of the next, each dam with one sire.
    """
    size = animals // 10
    sires, dams = max(1, size // 100), size // 5
    b = rng.normal(size=animals)
    parents = np.full((animals, 2), -1)
    for start in range(size, animals, size):
        chosen = start - size + rng.permutation(size)[: sires + dams]
        mate = rng.integers(0, sires, size=dams)
        dam = np.arange(size) % dams
        parents[start : start + size] = np.column_stack([chosen[mate[dam]], chosen[sires + dam]])
        b[start : start + size] *= np.sqrt(0.5)
        b[start : start + size] += 0.5 * b[parents[start : start + size]].sum(axis=1)
    young = np.flatnonzero(parents[:, 0] >= 0)
    half = np.full(len(young), -0.5)
    T_inverse = scipy.sparse.eye_array(animals, format="csr")
    for side in (0, 1):
        places = (young, parents[young, side])
        T_inverse = T_inverse + scipy.sparse.csr_array((half, places), shape=(animals, animals))
    D_inverse = scipy.sparse.diags_array(np.where(parents[:, 0] >= 0, 2.0, 1.0))
    return scipy.sparse.csc_array(T_inverse.T @ D_inverse @ T_inverse), b


def standard_errors(rows: int) -> Work:
    """Return the work of predicting `rows` rows of the data with standard errors."""

    def work(model: Any, data: pd.DataFrame) -> Any:
        chosen = np.random.default_rng(SEED).integers(0, len(data), size=rows)
        return model.predict(data.iloc[chosen], se_fit=True)["se_fit"]

    return work


def mixed_pairs(rows: int) -> Work:
    """Return the same of rows whose levels were hardly ever met together in the data."""

    def work(model: Any, data: pd.DataFrame) -> Any:
        rng = np.random.default_rng(SEED)
        first, second = rng.integers(0, len(data), size=(2, rows))
        pairs = data.iloc[first].assign(b=data["b"].iloc[second].array)
        return model.predict(pairs, se_fit=True)["se_fit"]

    return work


def _leverages(model: Any, data: pd.DataFrame) -> Any:
    return model.hatvalues()


CASES: dict[str, Case] = {}


def _add(name: str, prepare: Callable[[], Prepared], work: Work | None, target: str) -> None:
    CASES[name] = Case(prepare, work, target)


for _levels in (4_900, 20_000, 200_000):
    for _rows in (100, 10_000):
        _add(
            f"se of predictions, one factor of {_levels:,}, {_rows:,} rows",
            lambda levels=_levels: one_factor(levels, 10 * levels),  # type: ignore[misc]
            standard_errors(_rows),
            "10 fits",
        )
for _a, _b in ((4_000, 900), (15_000, 5_000), (195_000, 5_000)):
    for _rows in (100, 10_000):
        _add(
            f"se of predictions, crossed {_a:,} x {_b:,}, {_rows:,} rows",
            lambda a=_a, b=_b: crossed(10 * (a + b), a, b),  # type: ignore[misc]
            standard_errors(_rows),
            "10 fits",
        )
    _add(
        f"se of predictions of new pairs, crossed {_a:,} x {_b:,}, 10,000 rows",
        lambda a=_a, b=_b: crossed(10 * (a + b), a, b),  # type: ignore[misc]
        mixed_pairs(10_000),
        "10 fits",
    )
_add("hatvalues, one factor of 6,000", lambda: one_factor(6_000, 60_000), _leverages, "0.05 s")
_add("hatvalues, crossed 3,000 x 3,000", lambda: crossed(60_000, 3_000, 3_000), _leverages, "2 fits")
for _kind, _levels, _rows, _target in (
    ("dense", 2_000, 10_000, "1.5 s"),
    ("blocks of ten", 2_000, 10_000, "0.5 s"),
    ("blocks of ten", 50_000, 250_000, "-"),
    ("pedigree", 2_000, 10_000, "0.5 s"),
    ("pedigree", 50_000, 100_000, "10 s"),
):
    _add(
        f"relmat {_kind}, {_levels:,}",
        lambda levels=_levels, rows=_rows, kind=_kind: related(levels, rows, kind),  # type: ignore[misc]
        None,
        _target,
    )
_add("zipf 300k, 30,000 x 5,000", lambda: zipf(300_000, 30_000, 5_000), None, "5 s, 500 MB")
_add("zipf 1M, 100,000 x 10,000", lambda: zipf(1_000_000, 100_000, 10_000), None, "40 s, 2 GB")
_add("five crossed factors of 1,000", lambda: five_crossed(100_000, 1_000), None, "4 s")


def run(name: str) -> dict[str, Any]:
    """Run one case in this process."""
    case = CASES[name]
    warm = simulate.small_linear()
    mm.lmer("y ~ x + (1 | g)", warm).predict(warm, se_fit=True)
    data, fit = case.prepare()
    resident = _resident_mb()
    began = time.process_time()
    model = fit()
    seconds = time.process_time() - began
    found: dict[str, Any] = {
        "fit_seconds": seconds,
        "fit_mb": _peak_mb() - resident,
        "evaluations": model.optimization.n_evaluations,
        "objective": model.REMLcrit(),
    }
    if case.work is not None:
        began = time.process_time()
        values = np.asarray(case.work(model, data))
        found["work_seconds"] = time.process_time() - began
        found["checksum"] = float(values.sum())
    found["peak_mb"] = _peak_mb() - resident
    return found


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_a_process(name: str, timeout: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.linear_work", "--case", name]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"note": f"stopped after {timeout:.0f} s"}
    if out.returncode:
        return {"note": (out.stderr.strip().splitlines() or ["no answer"])[-1]}
    return dict(json.loads(out.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Run the cases asked for and merge their rows into the csv."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--only", default="")
    parser.add_argument("--label", default="now")
    parser.add_argument("--timeout", type=float, default=120.0)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run(options.case)))
        return
    for name, case in CASES.items():
        if options.only in name:
            found = _in_a_process(name, options.timeout)
            row = {"label": options.label, "case": name, "target": case.target, **found}
            print({key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()}, flush=True)
            _merge({**row, "machine": machine.description()})


def _merge(row: dict[str, Any]) -> None:
    """Put one row in its place in the csv."""
    table = pd.DataFrame([row])
    if OUTPUT.exists():
        old = pd.read_csv(OUTPUT)
        same = (old["label"] == row["label"]) & (old["case"] == row["case"])
        table = pd.concat([old[~same], table], ignore_index=True)
    order = {name: k for k, name in enumerate(CASES)}
    table = table.sort_values("case", key=lambda column: column.map(order), kind="stable")
    for column in ("fit_seconds", "work_seconds", "fit_mb", "peak_mb"):
        if column in table:
            table[column] = table[column].astype(float).round(4)
    table.to_csv(OUTPUT, index=False)


if __name__ == "__main__":
    main()
