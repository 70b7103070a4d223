"""Columns rebuilt on new data: the training data give the same, one row is enough."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import DataError
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import fixed_matrix, random_matrices

# The same floating-point operations on other subsets of rows: only sums may round differently.
ROUNDING = 1e-12

FIXED_PARTS = [
    "x",
    "f * x",
    "o + f",
    "s + b",
    "0 + f:x",
    "poly(z, 3)",
    "poly(z, 2, raw = TRUE)",
    "bs(z, df = 5)",
    "bs(z, knots = c(2, 3), degree = 2)",
    "ns(z, 3)",
    "ns(z, df = 4, intercept = TRUE) - 1",
    "scale(x) + center(z)",
    "scale(x, center = FALSE)",
    "cut(z, 4)",
    "cut(z, c(0, 2, 4, 9), labels = c('p', 'q', 'r'))",
    "factor(k) + ordered(k)",
    "factor(k, labels = c('A', 'B', 'C', 'D', 'E'))",
    "relevel(f, 'b'):z",
    "C(f, contr.sum) * poly(z, 2)",
    "C(o, contr.helmert)",
    "I(x - mean(x)) + I(z / max(z))",
    "as.numeric(f) + as.integer(k)",
    "(x > 0) + (f == 'a') + (o < 'hi') + (k %in% c(1, 2))",
    "interaction(f, s)",
    "ifelse(x > 0, 'pos', 'neg')",
    "ifelse(b, x, z)",
    "cbind(x, z)",
    "I(x - ave(x, g)) + ave(x, g)",
    "cut(z, quantile(z), include.lowest = TRUE)",
    "dummy(f) + splines::bs(z, 4) + sin(2 * pi * z)",
    "log(z) + offset(z) + sqrt(z)",
    "x + f + f:x:b",
]


@pytest.mark.parametrize("part", FIXED_PARTS)
def test_training_data_give_the_training_columns(mixed, part):
    design = build_design(f"y ~ {part} + (x | g) + (0 + f || h)", mixed)
    X, offset = fixed_matrix(design, mixed)
    np.testing.assert_allclose(X, design.X, atol=ROUNDING)
    assert (offset is None) == (design.offset is None)
    if offset is not None:
        np.testing.assert_allclose(offset, design.offset, atol=ROUNDING)
    for term, (Z, codes) in zip(design.random, random_matrices(design, mixed), strict=True):
        np.testing.assert_allclose(Z, term.Z, atol=ROUNDING)
        np.testing.assert_array_equal(codes, term.codes)


@pytest.mark.parametrize("part", FIXED_PARTS)
def test_single_rows_give_their_training_columns(mixed, part):
    design = build_design(f"y ~ {part} + (ns(z, 2) | g) + (1 | g:h)", mixed)
    for row in (0, 17, 47):
        one = mixed.iloc[[row]].drop(columns="y")
        X, _ = fixed_matrix(design, one)
        np.testing.assert_allclose(X[0], design.X[row], atol=ROUNDING)
        for term, (Z, codes) in zip(design.random, random_matrices(design, one), strict=True):
            np.testing.assert_allclose(Z[0], term.Z[row], atol=ROUNDING)
            assert codes[0] == term.codes[row]


def test_plain_values_stand_for_categories(mixed):
    design = build_design("y ~ f * x + b + (1 | g) + (1 | k)", mixed)
    X, _ = fixed_matrix(design, {"f": ["b"], "x": [2.0], "b": [True]})
    assert dict(zip(design.x_names, X[0], strict=True)) == {
        "(Intercept)": 1, "fb": 1, "fc": 0, "x": 2, "bTRUE": 1, "fb:x": 2, "fc:x": 0,
    }  # fmt: skip
    (_, by_g), (_, by_k) = random_matrices(design, {"g": ["g3", "new"], "k": [4, 9]})
    assert by_g.tolist() == [3, -1]
    assert by_k.tolist() == [4, -1]


def test_groups_are_matched_by_name_whatever_their_type(mixed):
    design = build_design("y ~ x + (1 | k) + (1 | k:g)", mixed)
    for k in ([0, 3], [0.0, 3.0], ["0", "3"], pd.Categorical(["0", "3"])):
        (by_both, by_k) = (codes for _, codes in random_matrices(design, {"k": k, "g": ["g0", "g3"]}))
        assert by_k.tolist() == [0, 3]
        assert [design.random[0].levels[c] for c in by_both] == ["0:g0", "3:g3"]


def test_new_fixed_level_is_named(mixed):
    design = build_design("y ~ f + (1 | g)", mixed)
    with pytest.raises(DataError, match=r"factor f has new level\(s\) 'q'"):
        fixed_matrix(design, {"f": ["a", "q"]})


def test_a_declared_level_that_no_row_has_is_no_error(mixed):
    design = build_design("y ~ f + (1 | g)", mixed)
    new = pd.DataFrame({"f": pd.Categorical(["c"], categories=["q", "c", "a"])})
    assert fixed_matrix(design, new)[0].tolist() == [[1.0, 0.0, 1.0]]


def test_missing_values_stay_missing(mixed):
    design = build_design("y ~ f + x + (x | g)", mixed)
    new = pd.DataFrame({"f": ["a", None, "b"], "x": [1.0, 2.0, np.nan], "g": ["g1", None, "g2"]})
    X, _ = fixed_matrix(design, new)
    assert np.isnan(X).any(axis=1).tolist() == [False, True, True]
    ((Z, codes),) = random_matrices(design, new)
    assert codes.tolist() == [1, -1, 2]
    assert np.isnan(Z).any(axis=1).tolist() == [False, False, True]


def test_dropped_columns_stay_dropped(mixed):
    design = build_design("y ~ x + I(2 * x) + f + (1 | g)", mixed)
    assert design.dropped == ("I(2 * x)",)
    X, _ = fixed_matrix(design, mixed)
    np.testing.assert_array_equal(X, design.X)


def test_absent_variables_are_listed_at_once(mixed):
    design = build_design("y ~ x * f + (z | g)", mixed)
    with pytest.raises(DataError, match=r"'x'.*'f'"):
        fixed_matrix(design, {"other": [1.0]})
    with pytest.raises(DataError, match=r"'g'"):
        random_matrices(design, {"z": [1.0]})


def test_an_offset_argument_by_name_is_honoured(mixed):
    design = build_design("y ~ x + offset(z) + (1 | g)", mixed, offset="2 * z")
    _, offset = fixed_matrix(design, {"x": [0.0], "z": [10.0]})
    assert offset is not None
    assert offset.tolist() == [30.0]


def test_a_change_of_type_is_noticed(mixed):
    design = build_design("y ~ x + b + (1 | g)", mixed)
    with pytest.raises(DataError, match="numeric"):
        fixed_matrix(design, {"x": ["p"], "b": [True]})
    with pytest.raises(DataError, match="logical"):
        fixed_matrix(design, {"x": [1.0], "b": [2.0]})
    assert fixed_matrix(design, {"x": [True], "b": [None]})[0][0, 1] == 1.0
    assert np.isnan(fixed_matrix(design, {"x": [None], "b": [True]})[0][0, 1])


def test_numbers_stand_for_levels_of_strings(mixed):
    data = mixed.assign(s=(mixed["k"] % 2).astype(str), t=pd.Categorical(mixed["b"].astype(str).str.upper()))
    design = build_design("y ~ s + t + (1 | g)", data)
    assert fixed_matrix(design, {"s": [1], "t": [True]})[0].tolist() == [[1.0, 1.0, 1.0]]


def test_matrices_keep_their_width(mixed):
    data = {"y": mixed["y"], "g": mixed["g"], "M": np.column_stack([mixed["x"], mixed["z"]])}
    design = build_design("y ~ M + (1 | g)", data)
    assert fixed_matrix(design, {"M": np.ones((2, 2))})[0].tolist() == [[1.0] * 3] * 2
    with pytest.raises(DataError, match="M has 3 columns; it had 2"):
        fixed_matrix(design, {"M": np.ones((2, 3))})


def test_designs_can_be_pickled(mixed):
    design = build_design("y ~ poly(z, 2) * C(f, contr.sum) + (ns(z, 2) || g)", mixed)
    copy = pickle.loads(pickle.dumps(design))
    np.testing.assert_array_equal(fixed_matrix(copy, mixed)[0], design.X)


@given(st.permutations(list(range(48))))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_changes_only_the_order_of_rows(mixed_rows, order):
    part = "poly(z, 2) + f * x + ns(z, 3)"
    design = build_design(f"y ~ {part} + (x | g)", mixed_rows)
    shuffled = build_design(f"y ~ {part} + (x | g)", mixed_rows.iloc[order])
    np.testing.assert_allclose(shuffled.X, design.X[order], atol=1e-10)  # sums in another order
    assert shuffled.random[0].levels == design.random[0].levels


@pytest.fixture(scope="session")
def mixed_rows(mixed):
    return mixed.iloc[:48]
