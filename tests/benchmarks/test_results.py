"""Records, comparison and report: no contestant is needed."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import growth, records, report
from benchmarks.compare import TOLERANCE, compare
from benchmarks.records import Record
from benchmarks.suite import Model

MODEL = Model("m", "d", "y ~ x + (1 | g)", target_seconds=0.5, note="a small one")


def record(contestant, objective=100.0, seconds=1.0, status="ok", **others):
    fields = {"date": "2026-01-02T03:04Z", "machine": "a machine", "threads": 1, "load": 0.25, "model": "m"}
    measured = {
        "objective": objective,
        "seconds": seconds,
        "fastest": seconds,
        "cpu_seconds": seconds,
        "repeats": 3,
        "fit_mb": 2.0,
    }
    return Record(
        contestant=contestant, status=status, **fields, **(measured if status == "ok" else {}), **others
    )


def compared(*kept):
    (row,) = compare(kept, [MODEL])
    return row


def test_worse_objectives_are_flagged_whoever_it_is():
    row = compared(record("mixedmodels", 100.0 + 2 * TOLERANCE), record("lme4"), record("glmm", 100.0009))
    assert row.flagged == ("mixedmodels",)
    assert row.best == 100.0
    assert row.excess["glmm"] == pytest.approx(0.0009)


def test_an_objective_that_is_not_a_number_is_flagged_and_never_the_best():
    row = compared(record("glmm", float("nan")), record("lme4", 3.0))
    assert row.best == 3.0
    assert row.flagged == ("glmm",)


def test_the_fastest_other_must_have_reached_the_optimum():
    row = compared(
        record("mixedmodels", seconds=0.1),
        record("lme4", seconds=2.0),
        record("lme-python", 200.0, seconds=0.01),
        record("glmm", seconds=0.4),
    )
    assert row.fastest_other().contestant == "glmm"
    assert row.ratio("lme4") == pytest.approx(20.0)
    assert row.ratio("gpboost") is None
    assert row.target_met() is True


def test_absent_and_stopped_contestants_stay_in_the_table():
    gone = record("lme4", status="absent", reason="no Rscript")
    stopped = record("mixedlm", status="timeout", reason="stopped after 60 s")
    row = compared(record("mixedmodels", seconds=0.7), gone, stopped)
    assert row.target_met() is False
    assert report.cell(row, "lme4") == "absent"
    assert report.cell(row, "mixedlm") == "> 60 s"
    assert report.cell(row, "glmm") == ""
    assert "lme4 absent (no Rscript)" in report.notes([row])
    assert "| m | a small one | 700 ms |  | absent |" in report.short_table([row])


def test_two_threads_stand_beside_one_and_change_nothing_else():
    alone = record("mixedmodels", seconds=3.0)
    threaded = replace(alone, threads=2, fastest=2.0, cpu_seconds=3.5)
    row = compared(alone, record("lme4", seconds=9.0), threaded, replace(record("lme4"), threads=2))
    assert row.records["lme4"].threads == 1
    assert row.gain() == pytest.approx(1.5)
    assert report.two_threads(row) == "2 s (1.50)"
    assert "| m | a small one | 3 s | 2 s (1.50) | 9 s | 3 |" in report.short_table([row])
    assert report.two_threads(compared(alone)) == ""


def test_records_survive_the_file(tmp_path):
    path = tmp_path / "2026-01-02.csv"
    kept = [record("lme4", status="failed", reason="a, b", version="1.1-31"), record("glmm", 184.0525637295)]
    records.write(kept, path)
    assert records.read(path) == kept
    assert records.read(tmp_path / "none.csv") == []


def test_newer_records_replace_older_ones():
    old, new = record("lme4", seconds=3.0), record("lme4", seconds=1.0)
    other = record("glmm")
    assert records.merge([old, other], [new]) == [new, other]


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="'fine' is not one of"):
        records.from_fields({"status": "fine"})


def test_the_readme_keeps_everything_but_the_table():
    text = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nThe end.\n"
    changed = report.insert(text, "new")
    assert changed == f"# Title\n\n{report.BEGIN}\nnew\n{report.END}\n\nThe end.\n"
    assert report.insert(changed, "new") == changed
    assert report.insert("# Title\n", "new").endswith(f"{report.BEGIN}\nnew\n{report.END}\n")


def test_report_writes_tables_pages_and_chart(tmp_path):
    results = tmp_path / "results"
    path = results / "2026-01-02.csv"
    sleepstudy = {
        "contestant": "mixedmodels",
        "model": "sleepstudy",
        "status": "ok",
        "seconds": 0.004,
        "cpu_seconds": 0.001,
    }
    header = {"date": "2026-01-02T03:04Z", "machine": "a machine", "threads": 1, "load": 0.2, "fit_mb": 3.0}
    ours = records.from_fields(
        header | sleepstudy | {"objective": 1743.628272, "evaluations": 9, "version": "1"}
    )
    lme4 = records.from_fields(
        header | sleepstudy | {"contestant": "lme4", "objective": 1743.64, "cpu_seconds": 0.01}
    )
    slow = header | sleepstudy | {"model": "kb07-4", "objective": 1.0}
    records.write([ours, lme4, records.from_fields(slow)], path)
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/benchmarks.md"):
        (tmp_path / page).write_text("# Title\n")
    written = report.write(path, tmp_path)
    assert [file.name for file in written[:3]] == ["results.md", "README.md", "benchmarks.md"]
    table = (results / "results.md").read_text()
    assert "1 ms (9)" in table
    assert "10 ms\\*" in table
    assert "3 ms met" in table
    assert "sleepstudy: lme4 +0.01173" in table
    readme, page = ((tmp_path / name).read_text() for name in ("README.md", "docs/benchmarks.md"))
    assert "| 10 |" in readme
    assert "| 10 |" in page
    assert "kb07-4" not in readme
    assert "kb07-4" in page


def test_the_same_numbers_give_the_same_chart(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [
        compared(record("mixedmodels"), record("lme4", 200.0), record("glmm", status="absent", reason="?"))
    ]
    first = report.draw(rows, tmp_path / "one.svg").read_bytes()
    assert report.draw(rows, tmp_path / "two.svg").read_bytes() == first
    kept = [replace(record("mixedmodels"), model="growth-rows-10000", optimization_seconds=0.5)]
    assert growth.draw(kept, tmp_path / "growth.svg").read_text().startswith("<?xml")


def test_the_newest_results_are_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results"):
        report.newest(tmp_path)
    for name in ("2026-01-02.csv", "2026-11-01.csv", "growth.csv"):
        (tmp_path / name).touch()
    assert report.newest(tmp_path) == Path(tmp_path / "2026-11-01.csv")


def test_growth_curves_are_gathered_by_axis_and_size():
    points = {point.model.id: point for point in growth.points()}
    assert {point.axis for point in points.values()} == set(growth.LABELS)
    assert points["growth-theta-6"].model.formula == "y ~ 1 + x1 + x2 + (1 + x1 + x2 | g)"
    header = {
        "date": "d",
        "machine": "m",
        "threads": 1,
        "load": 0.0,
        "contestant": "mixedmodels",
        "status": "ok",
    }
    kept = [
        records.from_fields(header | {"model": f"growth-rows-{n}", "cpu_seconds": n})
        for n in (30_000, 10_000)
    ]
    assert [size for size, _ in growth.curves(kept, "rows")["mixedmodels"]] == [10_000, 30_000]
    assert growth.curves(kept, "levels") == {}


def test_processor_time_is_quoted_for_one_thread_and_the_wall_clock_for_more():
    one = record("lme4", seconds=3.0)
    two = replace(one, threads=2, cpu_seconds=5.0)
    assert (one.quoted, two.quoted) == (3.0, 3.0)
    assert replace(one, cpu_seconds=2.0).quoted == 2.0


def test_one_table_holds_one_number_of_threads():
    one, two = record("lme4"), replace(record("lme4"), threads=2)
    assert report.fewest_threads([two, one]) == [one]
    assert report.fewest_threads([two]) == [two]
