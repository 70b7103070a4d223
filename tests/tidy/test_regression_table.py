"""Models side by side: what maketables is told, and what it makes of it."""

import numpy as np
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def models():
    sleep, cbpp = mm.load_dataset("sleepstudy"), mm.load_dataset("cbpp")
    return [
        mm.lmer("Reaction ~ Days + (Days | Subject)", sleep),
        mm.lmer("Reaction ~ Days + (1 | Subject)", sleep),
        mm.lm("Reaction ~ Days", sleep),
        mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, "binomial"),
    ]


def test_the_protocol_tells_what_the_model_says(models):
    for m in models:
        table = m.__maketables_coef_table__
        assert table.index.name == "Coefficient"
        assert list(table) == ["b", "se", "t", "p", "ci95l", "ci95u"]
        np.testing.assert_array_equal(table["b"], m.fixef())
        assert m.__maketables_stat__("N") == m.nobs()
        assert m.__maketables_stat__("aic") == m.aic()
        assert m.__maketables_stat__("no such thing") is None
        assert set(m.__maketables_stat_labels__) == set(m.__maketables_default_stat_keys__)
    assert models[0].__maketables_depvar__ == "Reaction"
    assert models[0].__maketables_stat__("sd(Days | Subject)") == pytest.approx(5.92213, abs=1e-4)
    assert models[3].__maketables_stat__("sd((Intercept) | herd)") == pytest.approx(0.642261, abs=1e-5)
    assert models[0].__maketables_stat__("levels(Subject)") == 18


def test_wrong_arguments(models):
    with pytest.raises(mm.ControlError, match="format"):
        mm.regression_table(models, "pdf")
    with pytest.raises(mm.ControlError, match="1 names for 4 models"):
        mm.regression_table(models, names=["one"])
    with pytest.raises(mm.ControlError, match="no model"):
        mm.regression_table([])
    with pytest.raises(mm.ControlError, match="fitted model"):
        mm.regression_table([models[0], 3])


def test_without_maketables_the_error_says_what_to_install(models, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "maketables", None)
    with pytest.raises(mm.NotAvailableError, match=r"mixedmodels\[tables\]"):
        mm.regression_table(models)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("format", ["html", "latex", "markdown", "typst"])
def test_tables_hold_the_numbers(models, format):
    pytest.importorskip("maketables")
    text = mm.regression_table(models[:3], format, names=["slopes", "intercepts", "none"])
    for shown in ("10.467", "1.546", "intercepts", "180", "1755.6"):
        assert shown in text.replace(",", "").replace("\\", ""), shown
    assert {"html": "<table", "latex": "tabular", "markdown": "| --- |", "typst": "table("}[format] in text


def test_a_document(models):
    pytest.importorskip("maketables")
    pytest.importorskip("docx")
    document = mm.regression_table(models[0], "docx")
    cells = [cell.text for row in document.tables[0].rows for cell in row.cells]
    assert any("10.467" in cell for cell in cells)
