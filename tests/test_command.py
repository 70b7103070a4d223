"""``mixedmodels fit`` does what the calls do, and says what is wrong as they do."""

import io
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.__main__ import main

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture
def sleepstudy(tmp_path):
    path = tmp_path / "sleep.csv"
    mm.load_dataset("sleepstudy").to_csv(path, index=False)
    return path


def test_fit_prints_the_summary_and_writes_both_files(sleepstudy, tmp_path, capsys):
    tidy, record = tmp_path / "tidy.csv", tmp_path / "fit.json"
    assert main(["fit", FORMULA, str(sleepstudy), "--tidy", str(tidy), "--json", str(record)]) == 0
    model = mm.lmer(FORMULA, pd.read_csv(sleepstudy))
    assert capsys.readouterr().out == f"{model.summary()}\n"
    pd.testing.assert_frame_equal(pd.read_csv(tidy), model.tidy(), check_dtype=False)
    written = json.loads(record.read_text())
    assert written["verdict"]["verdict"] == "converged"
    assert written["glance"]["REMLcrit"] == pytest.approx(model.REMLcrit())
    assert len(written["parameters"]) == len(model.tidy())


@pytest.mark.parametrize(
    ("arguments", "fit"),
    [
        (["--ml"], lambda d: mm.lmer(FORMULA, d, False)),
        (["--subset", "Days > 2"], lambda d: mm.lmer(FORMULA, d, subset="Days > 2")),
        (["--family", "Gamma", "--link", "log"], lambda d: mm.glmer(FORMULA, d, mm.Gamma("log"))),
    ],
)
def test_options(sleepstudy, capsys, arguments, fit):
    main(["fit", FORMULA, str(sleepstudy), *arguments])
    shown = capsys.readouterr().out.splitlines()
    expected = str(fit(pd.read_csv(sleepstudy)).summary()).splitlines()
    assert [line for line in shown if "Family" not in line] == [
        line for line in expected if "Family" not in line
    ]


@pytest.mark.parametrize("formula", ["Reaction ~ Days", "Days ~ Reaction"])
def test_models_without_random_effects(sleepstudy, capsys, formula):
    assert main(["fit", formula, str(sleepstudy)]) == 0
    assert f"{mm.lm(formula, pd.read_csv(sleepstudy)).summary()}\n" == capsys.readouterr().out
    assert main(["fit", formula, str(sleepstudy), "--family", "gaussian"]) == 0


def test_csv_from_the_standard_input(sleepstudy, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(sleepstudy.read_text()))
    assert main(["fit", FORMULA, "-"]) == 0
    assert "REML criterion at convergence: 1743.6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("formula", "name", "says"),
    [
        ("Reaction ~ Dayz + (1 | Subject)", "sleep.csv", "Dayz"),
        (FORMULA, "nowhere.csv", "nowhere.csv"),
        (FORMULA, "sleep.xyz", "expected a name that ends in .csv"),
        ("Reaction ~ ", "sleep.csv", "formula"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(sleepstudy, capsys, formula, name, says):
    assert main(["fit", formula, str(sleepstudy.parent / name)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("mixedmodels: ") and says in shown.err and "Traceback" not in shown.err


def test_a_doubtful_fit_has_its_status_and_says_why(tmp_path, capsys):
    path = tmp_path / "doubtful.csv"
    pd.DataFrame(
        {"y": [0, 0, 0, 0, 1, 1, 1, 1], "x": [0, 0, 0, 0, 1, 1, 1, 1], "g": list("abcdabcd")}
    ).to_csv(path, index=False)
    assert main(["fit", "y ~ x + (1 | g)", str(path), "--family", "binomial"]) == 3
    assert "warning" in capsys.readouterr().err


def test_versions_are_shown(capsys):
    assert main(["versions"]) == 0
    shown = capsys.readouterr().out
    mm.show_versions()
    assert capsys.readouterr().out == shown
    for name in ("mixedmodels", "numpy", "kernels", "BLAS", "python"):
        assert f"\n{name} " in f"\n{shown}"


def test_a_reader_who_has_seen_enough_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "mixedmodels", "--list"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
