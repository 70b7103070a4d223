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
NEEDED = {"tidy": ("maketables", "sklearn", "marginaleffects")}


def extension(name):
    """Return a module of the site that stands beside its pages."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needed_by(page):
    """Return the packages of extras that a page's examples need."""
    return PICTURES if ">>> picture = " in PAGES[page] else NEEDED.get(page.stem, ())


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_every_example_prints_what_stands_there(page):
    needed = [pytest.importorskip(package) for package in needed_by(page)]
    with pd.option_context("display.width", 100):
        found = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS, encoding="utf-8")
    if needed_by(page) == PICTURES:
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


def test_every_image_of_a_page_is_there_and_each_picture_is_drawn_by_one_page():
    shown = {
        (path.parent / image).resolve()
        for path, text in PAGES.items()
        for image in re.findall(r"!\[[^\]]*\]\(([^):]+)\)", text)
    }
    assert all(image.exists() for image in shown)
    drawn = [image for page in PAGES for image in extension("pictures").drawn_by(page)]
    assert sorted(drawn) == sorted(path.name for path in DOCS.glob("_gallery/*.png"))


def test_the_gallery_shows_every_picture_that_the_package_draws():
    gallery = PAGES[DOCS / "gallery.md"]
    drawn = re.findall(r"^>>> picture = \w+\.(plot\w*)\(", gallery, flags=re.MULTILINE)
    assert set(drawn) == {name for name in mm.__all__ if name.startswith("plot")}


def test_the_pages_on_benchmarks_show_the_newest_results():
    directory = DOCS.parent / "benchmarks" / "results"
    rows = compare(records.read(report.newest(directory)), MODELS)
    for name, tag in report.PAGES:
        shown = report.short_table([row for row in rows if tag is None or tag in row.model.tags])
        assert shown in (DOCS.parent / name).read_text(encoding="utf-8")


def test_the_plain_index_has_every_page_and_every_public_name():
    module = extension("plain_index")
    text = module.index_text(DOCS)
    for page in WITH_EXAMPLES:
        assert f"](_sources/{page.relative_to(DOCS).as_posix()}.txt): " in text
    for name in mm.__all__:
        assert re.search(rf"^- `{name}[(`].*: .+$", text, flags=re.MULTILINE), name
    # A page that begins with questions is described by them, and a bare list of pages is left out.
    assert module.what_it_says("# Questions\n\n## Why?\n\nNo.\n\n## When?\n") == "Why?; When?"
    assert module.what_it_says("# A list\n\n```{toctree}\nx\n```\n") == ""
