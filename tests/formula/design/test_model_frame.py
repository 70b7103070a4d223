"""Rows: missing values, subsets, weights, offsets, and everything wrong with them."""

import warnings

import numpy as np
import pandas as pd
import pytest

from mixedmodels.errors import ControlError, DataError, DataWarning, FormulaError, FormulaWarning
from mixedmodels.formula import build_design, check_random_terms

FORMULA = "Reaction ~ Days + (Days | Subject)"


def with_holes(sleepstudy):
    data = sleepstudy.astype({"Days": float}).assign(w=1.0, off=2.0)
    data.loc[[0, 1], "Days"] = np.nan
    data.loc[1, "Reaction"] = np.nan
    data.loc[4, "Subject"] = np.nan
    data.loc[7, "w"] = np.nan
    data.loc[9, "off"] = np.nan
    return data


def test_rows_drop_once_whatever_is_missing(sleepstudy):
    design = build_design(FORMULA, with_holes(sleepstudy), weights="w", offset="off")
    assert design.n_rows == 175
    assert design.missing.n_input == 180
    assert design.missing.n_dropped == 5
    assert sorted(set(range(180)) - set(design.missing.kept.tolist())) == [0, 1, 4, 7, 9]
    assert design.index.tolist() == design.missing.kept.tolist()
    for part in (design.X, design.response.values, design.weights, design.offset, design.random[0].codes):
        assert len(part) == 175
    assert np.isfinite(design.X).all()


def test_what_is_not_in_the_model_may_be_missing(sleepstudy):
    assert build_design("Reaction ~ 1 + (1 | Subject)", with_holes(sleepstudy)).n_rows == 178


def test_na_actions(sleepstudy):
    data = with_holes(sleepstudy)
    excluded = build_design(FORMULA, data, na_action="exclude")
    assert excluded.missing.action == "exclude"
    assert excluded.missing.input_index.tolist() == list(range(180))
    with pytest.raises(
        DataError, match=r"missing values in object: Reaction \(1\), Days \(2\), Subject \(1\)"
    ):
        build_design(FORMULA, data, na_action="fail")
    with pytest.raises(DataError, match="pass"):
        build_design(FORMULA, data, na_action="pass")
    assert build_design(FORMULA, sleepstudy, na_action="pass").n_rows == 180
    with pytest.raises(ControlError, match="'omit'"):
        build_design(FORMULA, data, na_action="drop")


def test_nothing_left(sleepstudy):
    with pytest.raises(DataError, match=r"0 \(non-NA\) cases: Days missing in every row"):
        build_design(FORMULA, sleepstudy.assign(Days=np.nan))
    with pytest.raises(DataError, match=r"0 \(non-NA\) cases"):
        build_design(FORMULA, sleepstudy.iloc[:0])
    with pytest.raises(DataError, match=r"0 \(non-NA\) cases.*subset"):
        build_design(FORMULA, sleepstudy, subset="Days > 100")


def test_subsets_by_expression_mask_and_position(sleepstudy):
    expected = np.flatnonzero((sleepstudy["Days"] > 2) & (sleepstudy["Subject"] != "308"))
    for subset in (
        "Days > 2 & Subject != '308'",
        "Days > 2 and not Subject == 308",
        ((sleepstudy["Days"] > 2) & (sleepstudy["Subject"] != "308")),
        expected,
    ):
        design = build_design(FORMULA, sleepstudy, subset=subset)
        assert design.index.tolist() == expected.tolist()
        assert design.random[0].n_levels == 17
    assert build_design(FORMULA, sleepstudy, subset="Days == 1 or Days == 9").n_rows == 36


def test_a_missing_condition_selects_nothing(sleepstudy):
    data = with_holes(sleepstudy)
    assert build_design("Reaction ~ 1 + (1 | Subject)", data, subset="Days >= 0").n_rows == 177


@pytest.mark.parametrize(
    ("subset", "match"),
    [("Days", "condition"), ([True] * 10, "length 10"), ([500], "180 rows"), ([1.5, 2.5], "condition")],
)
def test_bad_subsets(sleepstudy, subset, match):
    with pytest.raises(DataError, match=match):
        build_design(FORMULA, sleepstudy, subset=subset)


def test_weights_by_name_expression_array_and_series(sleepstudy):
    data = sleepstudy.assign(w=sleepstudy["Days"] + 1.0)
    for weights in (
        "w",
        "Days + 1",
        data["w"].to_numpy(),
        data["w"],
        data["w"].tolist(),
    ):
        design = build_design(FORMULA, data, weights=weights, subset="Days > 0")
        np.testing.assert_array_equal(design.weights, data["w"][data["Days"] > 0])
    assert build_design(FORMULA, data).weights is None


@pytest.mark.parametrize("role", ["weights", "offset"])
def test_wrong_lengths(sleepstudy, role):
    with pytest.raises(
        DataError, match=rf"{role} has length 10, data has 180 rows \(variable lengths differ\)"
    ):
        build_design(FORMULA, sleepstudy, **{role: np.ones(10)})


@pytest.mark.parametrize("role", ["weights", "offset", "subset"])
@pytest.mark.parametrize("value", [2, 2.5, np.float64(3.0), True, np.array(2.0), "2", "1 + 1", "TRUE"])
def test_one_value_for_all_rows_is_refused(sleepstudy, role, value):
    with pytest.raises(ControlError, match=rf"{role} must be .* one value a row"):
        build_design(FORMULA, sleepstudy, **{role: value})


def test_bad_weights(sleepstudy):
    w = np.ones(180)
    w[[5, 9]] = -1
    with pytest.raises(DataError, match=r"weights must be non-negative.*row 5"):
        build_design(FORMULA, sleepstudy, weights=w)
    with pytest.raises(DataError, match="zero"):
        build_design(FORMULA, sleepstudy, weights=np.zeros(180))
    with pytest.raises(DataError, match="one number a row"):
        build_design(FORMULA, sleepstudy, weights="Subject")
    w[[5, 9]] = 0
    assert build_design(FORMULA, sleepstudy, weights=w).n_rows == 180


def test_errors_in_arguments_point_into_the_argument(sleepstudy):
    with pytest.raises(FormulaError) as caught:
        build_design(FORMULA, sleepstudy, weights="Days + hack(1)")
    assert caught.value.text == "Days + hack(1)"
    assert caught.value.position == 7


@pytest.mark.parametrize("column", ["Reaction", "Days"])
def test_infinite_values_are_located(sleepstudy, column):
    data = sleepstudy.astype({column: float}).set_axis([f"row{i}" for i in range(180)])
    data.iloc[[3, 8], data.columns.get_loc(column)] = np.inf
    with pytest.raises(DataError, match=rf"{column} is infinite in 2 row\(s\), first in row 'row3'"):
        build_design(FORMULA, data)
    assert build_design(FORMULA, data, subset=np.arange(10, 180)).n_rows == 170


def test_infinities_made_by_a_function_are_named_by_it(sleepstudy):
    with pytest.raises(DataError, match=r"log\(Days\) is infinite"):
        build_design("Reaction ~ log(Days) + (1 | Subject)", sleepstudy)


def test_absent_variables_are_listed_at_once_with_near_names(sleepstudy):
    with pytest.raises(DataError) as caught:
        build_design("reaction ~ Dayz + joy + (1 | subj)", sleepstudy, weights="wt")
    message = str(caught.value)
    for part in ("'reaction' (did you mean 'Reaction'?)", "'Dayz' (did you mean 'Days'?)", "'joy'", "'wt'"):
        assert part in message
    assert "Reaction, Days, Subject" in message


def test_duplicate_columns_are_ambiguous_only_when_used(sleepstudy):
    data = pd.concat(
        [sleepstudy, sleepstudy[["Days"]], sleepstudy[["Days"]].rename(columns={"Days": "z"})], axis=1
    )
    with pytest.raises(DataError, match=r"'Days' is ambiguous: the data have 2"):
        build_design(FORMULA, data)
    assert build_design("Reaction ~ z + (1 | Subject)", data).n_rows == 180


def test_unused_levels_are_dropped(sleepstudy):
    data = sleepstudy[~sleepstudy["Subject"].isin(["308", "309"])]
    assert build_design(FORMULA, data).random[0].n_levels == 16


@pytest.mark.parametrize(
    ("formula", "match"),
    [
        ("Subject ~ Days + (1 | Subject)", None),
        ("cbind(Days, Days, Days) ~ 1 + (1 | Subject)", "matrix-valued"),
        ("poly(Days, 2) ~ 1 + (1 | Subject)", "matrix-valued"),
        ("as.character(Days) ~ 1 + (1 | Subject)", "response must be numeric"),
    ],
)
def test_responses(sleepstudy, formula, match):
    if match is None:
        response = build_design(formula, sleepstudy).response
        assert (response.kind, len(response.levels)) == ("factor", 18)
        return
    with pytest.raises(DataError, match=match):
        build_design(formula, sleepstudy)


def test_kinds_of_response(mixed):
    logical = build_design("b ~ x + (1 | g)", mixed).response
    assert (logical.kind, sorted(set(logical.values))) == ("logical", [0.0, 1.0])
    factor = build_design("factor(s) ~ x + (1 | g)", mixed).response
    assert (factor.kind, factor.levels) == ("factor", ("u", "v"))
    np.testing.assert_array_equal(factor.values, mixed["s"] == "v")
    counts = build_design("cbind(k, 5 - k) ~ x + (1 | g)", mixed).response
    assert (counts.kind, counts.text) == ("cbind", "cbind(k, 5 - k)")
    np.testing.assert_array_equal(counts.values + counts.failures, 5.0)
    ratio = build_design("k / z ~ x + (1 | g)", mixed).response
    np.testing.assert_allclose(ratio.values, mixed["k"] / mixed["z"])


def test_a_formula_without_response_is_refused(mixed):
    with pytest.raises(FormulaError, match="no response"):
        build_design("~ x + (1 | g)", mixed)


def test_unused_contrasts_are_warned_about(mixed):
    with pytest.warns(FormulaWarning, match="variable 'bogus' is absent, its contrast will be ignored"):
        build_design("y ~ f + (1 | g)", mixed, contrasts={"bogus": "contr.sum"})


def test_the_bare_bar_warns(mixed):
    with pytest.warns(FormulaWarning, match="without parentheses"):
        design = build_design("y ~ x + 1 | g", mixed)
    assert design.x_names == ("(Intercept)",)
    assert design.random[0].columns == ("(Intercept)", "x")


def test_a_response_among_the_predictors_is_dropped(mixed):
    with pytest.warns(FormulaWarning, match="response"):
        assert build_design("y ~ y + x + (1 | g)", mixed).x_names == ("(Intercept)", "x")


@pytest.mark.parametrize(
    ("formula", "data", "match"),
    [
        (
            "Reaction ~ (1 | Subject)",
            lambda d: d[d["Subject"] == "308"],
            "must have > 1 sampled level: Subject",
        ),
        (
            "Reaction ~ Days + (1 | obs)",
            lambda d: d.assign(obs=range(180)),
            r"number of levels .* \(problems: obs\)",
        ),
        ("Days ~ 1 + (1 | Reaction)", lambda d: d, "swap the sides"),
        (
            "Reaction ~ 1 + Days + (1 + Days | Subject)",
            lambda d: d[d["Days"].isin([1, 9])],
            r"\(=36\) <= number of random effects \(=36\) for term \(1 \+ Days \| Subject\)",
        ),
    ],
)
def test_random_terms_that_linear_models_cannot_estimate(sleepstudy, formula, data, match):
    design = build_design(formula, data(sleepstudy))
    with pytest.raises(DataError, match=match):
        check_random_terms(design, linear=True)


def test_generalized_models_may_have_a_level_a_row(sleepstudy):
    design = build_design("Reaction ~ Days + (1 | obs)", sleepstudy.assign(obs=range(180)))
    check_random_terms(design, linear=False)
    design = build_design("Reaction ~ 1 + (1 + Days | obs)", sleepstudy.assign(obs=range(180)))
    with pytest.raises(DataError, match=r"\(=180\) < number of random effects \(=360\)"):
        check_random_terms(design, linear=False)


def test_structured_terms_may_have_more_effects_than_rows(sleepstudy):
    data = sleepstudy[sleepstudy["Days"].isin([1, 9])]
    check_random_terms(build_design("Reaction ~ 1 + cs(Days | Subject)", data), linear=True)
    check_random_terms(build_design("Reaction ~ 1 + (Days || Subject)", data), linear=True)


def test_building_warns_about_nothing_else(mixed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_design("log(z) ~ x / f + sqrt(z) + I(1 / z) + (x || g/h)", mixed)


def test_huge_matrices_are_refused_before_they_are_made(sleepstudy):
    with pytest.raises(DataError, match=r"columns, more than rows; factor\(Reaction\):Subject alone"):
        build_design("Days ~ factor(Reaction):Subject + (1 | Subject)", sleepstudy)


def test_values_that_a_function_cannot_give_are_warned_about(sleepstudy):
    data = with_holes(sleepstudy)
    with pytest.warns(DataWarning, match=r"log\(Days - 3.5\) is undefined \(NaN\) in 70 row"):
        design = build_design("Reaction ~ log(Days - 3.5) + (1 | Subject)", data)
    assert design.n_rows == 107
    assert build_design("Reaction ~ log(Days - 3.5) + (1 | Subject)", data, subset="Days > 4").n_rows == 90


@pytest.mark.parametrize("inside", ["Subject", "poly(Days, 2)"])
def test_offsets_must_be_numbers(sleepstudy, inside):
    with pytest.raises(DataError, match=r"offset\(.*\) must be one number a row"):
        build_design(f"Reaction ~ offset({inside}) + (1 | Subject)", sleepstudy)
    with pytest.raises(DataError, match="offset must be one number a row"):
        build_design(FORMULA, sleepstudy, offset=inside)


def shuffled(sleepstudy):
    return (sleepstudy.Days + 1.0).sample(frac=1.0, random_state=1)


@pytest.mark.parametrize("role", ["weights", "offset"])
def test_a_series_is_matched_by_label(sleepstudy, role):
    expected = getattr(build_design(FORMULA, sleepstudy, **{role: "Days + 1"}), role)
    moved = sleepstudy.set_index(sleepstudy.index * 3 + 100)
    for data in (sleepstudy, moved, sleepstudy.iloc[::-1]):
        for values in (data.Days + 1.0, shuffled(data)):
            design = build_design(FORMULA, data, **{role: values})
            expected_here = expected[::-1] if data.index[0] == 179 else expected
            np.testing.assert_array_equal(getattr(design, role), expected_here)
    by_position = build_design(FORMULA, sleepstudy, **{role: shuffled(sleepstudy).to_numpy()})
    np.testing.assert_array_equal(getattr(by_position, role), shuffled(sleepstudy).to_numpy())


def test_a_condition_is_matched_by_label_and_positions_are_not(sleepstudy):
    condition = (sleepstudy.Days > 4).sample(frac=1.0, random_state=2)
    assert build_design(FORMULA, sleepstudy, subset=condition).X[:, 1].min() == 5.0
    positions = pd.Series([5, 6, 7, 15, 16, 17], index=list("abcdef"))
    assert build_design(FORMULA, sleepstudy, subset=positions).X[:, 1].tolist() == [5, 6, 7, 5, 6, 7]


def test_default_labels_go_by_position_and_foreign_ones_are_refused(sleepstudy):
    moved = sleepstudy.set_index(sleepstudy.index + 1000)
    values = pd.Series(np.arange(1.0, 181.0))
    np.testing.assert_array_equal(build_design(FORMULA, moved, weights=values).weights, values)
    for foreign in (values.set_axis(range(1, 181)), values.set_axis([0] * 180)):
        with pytest.raises(DataError, match=r"weights is a pandas Series .*weights.loc\[data.index\]"):
            build_design(FORMULA, moved, weights=foreign)
    twice = pd.concat([sleepstudy, sleepstudy])
    assert build_design(FORMULA, twice, weights=twice.Days + 1.0).n_rows == 360
    columns = {name: sleepstudy[name].to_numpy() for name in sleepstudy}
    unlabelled = build_design(FORMULA, columns, weights=shuffled(sleepstudy))
    np.testing.assert_array_equal(unlabelled.weights, shuffled(sleepstudy).to_numpy())


@pytest.mark.parametrize("name", ["env", "contrasts", "relmat"])
def test_arguments_that_map_names_must_be_mappings(sleepstudy, name):
    with pytest.raises(DataError, match=rf"{name} must be a dict such as .*, not int"):
        build_design(FORMULA, sleepstudy, **{name: 3})
