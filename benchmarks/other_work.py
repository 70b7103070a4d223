"""Work that the table of fits does not show, beside what it is measured by: `results/other_work.md`.

    python -m benchmarks.linear_work; python -m benchmarks.front_rows now; python -m benchmarks
    python -m benchmarks.other_work

Reads what these three have written and times the yardsticks. Goals in seconds are compared with seconds as
they are: the heading says how fast the machine is beside the one on which they were set.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk

from benchmarks import machine, records, report
from benchmarks.compare import Row, compare
from benchmarks.suite import MODELS

RESULTS = Path(__file__).with_name("results")
#: Seconds of the syrk of 20,000 x 1,000, and of glmm's fit of VerbAgg, where the goals were set.
SYRK_THERE, VERBAGG_THERE = 0.4, 0.045
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of a piece of work, and the seconds of what it is measured by.

    Attributes
    ----------
    seconds : float
        Processor seconds; megabytes or frames where the unit of the goal says so.
    beside : float or None
        The same of the work beside it.
    """

    seconds: float
    beside: float | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table.

    Attributes
    ----------
    work, beside : str
        What is done, and what it is measured by.
    most : float
        What is to be reached.
    unit : {"times", "s", "MB", "frames"}
        Of the goal: "times" is a ratio to the work beside it.
    measured : callable
        Takes the figures and returns this line's.
    """

    work: str
    beside: str
    most: float
    unit: str
    measured: Callable[[Figures], Measured | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: rows of the three tables by name, and seconds of the yardsticks."""

    linear: dict[str, dict[str, str]]
    front: dict[str, dict[str, str]]
    race: dict[str, Row]
    syrk: float
    eigh: float


def linear(case: str, field: str, beside: str | None = None) -> Callable[[Figures], Measured | None]:
    """Return how a line reads a case of `linear_work`."""

    def measured(figures: Figures) -> Measured | None:
        row = figures.linear.get(case)
        if row is None or not row.get(field):
            return None
        other = figures.eigh if beside == "eigh" else float(row[beside]) if beside else None
        return Measured(float(row[field]), other)

    return measured


def front(
    name: str, field: str = "seconds", beside: str | None = None
) -> Callable[[Figures], Measured | None]:
    """Return how a line reads a row of `front_rows`."""

    def measured(figures: Figures) -> Measured | None:
        row = figures.front.get(name)
        if row is None or not row.get(field):
            return None
        return Measured(float(row[field]), figures.syrk if beside else None)

    return measured


def race(model: str, errors: bool = False) -> Callable[[Figures], Measured | None]:
    """Return how a line reads a model of the suite, with standard errors where both count them."""

    def measured(figures: Figures) -> Measured | None:
        row = figures.race.get(model)
        ours = None if row is None else row.records.get("mixedmodels")
        if row is None or ours is None or ours.quoted is None:
            return None
        glmm = row.records.get("glmm")
        seconds = ours.quoted_with_errors if errors else ours.quoted
        beside = None if glmm is None else glmm.quoted_with_errors or glmm.quoted
        return None if seconds is None else Measured(seconds, beside)

    return measured


def goals() -> Iterable[Goal]:
    """Yield the lines of the table."""
    for levels in ("one factor of 4,900", "one factor of 20,000", "one factor of 200,000",
                   "crossed 4,000 x 900", "crossed 15,000 x 5,000", "crossed 195,000 x 5,000"):  # fmt: skip
        for rows in ("100", "10,000"):
            case = f"se of predictions, {levels}, {rows} rows"
            yield Goal(case, "its fit", 10.0, "times", linear(case, "work_seconds", "fit_seconds"))
    case = "hatvalues, one factor of 6,000"
    yield Goal(case, "", 0.05, "s", linear(case, "work_seconds"))
    for case, seconds, mb in (
        ("zipf 300k, 30,000 x 5,000", 5.0, 500.0),
        ("zipf 1M, 100,000 x 10,000", 40.0, 2000.0),
    ):
        yield Goal(case, "", seconds, "s", linear(case, "fit_seconds"))
        yield Goal(f"{case}: memory", "", mb, "MB", linear(case, "fit_mb"))
    yield Goal(
        "five crossed factors of 1,000", "", 4.0, "s", linear("five crossed factors of 1,000", "fit_seconds")
    )
    yield Goal("relmat dense, 2,000", "one eigh of it", 2.5, "times",
               linear("relmat dense, 2,000", "fit_seconds", "eigh"))  # fmt: skip
    for case, most in (
        ("relmat blocks of ten, 2,000", 0.5),
        ("relmat pedigree, 2,000", 0.5),
        ("relmat pedigree, 50,000", 10.0),
    ):
        yield Goal(case, "", most, "s", linear(case, "fit_seconds"))
    for name, most in (("f50", 0.3), ("x:f50", 0.6)):
        yield Goal(f"50-level factor, 1e6 rows: {name}", "", most, "s", front(name))
        yield Goal(f"50-level factor, 1e6 rows: {name}, memory", "", 100.0, "MB", front(name, "peak_mb"))
    yield Goal("p = 1,000, n = 20,000", "one syrk", 0.7, "s", front("p=1000", beside="syrk"))
    for model, ratio in (
        ("cbpp", 0.94),
        ("verbagg", 0.245),
        ("grouseticks", 0.35),
        ("bernoulli-40k", 0.37),
        ("bernoulli-100k", 0.45),
    ):
        yield Goal(f"{model} with standard errors", "glmm", ratio, "times", race(model, errors=True))
    yield Goal("verbagg, the fit", "", 0.007, "s", race("verbagg"))
    yield Goal("verbagg, the fit", "glmm", 0.007 / VERBAGG_THERE, "times", race("verbagg"))
    for model in ("sleepstudy", "cbpp"):
        yield Goal(f"{model}, the whole call", "glmm", 1.0, "times", race(model))
    yield Goal("beta-binomial, 1e5 rows", "", 0.4, "s", race("betabinomial-100k"))
    yield Goal(
        "beta-binomial, 1e5 rows, with standard errors", "", 0.7, "s", race("betabinomial-100k", errors=True)
    )
    yield Goal("GLMM, p = 500, with standard errors", "", 2.0, "s", race("five-hundred-effects", errors=True))
    yield Goal("first lmer() of a process", "", 0.1, "s", front("first call"))
    yield Goal("1e7 rows: peak of the fit", "", 2.5, "frames", front("ten million", "frames"))
    yield Goal("1e7 rows: pickle", "", 1.2, "frames", front("ten million", "pickle_frames"))
    for name in ("string keys", "pandas str keys", "polars Categorical", "f:g", "f/g"):
        yield Goal(f"1e6 rows: {name}", "", 0.2, "s", front(name))


def line(goal: Goal, figures: Figures) -> str:
    """Return one line of the table; empty cells where nothing was measured."""
    found = goal.measured(figures)
    if found is None or (goal.unit == "times" and found.beside is None):
        return f"| {goal.work} | not measured | {goal.beside} | {goal.most:g} {goal.unit} | | |"
    value = found.seconds / found.beside if goal.unit == "times" and found.beside else found.seconds
    shown = (
        report.duration(found.seconds) if goal.unit in ("times", "s") else f"{found.seconds:.3g} {goal.unit}"
    )
    beside = f"{goal.beside} {report.duration(found.beside)}" if goal.beside and found.beside else ""
    ratio = f"{value:.2g} times" if goal.unit == "times" else ""
    verdict = "yes" if value <= goal.most else "no"
    asked = report.duration(goal.most) if goal.unit == "s" else f"{goal.most:.3g} {goal.unit}"
    return f"| {goal.work} | {shown} | {beside} | {ratio} | {asked} | {verdict} |"


def table(figures: Figures) -> str:
    """Return the whole table with its heading."""
    lines = [
        "| work | here | beside | ratio | goal | reached |",
        "|---|--:|--:|--:|--:|---|",
        *(line(goal, figures) for goal in goals()),
    ]
    heading = (
        f"Processor time, one thread; {machine.description()}. The syrk of 20,000 x 1,000 takes "
        f"{report.duration(figures.syrk)} here and took {report.duration(SYRK_THERE)} where goals were set"
    )
    glmm = race("verbagg")(figures)
    if glmm is not None and glmm.beside is not None:
        here, there = report.duration(glmm.beside), report.duration(VERBAGG_THERE)
        heading += f", glmm's fit of VerbAgg {here} and took {there}"
    return "\n".join([f"{heading}.", "", *lines]) + "\n"


def read(path: Path, key: str) -> dict[str, dict[str, str]]:
    """Return the rows of a csv that are labelled "now", by a column."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file) if row["label"] == "now"}


def seconds_of(work: Callable[[], object]) -> float:
    """Return the median processor seconds of some repeats."""
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return median(found)


def main() -> None:
    """Measure the yardsticks, gather the figures and write the table."""
    rng = np.random.default_rng(1)
    X = np.asfortranarray(rng.normal(size=(20_000, 1000)))
    A = np.cov(rng.normal(size=(2000, 3000)))
    kept = report.fewest_threads(records.read(report.newest(RESULTS)))
    figures = Figures(
        linear=read(RESULTS / "linear_work.csv", "case"),
        front=read(RESULTS / "front_rows.csv", "row"),
        race={row.model.id: row for row in compare(kept, MODELS)},
        syrk=seconds_of(lambda: dsyrk(1.0, X, trans=1)),
        eigh=seconds_of(lambda: eigh(A, driver="evd")),
    )
    path = RESULTS / "other_work.md"
    path.write_text(table(figures))
    print(table(figures))


if __name__ == "__main__":
    main()
