"""The draft of the paper cites what is in its bibliography, and its numbers are those of the repository."""

import re
from pathlib import Path
from statistics import median

from benchmarks import records, report
from benchmarks.compare import compare
from benchmarks.suite import MODELS
from mixedmodels.replication.published import published_tables

ROOT = Path(__file__).resolve().parents[1]
PAPER = (ROOT / "paper" / "paper.md").read_text(encoding="utf-8")
BIBLIOGRAPHY = (ROOT / "paper" / "paper.bib").read_text(encoding="utf-8")
TEXT = " ".join(PAPER.split())


def test_every_citation_has_its_entry_and_every_entry_is_cited():
    cited = re.findall(r"\[-?@(\w+)\]", PAPER)
    entries = re.findall(r"^@\w+\{(\w+),$", BIBLIOGRAPHY, flags=re.MULTILINE)
    assert set(cited) == set(entries)
    assert len(entries) == len(set(entries))


def test_the_published_numbers_are_counted():
    tables = published_tables()
    count = sum(len(table.numbers) for table in tables)
    texts = len({table.source for table in tables})
    assert texts == 4
    assert f"{count} numbers in {len(tables)} tables of four published texts" in TEXT


def test_the_ratios_are_those_of_the_committed_results():
    kept = report.fewest_threads(records.read(report.newest(ROOT / "benchmarks" / "results")))
    rows = compare(kept, MODELS)
    lme4 = [ratio for row in rows if (ratio := row.ratio("lme4")) is not None]
    glmm = [ratio for row in rows if (ratio := row.ratio("glmm")) is not None]
    assert f"a suite of {len(rows)}. Over the {len(lme4)} that lme4 fitted" in TEXT
    assert (
        f"{median(lme4):.0f} times as long in the median, and {min(lme4):.0f} to {max(lme4):.0f} times"
        in TEXT
    )
    assert f"fitted {len(glmm)} and took {median(glmm):.1f} times as long in the median" in TEXT
