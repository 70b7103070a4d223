"""Every published number is computed, compared with its tolerance, and within it."""

import dataclasses
import re
from pathlib import Path

import pytest

from mixedmodels.__main__ import main
from mixedmodels.command import replicate as command
from mixedmodels.replication import report
from mixedmodels.replication.fits import CONTENTS, RECIPES
from mixedmodels.replication.published import published_tables
from mixedmodels.replication.report import Comparison, compare, table_text

TABLES = {table.title: table for table in published_tables()}
PAGES = Path(__file__).resolve().parents[1] / "docs" / "replications"


@pytest.mark.parametrize("title", TABLES)
def test_every_number_of_the_table_holds(title):
    table = TABLES[title]
    missed = [comparison for comparison in compare(table) if not comparison.holds]
    assert not missed, table_text(table, missed)


def test_titles_tell_the_tables_apart_and_each_has_its_contents():
    assert len(TABLES) == len(published_tables()) == 34
    assert sum(len(table.numbers) for table in TABLES.values()) == 463
    assert set(TABLES) == set(CONTENTS)


def test_every_recipe_is_shown_by_a_table():
    assert set(RECIPES) == {name for contents in CONTENTS.values() for name in contents.fits.values()}


def test_the_command_prints_the_tables_and_a_count(capsys):
    assert main(["--table", "cbpp"]) == 0
    out = capsys.readouterr().out
    assert "CBPP m1 (Laplace)" in out and "CBPP m2 (observation-level random effect)" in out
    assert re.search(r"^sd herd +0\.6421 +0\.64226\d* +0\.00016 +0\.00019 +ok$", out, re.M)
    assert "21 of 21 published numbers in 2 tables reproduced within their tolerance" in out.splitlines()[-1]


def test_a_number_beyond_its_tolerance_is_shown_counted_and_fails_the_command(capsys, monkeypatch):
    table = TABLES["Dyestuff data (columns = batches)"]
    wrong = dataclasses.replace(table.numbers[0], published="1546", tolerance=0.5)
    broken = dataclasses.replace(table, numbers=(wrong, *table.numbers[1:]))
    monkeypatch.setattr(command, "published_tables", lambda: (broken,))
    assert main([]) == 1
    out = capsys.readouterr().out
    assert out.count("MISSED") == 1
    assert "29 of 30" in out


def test_a_number_that_cannot_be_computed_says_why(capsys, monkeypatch):
    table = TABLES["Dyestuff data (columns = batches)"]
    unknown = dataclasses.replace(table.numbers[0], quantity="colour")
    monkeypatch.setattr(
        command, "published_tables", lambda: (dataclasses.replace(table, numbers=(unknown,)),)
    )
    assert main([]) == 1
    assert "NOT COMPUTED: LookupError: no rule knows the quantity 'colour'" in capsys.readouterr().out


def test_an_unknown_coefficient_lists_those_there_are():
    table = TABLES["CBPP m1 (Laplace)"]
    unknown = dataclasses.replace(table, numbers=(dataclasses.replace(table.numbers[0], quantity="period5"),))
    (comparison,) = compare(unknown)
    assert comparison.ours is None
    assert "'period5'" in comparison.reason and "period4" in comparison.reason


def test_the_list_names_the_tables_and_fits_nothing(capsys, monkeypatch):
    monkeypatch.setattr(report, "our_number", None)
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 34
    assert lines[0].startswith("   8 numbers  Toxoplasmosis data")


def test_a_name_that_no_table_has_is_an_error(capsys):
    assert main(["--table", "no such table"]) == 2
    assert "--list" in capsys.readouterr().err


def test_a_difference_of_exactly_the_tolerance_holds():
    number = dataclasses.replace(TABLES["cm1"].numbers[0], published="0.3", tolerance=0.1)
    assert Comparison(number, 0.4).holds
    assert not Comparison(number, 0.4001).holds


def test_the_frame_has_numbers_as_they_are_printed():
    frame = report.side_by_side(TABLES["Epileptic seizures glmm2GQ (random intercept, nAGQ = 20)"])
    assert list(frame.columns) == ["published", "ours", "within"]
    assert frame["within"].all()
    # Decimals of the print: fixed, in powers of ten, and no more than five digits.
    assert frame.loc["se group"].tolist() == ["0.21067", "0.21067", True]
    assert frame.loc["p (Intercept)", "ours"] == "1.35e-11"
    assert report.side_by_side(TABLES["cm6"]).loc["(Intercept)", "ours"] == "-1.3408"


def test_the_frame_shows_what_misses_and_what_is_not_computed():
    table = TABLES["CBPP m1 (Laplace)"]
    number = table.numbers[0]
    wrong = dataclasses.replace(number, published="100.0")
    unknown = dataclasses.replace(number, quantity="of another model")
    frame = report.side_by_side(dataclasses.replace(table, numbers=(wrong, unknown)))
    assert frame["within"].tolist() == [False, False]
    assert frame["ours"].tolist() == ["194.1", "-"]


def test_each_text_has_a_page_that_shows_every_one_of_its_tables():
    pages = [path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")]
    for title in TABLES:
        assert sum(title in page for page in pages) >= 1, title
