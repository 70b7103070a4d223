"""Ctrl-C amid long work: what is done is returned, the same numbers that uninterrupted work has."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference import exact_tests, refits
from mixedmodels.inference.profile import limits, profile


def stopping(function, after):
    """Return a function that is stopped by Ctrl-C when it is called once more than so many times."""
    calls = itertools.count()

    def called(*args, **kwargs):
        if next(calls) == after:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    return called


@pytest.fixture
def in_small_batches(monkeypatch):
    """Make batches of ten responses, so that a piece of work has many."""
    made = refits.Refitter.batch.func

    def small(self):
        batch = made(self)
        batch.size = 10
        return batch

    monkeypatch.setattr(refits.Refitter, "batch", property(small))


@pytest.mark.parametrize("name", ["dyestuff", "cbpp"])
def test_a_bootstrap_keeps_the_batches_that_are_done(fitted, monkeypatch, in_small_batches, name):
    model = fitted(name)
    whole = mm.bootstrap(model, nsim=40, rng=1)
    monkeypatch.setattr(refits, "_copy", stopping(refits._copy, 3))
    with pytest.warns(mm.DataWarning, match="bootstrap interrupted: 30 of 40"):
        part = mm.bootstrap(model, nsim=40, rng=1)
    np.testing.assert_array_equal(part.replicates, whole.replicates[:30])
    assert part.nsim == 30


def test_many_responses_keep_the_batches_that_are_done(fitted, monkeypatch, in_small_batches):
    model = fitted("dyestuff")
    Y = model.simulate(40, seed=1)
    whole = mm.refit_many(model, Y)
    monkeypatch.setattr(refits, "_copy", stopping(refits._copy, 2))
    with pytest.warns(mm.DataWarning, match="20 of 40 responses are done"):
        part = mm.refit_many(model, Y)
    pd.testing.assert_frame_equal(part, whole.iloc[: len(part)])
    assert part["response"].nunique() == 20


def test_a_statistic_keeps_the_replicates_that_are_done(fitted):
    model = fitted("dyestuff")
    # Once for the fit itself, twice for the names of what is kept.
    sigma = stopping(lambda m: m.sigma(), 10)
    with pytest.warns(mm.DataWarning, match=r"bootstrap interrupted: [5-9] of 50"):
        part = mm.bootstrap(model, sigma, nsim=50, rng=1)
    whole = mm.bootstrap(model, lambda m: m.sigma(), nsim=50, rng=1)
    np.testing.assert_array_equal(part.replicates, whole.replicates[: len(part)])


@pytest.mark.parametrize("stopped", ["small", "large"])
def test_a_bootstrap_test_keeps_the_ratios_that_are_done(monkeypatch, in_small_batches, stopped):
    large = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    small = mm.lmer("Reaction ~ 1 + (1 | Subject)", mm.load_dataset("sleepstudy"))
    whole = mm.pb_modcomp(large, small, nsim=40, rng=1).attrs["reference"]
    monkeypatch.setattr(refits, "_copy", stopping(refits._copy, 2 if stopped == "small" else 6))
    with pytest.warns(mm.DataWarning, match="pb_modcomp interrupted"):
        part = mm.pb_modcomp(large, small, nsim=40, rng=1).attrs["reference"]
    np.testing.assert_array_equal(part, whole[: 0 if stopped == "small" else 20])


def test_a_profile_keeps_the_curves_that_are_done(fitted, monkeypatch):
    model = fitted("dyestuff")
    whole = mm.profile(model)
    monkeypatch.setattr(profile, "_followed", stopping(profile._followed, 2))
    with pytest.warns(mm.DataWarning, match="profile interrupted: the curves of 2 of 3"):
        part = mm.profile(model)
    assert list(part) == list(whole)[:2] and ".sigma" in repr(part)
    np.testing.assert_array_equal(part[".sigma"].zeta, whole[".sigma"].zeta)
    monkeypatch.setattr(profile, "_followed", stopping(profile._followed, 0))
    with pytest.raises(KeyboardInterrupt):
        mm.profile(model)


def test_intervals_keep_the_limits_that_are_found(fitted, monkeypatch):
    model = fitted("dyestuff")
    whole = model.confint()
    monkeypatch.setattr(limits, "_one_limit", stopping(limits._one_limit, 3))
    with pytest.warns(mm.DataWarning, match="confint interrupted: 3 of 6 limits are found"):
        part = model.confint()
    np.testing.assert_array_equal(part.to_numpy().ravel()[:3], whole.to_numpy().ravel()[:3])
    assert part.isna().to_numpy().sum() == 3 and "the others are NaN" in repr(part)


def test_an_exact_test_keeps_the_ratios_that_are_drawn(fitted, monkeypatch):
    model = fitted("dyestuff")
    monkeypatch.setattr(exact_tests, "DRAWS", 50)
    whole = mm.exact_rlrt(model, nsim=200, rng=1)
    monkeypatch.setattr(exact_tests, "_highest", stopping(exact_tests._highest, 2))
    with pytest.warns(mm.DataWarning, match="100 of 200 ratios are drawn"):
        part = mm.exact_rlrt(model, nsim=200, rng=1)
    np.testing.assert_array_equal(part.sample, whole.sample[:100])


def test_a_bar_moves_with_the_batches(fitted, monkeypatch, in_small_batches):
    steps = []
    monkeypatch.setattr("mixedmodels.progress.Progress.add", lambda self, n=1: steps.append(n))
    mm.bootstrap(fitted("dyestuff"), nsim=40, rng=1)
    assert steps == [10] * 4
    steps.clear()
    mm.refit_many(fitted("dyestuff"), fitted("dyestuff").simulate(25, seed=1), n_jobs=1)
    assert steps == [10, 10, 5]
