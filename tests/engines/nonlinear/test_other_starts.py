"""Curves with many optima: a fit from any start ends in the one that a fit from near the truth has."""

import numpy as np
import pytest

import mixedmodels as mm

WAVE = "y ~ A + B * sin(w * t) + C * cos(w * t) ~ A | g"
START = {"A": 10.0, "B": 1.0, "C": 1.0, "w": 6.0}


def waves(groups=8, rows=25):
    rng = np.random.default_rng(1)
    g, t = np.repeat(np.arange(groups), rows), np.tile(np.linspace(-0.25, 1.25, rows), groups)
    mean = 10.0 + 2.0 * rng.standard_normal(groups)[g]
    mean += 4.0 * np.sin(2 * np.pi * t) + 2.0 * np.cos(2 * np.pi * t)
    return {"y": mean + rng.standard_normal(len(g)), "t": t, "g": g}


def wave(t, A, B, C, w):
    return A + B * np.sin(w * t) + C * np.cos(w * t)


@pytest.mark.parametrize("method", ["laplace", "lindstrom-bates"])
def test_a_frequency_is_found_from_far_away(method):
    data = waves()
    near = mm.nlmer(WAVE, data, start=START, method=method)
    assert near.fixef()["w"] == pytest.approx(2 * np.pi, abs=0.1)
    for w in (12.0, 25.0):
        far = mm.nlmer(WAVE, data, start={**START, "w": w}, method=method)
        assert far.loglik() == pytest.approx(near.loglik(), abs=1e-6)
        assert far.fixef()["w"] == pytest.approx(near.fixef()["w"], rel=1e-5)


def test_a_frequency_and_its_phase_are_found_together():
    data = waves()
    near = mm.nlmer(WAVE, data, start=START)
    far = mm.nlmer("y ~ A + B * sin(w * t + p) ~ A | g", data, start={"A": 8, "B": 2, "p": 1.9, "w": 18.0})
    assert far.loglik() == pytest.approx(near.loglik(), abs=1e-6)


def test_functions_families_and_correlated_residuals_look_around_too():
    data = waves()
    own = {"start": {**START, "w": 18.0}}
    by_function = mm.nlmer("y ~ wave(t, A, B, C, w) ~ A | g", data, env={"wave": wave}, **own)
    assert by_function.loglik() == pytest.approx(mm.nlmer(WAVE, data, start=START).loglik(), abs=1e-6)
    correlated = mm.nlmer(WAVE, data, method="lindstrom-bates", residual="ar1(1 | g)", **own)
    assert correlated.fixef()["w"] == pytest.approx(2 * np.pi, abs=0.1)
    counts = {**data, "y": np.random.default_rng(2).poisson(np.exp(0.15 * data["y"]))}
    start = {"A": 1.0, "B": 0.1, "C": 0.1}
    far, near = (mm.nlmer(WAVE, counts, start={**start, "w": w}, family="poisson") for w in (18.0, 6.0))
    assert far.loglik() == pytest.approx(near.loglik(), abs=1e-6)


def test_a_growth_curve_that_is_at_its_optimum_is_left_there():
    trees = mm.load_dataset("Orange")
    m = mm.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", trees)
    assert m.optimization.n_evaluations < 40
    assert m.loglik() == pytest.approx(-131.571885, abs=1e-5)


def test_a_peak_is_found_from_beside_it():
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(10), 30), np.tile(np.linspace(0.0, 10.0, 30), 10)
    y = (5.0 + rng.standard_normal(10)[g]) * np.exp(-((x - 4.0) ** 2) / 1.28) + 0.2 * rng.standard_normal(300)
    peak, data = "y ~ A * exp(-(x - m)^2 / (2 * s^2)) ~ A | g", {"y": y, "x": x, "g": g}
    near = mm.nlmer(peak, data, start={"A": 5, "m": 4, "s": 0.8})
    for m in (0.0, 9.0):
        far = mm.nlmer(peak, data, start={"A": 1, "m": m, "s": 1})
        assert far.loglik() == pytest.approx(near.loglik(), abs=1e-6)
        assert far.fixef()["m"] == pytest.approx(4.0, abs=0.1)
