"""Contrasts by every way of asking for them."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels.errors import DataError, FormulaError
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import fixed_matrix
from mixedmodels.formula.evaluation.contrasts import Contrast, code_levels

LEVELS = ("a", "b", "c", "d")
# contr.*(4) printed by R 4.2.2 with options(digits = 15)
MATRICES = {
    "contr.treatment": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "contr.SAS": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]],
    "contr.sum": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]],
    "contr.helmert": [[-1, -1, -1], [1, -1, -1], [0, 2, -1], [0, 0, 3]],
    "contr.sdif": [[-0.75, -0.5, -0.25], [0.25, -0.5, -0.25], [0.25, 0.5, -0.25], [0.25, 0.5, 0.75]],
    "contr.poly": [
        [-0.670820393249937, 0.5, -0.223606797749979],
        [-0.223606797749979, -0.5, 0.670820393249937],
        [0.223606797749979, -0.5, -0.670820393249937],
        [0.670820393249937, 0.5, 0.223606797749979],
    ],
}
SUFFIXES = {
    "contr.treatment": ("b", "c", "d"),
    "contr.SAS": ("a", "b", "c"),
    "contr.sum": ("1", "2", "3"),
    "contr.helmert": ("1", "2", "3"),
    "contr.sdif": ("b-a", "c-b", "d-c"),
    "contr.poly": (".L", ".Q", ".C"),
}
PRINTED_DIGITS = 1e-14


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_and_names_are_those_of_R(name):
    matrix, suffixes = code_levels(Contrast(name), LEVELS, "f")
    np.testing.assert_allclose(matrix, MATRICES[name], atol=PRINTED_DIGITS)
    assert suffixes == SUFFIXES[name]


def test_polynomials_beyond_the_third_degree_are_numbered():
    _, suffixes = code_levels(Contrast("contr.poly"), tuple("abcdef"), "f")
    assert suffixes == (".L", ".Q", ".C", "^4", "^5")


MATRIX = np.array([[1.0, 0.0], [-0.5, 1.0], [-0.5, -1.0]])


@pytest.mark.parametrize(
    ("contrast", "names"),
    [
        ("contr.sum", ["f1", "f2"]),
        ("sum", ["f1", "f2"]),
        ("Helmert", ["f1", "f2"]),
        ("polynomial", ["f.L", "f.Q"]),
        ("sdif", ["fb-a", "fc-b"]),
        (MATRIX, ["f1", "f2"]),
        (MATRIX.tolist(), ["f1", "f2"]),
        ({"matrix": MATRIX.tolist()}, ["f1", "f2"]),
        (pd.DataFrame(MATRIX, columns=["vs", "rest"]), ["fvs", "frest"]),
        (MATRIX[:, 0], ["f1"]),
    ],
)
def test_ways_of_naming_a_contrast(mixed, contrast, names):
    design = build_design("y ~ f + (1 | g)", mixed, contrasts={"f": contrast})
    assert list(design.x_names) == ["(Intercept)", *names]
    np.testing.assert_array_equal(fixed_matrix(design, mixed)[0], design.X)


def test_a_matrix_through_env(mixed):
    design = build_design("y ~ C(f, M) + (1 | g)", mixed, env={"M": MATRIX})
    assert design.x_names == ("(Intercept)", "C(f, M)1", "C(f, M)2")
    np.testing.assert_array_equal(design.X[:3, 1:], MATRIX)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("C(f, contr.treatment(base = 2))", ["a", "c"]),
        ("C(f, contr.treatment(3, base = 2))", ["1", "3"]),
        ("C(f, contr.treatment, base = 'c')", ["a", "b"]),
        ("C(f, 'contr.sum')", ["1", "2"]),
        ("C(o)", [".L", ".Q"]),
        ("C(k, contr.helmert)", ["1", "2", "3", "4"]),
    ],
)
def test_contrasts_in_formulas(mixed, text, names):
    assert list(build_design(f"y ~ {text} + (1 | g)", mixed).x_names[1:]) == [
        text.replace("'", '"') + n for n in names
    ]


@pytest.mark.parametrize(
    ("contrast", "match"),
    [
        ("contr.bogus", "'contr.bogus' of f is unknown.*contr.sum"),
        (np.eye(2), "2 rows, the factor has 3 levels"),
        (object(), "name or a matrix"),
        (np.full((3, 2), np.nan), "finite"),
    ],
)
def test_bad_contrasts(mixed, contrast, match):
    with pytest.raises(DataError, match=match):
        build_design("y ~ f + (1 | g)", mixed, contrasts={"f": contrast})


def test_bad_contrasts_in_formulas(mixed):
    with pytest.raises(DataError, match="unknown"):
        build_design("y ~ C(f, contr.nonsense) + (1 | g)", mixed)
    with pytest.raises(FormulaError, match="base"):
        build_design("y ~ C(f, contr.treatment(base = 9)) + (1 | g)", mixed)


def test_contrasts_must_be_a_mapping(mixed):
    with pytest.raises(DataError, match="dict"):
        build_design("y ~ f + (1 | g)", mixed, contrasts="contr.sum")


def test_a_reference_level_that_no_row_has(mixed):
    with pytest.raises(DataError, match="reference level 'c' is not a level"):
        build_design("y ~ C(f, contr.treatment, base = 'c') + (1 | g)", mixed, subset="f != 'c'")


def test_a_factor_with_one_level_is_named(mixed):
    with pytest.raises(DataError, match=r"two or more levels; f has only 'a'"):
        build_design("y ~ f + (1 | g)", mixed[mixed["f"] == "a"])
