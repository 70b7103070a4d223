"""How time grows with rows, levels, covariance parameters, terms, fixed effects and crossed factors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks import chart
from benchmarks.contestants import CONTESTANTS
from benchmarks.records import Record
from benchmarks.suite import Model

Axis = Literal["rows", "levels", "theta", "terms", "fixed", "crossed"]

LABELS: dict[Axis, str] = {
    "rows": "rows\n(1,000 groups, one slope)",
    "levels": "levels of the larger of two crossed factors\n(200,000 rows)",
    "theta": "covariance parameters of correlated slopes\n(20,000 rows, 200 groups)",
    "terms": "uncorrelated terms of one factor\n(20,000 rows, 200 groups)",
    "fixed": "fixed effects\n(20,000 rows, 200 groups)",
    "crossed": "crossed factors of 300 levels\n(30,000 rows)",
}
ROWS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
LEVELS = (1_000, 3_000, 10_000, 30_000, 100_000)
SLOPES = (0, 1, 2, 3, 4, 5, 6, 8)
UNCORRELATED = (1, 2, 4, 6, 8)
PREDICTORS = (10, 30, 100, 300)
FACTORS = (1, 2, 3, 4, 5)
#: Axes whose marks are the sizes themselves.
SMALL_COUNTS: dict[Axis, tuple[int, ...]] = {
    "theta": (1, 3, 6, 10, 21, 45),
    "terms": (2, 3, 5, 7, 9),
    "fixed": PREDICTORS,
    "crossed": FACTORS,
}


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve: the axis, where on it, and the model to fit there."""

    axis: Axis
    size: int
    model: Model


def points() -> tuple[Point, ...]:
    """Return every point of the curves."""
    rows = [_point("rows", n, "y ~ x + (x | g)", "slopes", rows=n, groups=1_000) for n in ROWS]
    levels = [
        _point("levels", q, "y ~ x + (1 | a) + (1 | b)", "crossed", rows=200_000, a_levels=q, b_levels=200)
        for q in LEVELS
    ]
    theta = [
        _point(
            "theta",
            _triangle(k + 1),
            _slopes_formula(k),
            "six_slopes",
            rows=20_000,
            groups=200,
            slopes=k,
        )
        for k in SLOPES
    ]
    return (*rows, *levels, *theta, *_wide_points())


def _wide_points() -> tuple[Point, ...]:
    """Return the points along which formulas grow."""
    terms = [
        _point("terms", k + 1, _slopes_formula(k, "||"), "six_slopes", rows=20_000, groups=200, slopes=k)
        for k in UNCORRELATED
    ]
    fixed = [
        _point(
            "fixed",
            k,
            "y ~ " + " + ".join(f"x{j}" for j in range(1, k + 1)) + " + (1 | g)",
            "predictors",
            rows=20_000,
            groups=200,
            predictors=k,
        )
        for k in PREDICTORS
    ]
    crossed = [
        _point(
            "crossed",
            k,
            "y ~ 1 + " + " + ".join(f"(1 | g{j})" for j in range(1, k + 1)),
            "crossed_factors",
            rows=30_000,
            factors=k,
            levels=300,
        )
        for k in FACTORS
    ]
    return (*terms, *fixed, *crossed)


def curves(records: Iterable[Record], axis: Axis) -> dict[str, list[tuple[int, Record]]]:
    """Return per contestant the finished points of an axis, by size."""
    sizes = {point.model.id: point.size for point in points() if point.axis == axis}
    gathered: dict[str, list[tuple[int, Record]]] = {}
    for record in records:
        if record.model in sizes and record.status == "ok":
            gathered.setdefault(record.contestant, []).append((sizes[record.model], record))
    return {name: sorted(curve, key=lambda pair: pair[0]) for name, curve in gathered.items()}


def draw(records: Iterable[Record], path: Path) -> Path:
    """Draw the curves of the whole call as SVG, a contestant in one colour throughout.

    Raises
    ------
    ImportError
        If matplotlib is not installed (``pip install mixedmodels[plot]``).
    """
    from matplotlib.figure import Figure

    kept, names = list(records), [entry.name for entry in CONTESTANTS]
    figure = Figure(figsize=(12.0, 8.0), layout="constrained")
    for axes, (axis, label) in zip(figure.subplots(2, 3).flat, LABELS.items(), strict=True):
        for name, curve in curves(kept, axis).items():
            whole = [(size, record.quoted) for size, record in curve]
            axes.loglog(*zip(*whole, strict=True), f"C{names.index(name)}o-", label=name)
        if axis in SMALL_COUNTS:
            axes.set_xticks(SMALL_COUNTS[axis], [str(size) for size in SMALL_COUNTS[axis]])
            axes.minorticks_off()
        axes.set(xlabel=label, ylabel="seconds")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    return chart.save(figure, path)


def _point(axis: Axis, size: int, formula: str, data: str, **arguments: int) -> Point:
    model = Model(
        f"growth-{axis}-{size}",
        data,
        formula,
        simulated=True,
        arguments=tuple(arguments.items()),
        tags=("growth",),
    )
    return Point(axis, size, model)


def _triangle(size: int) -> int:
    return size * (size + 1) // 2


def _slopes_formula(slopes: int, bar: str = "|") -> str:
    terms = "".join(f" + x{k}" for k in range(1, slopes + 1))
    return f"y ~ 1{terms} + (1{terms} {bar} g)"
