"""Random-effects terms: names, order, double bars, structures."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels.errors import DataError, FormulaError
from mixedmodels.formula import build_design
from mixedmodels.formula.design.random_effects import unique_labels


def terms(formula, data):
    return build_design(formula, data).random


def test_a_double_bar_makes_scalar_terms_of_all_columns(mixed):
    found = terms("y ~ 1 + (f * x || g)", mixed)
    assert [t.columns for t in found] == [
        ("(Intercept)",), ("fb",), ("fc",), ("x",), ("fb:x",), ("fc:x",),
    ]  # fmt: skip
    assert [t.label for t in found] == ["g", "g.1", "g.2", "g.3", "g.4", "g.5"]
    assert [t.expression for t in found] == [
        "1 | g", "0 + f | g", "0 + f | g", "0 + x | g", "0 + f:x | g", "0 + f:x | g",
    ]  # fmt: skip
    assert all(t.codes is found[0].codes for t in found)
    single = terms("y ~ 1 + (f * x | g)", mixed)[0]
    np.testing.assert_array_equal(np.column_stack([t.Z for t in found]), single.Z)


def test_a_double_bar_without_intercept_codes_the_factor_in_full(mixed):
    assert [t.columns for t in terms("y ~ 1 + (0 + f || g)", mixed)] == [("fa",), ("fb",), ("fc",)]


def test_several_columns_of_one_variable_are_kept_apart(mixed):
    found = terms("y ~ 1 + (poly(z, 2) || g)", mixed)
    assert [t.columns for t in found] == [("(Intercept)",), ("poly(z, 2)1",), ("poly(z, 2)2",)]


def test_an_intercept_costs_no_memory(mixed):
    for term in terms("y ~ x + (1 | g) + (x || h)", mixed):
        if term.columns == ("(Intercept)",):
            assert term.Z.strides == (0, 0)
            assert term.Z.shape == (48, 1)


def test_structures_follow_their_term_when_terms_are_reordered(mixed):
    found = terms("y ~ 1 + cs(f | h, hom = TRUE) + diag(f | g) + ar1(0 + f | h)", mixed)
    assert [(t.group, t.structure.name) for t in found] == [("g", "diag"), ("h", "ar1"), ("h", "cs")]
    assert [t.structure.n_theta for t in found] == [3, 2, 2]


def test_labels_are_made_unique_as_in_R():
    assert unique_labels(["a", "a", "b", "a"]) == ["a", "a.1", "b", "a.2"]
    # make.unique(c("a", "a", "a.1", "a")) in R
    assert unique_labels(["a", "a", "a.1", "a"]) == ["a", "a.2", "a.1", "a.3"]


def test_crossings_are_never_built_in_full():
    n = 20_000
    data = {"y": np.zeros(n), "a": np.arange(n), "b": np.arange(n)}
    found = terms("y ~ 1 + (1 | a/b)", data)
    assert [(t.label, t.n_levels) for t in found] == [("b:a", n), ("a", n)]


def test_levels_of_interactions_are_in_Rs_order():
    data = pd.DataFrame(
        {
            "y": np.zeros(4),
            "a": pd.Categorical(["z", "y", "z", "y"], categories=["z", "y"]),
            "b": [2, 1, 1, 1],
        }
    )
    assert terms("y ~ (1 | a:b)", data)[0].levels == ("z:1", "z:2", "y:1")
    assert terms("y ~ (1 | b:a)", data)[0].levels == ("1:z", "1:y", "2:z")


def test_functions_in_the_grouping_part(mixed):
    (term,) = terms("y ~ (1 | factor(k))", mixed)
    assert (term.label, term.levels) == ("factor(k)", ("0", "1", "2", "3", "4"))
    (term,) = terms("y ~ (1 | interaction(f, s))", mixed)
    assert term.levels == ("a.u", "b.u", "c.u", "a.v", "b.v", "c.v")
    assert [t.label for t in terms("y ~ (1 | factor(k)/g)", mixed)] == ["g:factor(k)", "factor(k)"]


def test_contrasts_argument_is_for_the_fixed_part_only(mixed):
    design = build_design("y ~ f + (f | g)", mixed, contrasts={"f": "contr.sum"})
    assert design.x_names == ("(Intercept)", "f1", "f2")
    assert design.random[0].columns == ("(Intercept)", "fb", "fc")


def test_terms_without_columns_are_refused(mixed):
    with pytest.raises(DataError, match="no columns"):
        terms("y ~ (0 | g)", mixed)
    with pytest.raises(FormulaError, match="nothing"):
        terms("y ~ (0 || g)", mixed)
    with pytest.raises(FormulaError, match=r"offset\(\)"):
        terms("y ~ (offset(x) | g)", mixed)
