"""Which columns are independent: R's rule, whatever the scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.formula import build_design
from mixedmodels.formula.design.fixed_effects import independent_columns


def test_first_columns_are_kept():
    x = np.arange(10.0)
    X = np.column_stack([np.ones(10), x, 2 * x, x**2, x + 1, np.zeros(10), x**3])
    assert independent_columns(X).tolist() == [0, 1, 3, 6]


def test_more_columns_than_rows():
    X = np.random.default_rng(1).normal(size=(5, 9))
    assert independent_columns(X).tolist() == [0, 1, 2, 3, 4]


@given(
    st.integers(0, 1000),
    st.lists(st.floats(-12, 12), min_size=6, max_size=6),
    st.sets(st.integers(1, 5), max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_the_scale_of_columns_does_not_matter(seed, exponents, dependent):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 6))
    for j in sorted(dependent):
        X[:, j] = X[:, :j] @ rng.normal(size=j)
    expected = [j for j in range(6) if j not in dependent]
    assert independent_columns(X).tolist() == expected
    assert independent_columns(X * 10.0 ** np.array(exponents)).tolist() == expected


# qr(cbind(1, x, x + eps * z))$rank with R's tolerance of 1e-7, on unit-scale columns
@pytest.mark.parametrize(("epsilon", "rank"), [(1e-5, 3), (1e-6, 3), (3e-8, 2), (1e-9, 2)])
def test_the_tolerance_is_that_of_R(epsilon, rank):
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(2, 200))
    X = np.column_stack([np.ones(200), x, x + epsilon * z])
    assert len(independent_columns(X)) == rank


def test_large_numbers_are_no_reason_to_drop(sleepstudy):
    data = sleepstudy.assign(Days=sleepstudy["Days"] * 1e6, year=2000.0 + sleepstudy["Days"])
    assert build_design("Reaction ~ Days + (1 | Subject)", data).dropped == ()
    assert build_design("Reaction ~ year + I(year^2) + (1 | Subject)", data).dropped == ()


def test_dropped_columns_are_named(sleepstudy):
    data = sleepstudy.assign(twice=2 * sleepstudy["Days"])
    design = build_design("Reaction ~ Days + twice + (1 | Subject)", data)
    assert design.x_names == ("(Intercept)", "Days")
    assert design.dropped == ("twice",)
    assert build_design("Reaction ~ twice + Days + (1 | Subject)", data).dropped == ("Days",)


def test_empty_cells_of_an_interaction(mixed):
    data = mixed[~((mixed["f"] == "b") & (mixed["s"] == "v"))]
    design = build_design("y ~ f * s + (1 | g)", data)
    assert design.dropped == ("fb:sv",)


def test_a_model_without_fixed_effects(mixed):
    design = build_design("y ~ 0 + (1 | g)", mixed)
    assert design.X.shape == (48, 0)
    assert design.x_names == ()
