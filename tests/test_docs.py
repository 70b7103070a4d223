"""What the pages in docs/ show is what happens, and the reference has every public name."""

import doctest
import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

import mixedmodels as mm
from benchmarks import records, report
from benchmarks.compare import compare
from benchmarks.suite import MODELS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
WITH_EXAMPLES = [path for path, text in PAGES.items() if ">>> " in text]
#: Blanks at the ends of lines are not shown.
FLAGS = doctest.NORMALIZE_WHITESPACE
#: Packages of the extras that a page shows.
PICTURES = ("matplotlib.pyplot",)
NEEDED = {"tidy": ("maketables", "sklearn", "marginaleffects"), "gallery": PICTURES, "nonlinear": PICTURES}


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_every_example_prints_what_stands_there(page):
    needed = [pytest.importorskip(package) for package in NEEDED.get(page.stem, ())]
    with pd.option_context("display.width", 100):
        found = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS, encoding="utf-8")
    if NEEDED.get(page.stem) == PICTURES:
        needed[0].close("all")
    assert found.attempted
    assert not found.failed


def test_there_are_pages_with_examples():
    assert len(WITH_EXAMPLES) >= 1


def test_the_reference_has_every_public_name_once():
    listed = [
        name
        for path, text in PAGES.items()
        if path.parent.name == "api"
        for block in re.findall(r"autosummary::\n(.*?)```", text, flags=re.DOTALL)
        for name in re.findall(r"^   (\w+)$", block, flags=re.MULTILINE)
    ]
    assert sorted(listed) == sorted(mm.__all__)


def test_every_image_of_a_page_is_there_and_every_picture_of_the_gallery_is_shown():
    shown = {
        (path.parent / image).resolve()
        for path, text in PAGES.items()
        for image in re.findall(r"!\[[^\]]*\]\(([^):]+)\)", text)
    }
    assert all(image.exists() for image in shown)
    assert {path.resolve() for path in DOCS.glob("_gallery/*.png")} <= shown


def test_the_pages_on_benchmarks_show_the_newest_results():
    directory = DOCS.parent / "benchmarks" / "results"
    kept = report.fewest_threads(records.read(report.newest(directory)))
    rows = compare(kept, MODELS)
    for name, tag in report.PAGES:
        shown = report.short_table([row for row in rows if tag is None or tag in row.model.tags])
        assert shown in (DOCS.parent / name).read_text(encoding="utf-8")


def test_the_plain_index_has_every_page_and_every_public_name():
    spec = importlib.util.spec_from_file_location("plain_index", DOCS / "plain_index.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.index_text(DOCS)
    for page in WITH_EXAMPLES:
        assert f"](_sources/{page.relative_to(DOCS).as_posix()}.txt): " in text
    for name in mm.__all__:
        assert re.search(rf"^- `{name}[(`].*: .+$", text, flags=re.MULTILINE), name
    # A page that begins with questions is described by them, and a bare list of pages is left out.
    assert module.what_it_says("# Questions\n\n## Why?\n\nNo.\n\n## When?\n") == "Why?; When?"
    assert module.what_it_says("# A list\n\n```{toctree}\nx\n```\n") == ""
