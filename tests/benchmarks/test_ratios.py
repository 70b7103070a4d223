"""The gate of ratios: what it says of numbers, and that its rows and yardsticks are there."""

import json

from benchmarks import growth, ratios


def test_a_ratio_that_has_grown_beyond_noise_is_told():
    before = {"a": 2.0, "b": 3.0}
    assert ratios.grown({"a": 2.0 * ratios.ROOM - 0.01, "b": 1.0, "new": 9.0}, before) == []
    (told,) = ratios.grown({"a": 2.0 * ratios.ROOM + 0.01, "b": 3.0}, before)
    assert told == "a: 2 -> 3.21"


def test_every_row_has_a_yardstick_and_a_committed_ratio():
    committed = json.loads(ratios.BASELINE.read_text(encoding="utf-8"))
    assert set(committed) == set(ratios.ROWS)
    assert {row.yardstick for row in ratios.ROWS.values()} <= set(ratios.YARDSTICKS)
    assert all(found > 0.0 for found in committed.values())


def test_a_ratio_is_fit_over_yardstick(monkeypatch):
    monkeypatch.setitem(ratios.YARDSTICKS, "idle", lambda: lambda: sum(range(20_000)))
    row = ratios.Row(lambda: lambda: [sum(range(20_000)) for _ in range(5)], "idle", 20)
    assert 2.0 < ratios.ratio(row) < 10.0


def test_curves_grow_along_every_axis():
    points = growth.points()
    assert {point.axis for point in points} == set(growth.LABELS)
    assert len({point.model.id for point in points}) == len(points)
    formulas = {point.model.id: point.model.formula for point in points}
    assert formulas["growth-terms-3"] == "y ~ 1 + x1 + x2 + (1 + x1 + x2 || g)"
    assert formulas["growth-crossed-2"] == "y ~ 1 + (1 | g1) + (1 | g2)"
