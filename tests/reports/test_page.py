"""What a notebook shows: the words and numbers of the terminal, in tables that are tables."""

import pickle
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.reports.html import Table, html
from mixedmodels.reports.page import Page, frame_table, html_of
from mixedmodels.reports.text_tables import coefficient_table, fill_line, named_values, text_matrix


class Reader(HTMLParser):
    """Reads the words of a page, the cells of its tables, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.tables, self.paragraphs, self.aligned = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "br":
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.aligned.append(dict(attrs).get("style", ""))
        elif tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words += data.split()
        if self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self.open[-1] == "p":
            self.paragraphs[-1] += data


texts = st.text("abcxyz<&>'\"() :|0123.", max_size=12).map(str.strip)


@given(st.data())
def test_every_cell_of_a_table_is_shown_once(data):
    n, p = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 30))
    cells = [[data.draw(texts) for _ in range(p)] for _ in range(n)]
    rows, columns = [f"row {i}" for i in range(n)], [f"c{j}" for j in range(p)]
    page = text_matrix(cells, rows, columns, right=True)
    (table,) = Reader(page._repr_html_()).tables
    one_blank = [[" ".join(cell.split()) for cell in row] for row in cells]
    assert table == [["", *columns], *([r, *row] for r, row in zip(rows, one_blank, strict=True))]


@given(st.lists(st.text("ab<&>:$#\n-", max_size=9), max_size=9))
def test_lines_lose_nothing_but_marks_and_blanks(lines):
    shown = Reader(html(lines)).words
    kept = [w for w in "\n".join(lines).split()]

    def letters(words):
        return [c for c in "".join(words) if c in "ab<&>"]

    assert letters(shown) == letters(kept)


def test_numbers_stand_on_the_right_and_words_on_the_left():
    cells = [["a", "1.5", "< 2e-16", "", "-Inf", "12 (ar1)"], ["3", "-12.0", "NA", "***", "1e-07", ""]]
    page = text_matrix(cells, ["", ""], ["Name", "x", "p", "", "y", "Corr"])
    sides = [style.removeprefix("text-align:") for style in Reader(page._repr_html_()).aligned]
    assert sides[:6] == sides[6:12] == ["left", "right", "right", "left", "right", "left"]


def test_heads_paragraphs_and_the_legend():
    estimates = coefficient_table(np.array([[1.0, 0.5, 2.0, 0.001]]), ["x"], ["a", "b", "c", "Pr(>|t|)"])
    page = Page(["Title", "Formula: y ~ x", "", "Fixed effects:", estimates, "", "$Subject", estimates])
    assert str(page).split("\n")[3:6] == ["Fixed effects:", *str(estimates).split("\n")[:2]]
    shown = html_of(page)
    assert "<p>Title<br>Formula: y ~ x</p>" in shown
    assert (
        '<p class="head">Fixed effects</p><table>' in shown and '<p class="head">Subject</p><table>' in shown
    )
    assert shown.count('<p class="legend">Signif. codes: ') == 2 and "---" not in shown.split("</style>")[1]


def test_lines_broken_for_the_terminal_are_whole_again():
    long = "one_long_name + " * 9 + "x"
    filled = fill_line(long.split(" "))
    assert "\n" in filled
    assert Reader(html([filled])).paragraphs == [long]
    assert "[lmerModLmerTest]" in html(["A title [\nlmerModLmerTest]"])


def test_named_values_are_one_table_however_many():
    names = [f"coefficient_{i}" for i in range(40)]
    page = named_values(names, [str(i) for i in range(40)])
    assert str(page).count("\n") > 5
    assert Reader(page._repr_html_()).tables == [[names, [str(i) for i in range(40)]]]


def test_a_long_frame_is_cut_as_pandas_cuts_it():
    frame = pd.DataFrame({"a": np.arange(500.0)}, index=[f"g{i}" for i in range(500)])
    table = frame_table(str(frame), frame)
    assert table.text == str(frame)
    assert table.rows == ("g0", "g1", "g2", "g3", "g4", "…", "g495", "g496", "g497", "g498", "g499")
    with pd.option_context("display.max_rows", None):
        assert len(frame_table("", frame).rows) == 500
    assert frame_table("", frame[[]].head(2)).cells == ((), ())


def test_pages_are_texts_and_can_be_pickled():
    page = Page(["a", Table("b  c", (("b", "c"),), ("",), ("", ""))])
    assert page == "a\nb  c" and repr(page) == "a\nb  c" and page.upper() == "A\nB  C"
    again = pickle.loads(pickle.dumps(page))
    assert type(again) is Page and again.parts == page.parts and again == page
    assert Page([page, page]).parts == page.parts * 2


@pytest.fixture(scope="module")
def shown():
    """Return one result of every kind that a notebook shows as tables."""
    sleep, machines = mm.load_dataset("sleepstudy"), mm.load_dataset("Machines")
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    small = mm.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    none = mm.lmer("Reaction ~ 1 + (1 | Subject)", sleep)
    crossed = mm.lmer("score ~ Machine + (Machine | Worker)", machines)
    plain = mm.lm("Reaction ~ Days", sleep)
    cbpp = mm.load_dataset("cbpp")
    g = mm.glmer("incidence / size ~ period + (1 | herd)", cbpp, "binomial", weights="size")
    means = mm.emmeans(crossed, "Machine")
    return {
        "lmer": m, "glmer": g, "lm": plain, "summary": m.summary(), "lm summary": plain.summary(),
        "glm": mm.glm("incidence / size ~ period", cbpp, "binomial", weights="size"),
        "kenward-roger": m.summary(ddf="kenward-roger"), "stripped": m.strip(), "anova": m.anova(),
        "two": mm.anova(small, m, refit=False), "Anova": mm.Anova(crossed), "ranova": small.ranova(),
        "drop1": mm.drop1(g), "VarCorr": crossed.VarCorr(), "ranef": m.ranef(), "emmeans": means,
        "pairs": means.pairs(), "both": mm.emmeans(crossed, "pairwise ~ Machine"), "frame": means.summary(),
        "by": mm.emmeans(g, "period", type="response"), "joint": mm.joint_tests(crossed),
        "Wald": m.confint(method="Wald"), "profile": mm.profile(small, "theta_"),
        "bootstrap": mm.bootstrap(small, nsim=5, rng=1), "kr": mm.kr_modcomp(small, none),
        "rePCA": mm.rePCA(crossed), "r2": mm.r2(m), "icc": mm.icc(small),
        "sources": mm.r2(m, method="rights-sterba"), "checks": mm.check_model(m),
        "influence": mm.influence(small, groups="Subject"), "hypothesis": m.linear_hypothesis("Days = 10"),
        "compare": mm.compare(small, m), "effects": mm.average_marginal_effects(g),
        "marginal": mm.marginal_coefs(g), "scaled": mm.scaled_residuals(g, nsim=50, rng=1),
    }  # fmt: skip


def test_every_result_is_tables_with_the_words_of_the_terminal(shown):
    for name, result in shown.items():
        read = Reader(result._repr_html_())
        assert read.tables, name
        assert all(len(row) == len(table[0]) for table in read.tables for row in table), name
        marks = {"---", "#", "Check", "Finding", "Test", "Result"}
        text = " ".join(" ".join(repr(result).split()).replace("[ ", "[").split())
        there = {w.strip("$:") for w in text.split()} - marks
        here = {w.strip("$:") for w in read.words} - marks
        if name not in ("ranef", "sources"):  # numbers of pandas have other digits
            assert there == here, name


def test_every_result_is_pickled_and_says_the_same(shown):
    report, check = shown["lmer"].report(), mm.check_singularity(shown["lmer"])
    for result in (*shown.values(), report, check, shown["lmer"].convergence()):
        again = pickle.loads(pickle.dumps(result))
        assert type(again) is type(result) and repr(again) == repr(result)
        if hasattr(result, "_repr_html_"):
            assert again._repr_html_() == result._repr_html_()


def test_records_in_a_sentence_are_paragraphs(shown):
    check = mm.check_singularity(shown["lmer"])
    assert Reader(check._repr_html_()).paragraphs == [check.sentence]
    test = mm.exact_rlrt(
        mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy")), nsim=50, rng=1
    )
    assert len(Reader(test._repr_html_()).paragraphs) == 2


def test_colours_are_those_of_the_page(shown):
    """Light or dark: nothing sets a colour, so that lines and letters have those around them."""
    style = shown["summary"]._repr_html_().split("</style>")[0]
    assert "#" not in style and "rgb" not in style and style.count("color:") == style.count("color:inherit")
