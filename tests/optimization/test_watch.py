"""Fits that are watched: printed lines, log records, the bar, and nothing where nobody asked."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.optimization import watch as watching
from mixedmodels.optimization.quasi_newton import minimize

SLEEP = "Reaction ~ Days + (Days | Subject)"
TICKS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
LAST = r"^{}: \d+ evaluations, objective {}, [\d.e-]+ s, converged$"


def fits():
    sleepstudy, cbpp, epil = map(mm.load_dataset, ("sleepstudy", "cbpp", "epil"))
    return [
        ("lmer", r"1743\.628272", lambda **v: mm.lmer(SLEEP, sleepstudy, **v)),
        ("glmer", r"184\.05\d+", lambda **v: mm.glmer(TICKS, cbpp, "binomial", **v)),
        ("glmer", r"[\d.]+", lambda **v: mm.glmer(TICKS, cbpp, "binomial", method="pql", **v)),
        ("glmer", r"1743\.628272", lambda **v: mm.glmer(SLEEP, sleepstudy, "gaussian", **v)),
        ("glmer", r"[\d.]+", lambda **v: mm.glmer_nb("y ~ base + trt + (1 | subject)", epil, **v)),
    ]


@pytest.mark.parametrize("k", range(5))
def test_what_is_printed(k, capsys):
    label, objective, fit = fits()[k]
    fit()
    fit(verbose=0)
    assert capsys.readouterr().out == ""
    fit(verbose=1)
    assert re.match(LAST.format(label, objective), capsys.readouterr().out)
    model = fit(verbose=2)
    *lines, last, end = capsys.readouterr().out.split("\n")
    assert end == "" and re.match(LAST.format(label, objective), last)
    assert lines
    for n, line in enumerate(lines, 1):
        assert re.match(rf"^{label} +{n}: -?[\d.]+  \d+\.\d{{3}} s$", line)
    values = [float(line.split(":")[1].split()[0]) for line in lines]
    if k != 2:  # the report of PQL is that of its last working model
        assert len(lines) <= model.optimization.n_evaluations
        assert min(values) == pytest.approx(model.optimization.points[-1][1], abs=1e-5)


@pytest.mark.parametrize("verbose", [3, -1, "yes", 0.5])
def test_other_values_are_refused(verbose):
    for _, _, fit in fits()[:2]:
        with pytest.raises(mm.ControlError, match="verbose must be one of None, 0, 1, 2"):
            fit(verbose=verbose)


def test_the_log_has_the_same_lines(caplog):
    fit = fits()[0][2]
    with caplog.at_level(logging.INFO, "mixedmodels"):
        fit()
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert re.match(LAST.format("lmer", r"1743\.628272"), record.getMessage())
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "mixedmodels"):
        fit()
    assert "lmer: evaluation 1, objective 1743.6" in caplog.records[0].getMessage()
    assert caplog.records[-1].levelno == logging.INFO


def test_the_same_numbers_whoever_watches(capsys):
    for _, _, fit in fits()[:3]:
        assert fit(verbose=2).fixef().equals(fit().fixef())
    capsys.readouterr()


def test_nobody_watches_after_an_error():
    with pytest.raises(RuntimeError), watching.watched("lmer", 2):
        assert watching.current_watch() is not None
        raise RuntimeError
    assert watching.current_watch() is None


class Bars:
    """Stands for tqdm: remembers what was drawn."""

    def __init__(self):
        self.drawn = []

    def __call__(self, total, desc, delay):
        self.drawn.append({"label": desc, "total": total, "done": 0, "closed": False})
        return self

    def update(self, n):
        assert n >= 0
        self.drawn[-1]["done"] += n

    def close(self):
        self.drawn[-1]["closed"] = True


def rosenbrock(x):
    a, b = 1 - x[:-1], x[1:] - x[:-1] ** 2
    gradient = np.zeros_like(x)
    gradient[:-1] = -2 * a - 400 * b * x[:-1]
    gradient[1:] += 200 * b
    return float(a @ a + 100 * b @ b), gradient


@pytest.mark.parametrize(("verbose", "drawn"), [(None, 2), (1, 2), (0, 0)])
def test_a_bar_for_those_who_wait(verbose, drawn, monkeypatch):
    bars = Bars()
    monkeypatch.setattr("mixedmodels.progress.tqdm", bars)
    monkeypatch.setattr("mixedmodels.progress._is_watched", lambda: True)
    monkeypatch.setattr(watching, "LONG", 0.0)
    with watching.watched("lmer", verbose):
        for start in (np.full(6, -1.2), np.zeros(6)):
            assert minimize(rosenbrock, start, np.eye(6)).converged
    assert [bar["label"] for bar in bars.drawn] == ["lmer, search 1", "lmer, search 2"][:drawn]
    for bar in bars.drawn:
        assert bar["closed"] and 50 <= bar["done"] <= bar["total"] == 100


def test_no_bar_for_a_fit_that_is_done_at_once_or_where_nobody_sees_it(monkeypatch):
    bars = Bars()
    monkeypatch.setattr("mixedmodels.progress.tqdm", bars)
    fits()[0][2]()
    monkeypatch.setattr("mixedmodels.progress._is_watched", lambda: True)
    fits()[0][2]()
    assert bars.drawn == []
