"""Bounds of p-values where several random effects are added at once, against simulated projections."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.inference.boundary_tests import boundary_bounds, boundary_p_value

DATA = mm.load_dataset("sleepstudy").assign(x=lambda d: np.sin(np.arange(len(d))))
DRAWS = 200_000


def fit(bars):
    return mm.lmer(f"Reaction ~ Days + {bars}", DATA, REML=False)


def simulated(k, lines, x):
    """Return P(squared length of the projection on k x k PSD matrices and some lines > x), unit metric."""
    rng = np.random.default_rng(5)
    A = rng.normal(size=(DRAWS, k, k))
    symmetric = (A + A.transpose(0, 2, 1)) / np.sqrt(2.0) / np.sqrt(2.0)
    values = np.linalg.eigvalsh(symmetric)
    squares = (np.maximum(values, 0.0) ** 2).sum(axis=1) + rng.chisquare(max(lines, 1), DRAWS) * (lines > 0)
    return float((squares > x).mean())


@pytest.mark.parametrize(("k", "lines"), [(2, 0), (3, 0), (2, 2), (2, 4)])
def test_bounds_hold_the_p_value_of_a_projection(k, lines):
    total = lines + k * (k + 1) // 2
    for x in (1.0, 4.0, 9.0):
        low, high = boundary_bounds(x, lines, total)
        # 1e-3 is below the standard error of the simulation only where the p-value is tiny.
        assert low - 1e-3 < simulated(k, lines, x) < high + 1e-3
        assert low < high


def test_bounds_meet_where_the_mixture_is_known():
    for covariances in range(4):
        low, high = boundary_bounds(3.7, covariances, covariances + 1)
        assert low == high == pytest.approx(float(boundary_p_value(3.7, 1, covariances)), rel=1e-14)


def test_independent_variances_lie_between_the_bounds():
    for r in (2, 3, 5):
        low, high = boundary_bounds(3.0, 0, r)
        assert low < float(boundary_p_value(3.0, r)) < high


@pytest.mark.parametrize(
    ("small", "large", "cone"),
    [
        ("(1 | Subject)", "(1 + Days + x | Subject)", (2, 5)),
        ("(1 | Subject)", "(1 | Subject) + (0 + Days + x | Subject)", (0, 3)),
        ("(1 | Subject)", "(1 + Days + x || Subject)", (0, 2)),
        ("(0 + x | Subject)", "(0 + x | Subject) + diag(1 + Days | Subject)", (0, 2)),
    ],
)
def test_anova_has_bounds_when_asked(small, large, cone):
    small, large = fit(small), fit(large)
    table = mm.anova(small, large, bounds=True)
    row = table.iloc[1]
    expected = boundary_bounds(float(row["Chisq"]), *cone)
    assert (row["Pr(>Chibar) min"], row["Pr(>Chibar) max"]) == pytest.approx(expected, rel=1e-12)
    assert row["Pr(>Chibar) max"] <= row["Pr(>Chisq)"]
    assert "bounds where several random effects are added at once" in repr(table)
    assert list(mm.anova(small, large).columns)[-1] == "Pr(>Chisq)"


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("(1 | Subject)", "(1 + Days | Subject)"),  # known exactly
        ("(1 | Subject) + (0 + Days | Subject)", "(1 + Days | Subject)"),  # no variance is added
        ("(1 | Subject)", "cs(1 + Days + x | Subject)"),  # a correlation that means nothing at zero
    ],
)
def test_no_bounds_elsewhere(small, large):
    assert "Pr(>Chibar) min" not in mm.anova(fit(small), fit(large), bounds=True)
