"""What the pages in docs/ show is what happens."""

import doctest
from pathlib import Path

import pandas as pd
import pytest

DOCS = sorted((Path(__file__).resolve().parents[1] / "docs").glob("*.md"))
#: Blanks at the ends of lines are not shown.
FLAGS = doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.stem)
def test_every_example_prints_what_stands_there(page):
    with pd.option_context("display.width", 100):
        found = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS, encoding="utf-8")
    assert found.attempted > 10
    assert not found.failed


def test_the_readme_points_to_every_page():
    readme = (DOCS[0].parents[1] / "README.md").read_text(encoding="utf-8")
    for page in DOCS:
        assert f"(docs/{page.name})" in readme
