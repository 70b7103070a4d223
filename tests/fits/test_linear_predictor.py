"""Random effects and their contribution to rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixedmodels.errors import ControlError
from mixedmodels.fits.linear_predictor import contribution, linear_predictor, random_effects
from mixedmodels.formula import build_design
from mixedmodels.prediction.draws import draw_gaussian, draw_random_effects, generator

DATA = {"y": np.arange(6.0), "x": np.array([0.0, 1, 2, 0, 1, 2]), "g": list("aaabbb"), "h": list("ababab")}


def test_levels_not_seen_contribute_nothing():
    Z, b = np.array([[1.0, 2.0], [1.0, 3.0]]), np.array([[10.0, 1.0], [20.0, 2.0]])
    np.testing.assert_array_equal(contribution(Z, np.array([1, -1], dtype=np.int32), b), [24.0, 0.0])


def test_effects_and_predictor_against_dense_matrices():
    design = build_design("y ~ x + (x | g) + (1 | h)", DATA)
    theta, rng = np.array([1.0, 0.3, 0.5, 2.0]), np.random.default_rng(2)
    u = [rng.normal(size=(t.n_levels, t.size)) for t in design.random]
    b = random_effects(design.random, theta, u)
    np.testing.assert_allclose(b[0], u[0] @ np.array([[1.0, 0.3], [0.0, 0.5]]))
    np.testing.assert_allclose(b[1], 2.0 * u[1])
    eta = linear_predictor(design.X, np.array([1.0, 2.0]), None, design.random, b)
    g, h = np.repeat([0, 1], 3), np.tile([0, 1], 3)
    expected = 1 + 2 * DATA["x"] + b[0][g, 0] + b[0][g, 1] * DATA["x"] + b[1][h, 0]
    np.testing.assert_allclose(eta, expected)


def test_related_levels():
    K = np.array([[1.0, 0.5], [0.5, 1.0]])
    design = build_design("y ~ x + (1 | g)", DATA, relmat={"g": pd.DataFrame(K, list("ab"), list("ab"))})
    (b,) = random_effects(design.random, np.array([2.0]), [np.array([[1.0], [1.0]])])
    np.testing.assert_allclose(b[:, 0], 2.0 * np.linalg.cholesky(K).sum(axis=1))
    rng, one = np.random.default_rng(7), np.array([1.0])
    draws = [draw_random_effects(rng, design.random, one, 1.0, 1)[0][:, 0, 0] for _ in range(4000)]
    np.testing.assert_allclose(np.cov(np.array(draws).T), K, atol=0.08)


def test_noise_of_a_row_of_zero_weight_is_finite():
    noise = draw_gaussian(np.random.default_rng(1), np.zeros((3, 1)), 1.0, np.array([0.0, 1.0, 1e6]))
    assert np.isfinite(noise).all()
    assert abs(noise[2]) < 0.01


def test_seeds():
    assert generator(3).normal() == generator(3).normal()
    shared = np.random.default_rng(1)
    assert generator(shared) is shared
    with pytest.raises(ControlError, match="seed"):
        generator("three")
