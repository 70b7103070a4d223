"""Nonlinear formulas become designs: lme4's form, nlme's form, starting values, and new data."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels import lmer, load_dataset
from mixedmodels.errors import ControlError, DataError, FormulaError, FormulaWarning
from mixedmodels.formula.design.build_nonlinear import build_nonlinear_design
from mixedmodels.formula.design.new_data import fixed_matrix, random_matrices
from mixedmodels.formula.design.new_nonlinear import mean_on

ORANGE, CO2 = load_dataset("Orange"), load_dataset("CO2")
LOGISTIC = "circumference ~ SSlogis(age, Asym, xmid, scal)"
OFFSET = "uptake ~ SSasympOff(conc, Asym, lrc, c0)"


def terms(built):
    """Return what is to be known about the random effects."""
    pairs = zip(built.design.random, built.random_parameter, strict=True)
    return [(t.label, t.columns, type(t.structure).__name__, owner.tolist()) for t, owner in pairs]


BOTH = ("Asym", "xmid")


@pytest.mark.parametrize(
    ("formula", "arguments", "right"),
    [
        (f"{LOGISTIC} ~ Asym | Tree", {}, [("Tree", ("Asym",), "Unstructured", [0])]),
        (f"{LOGISTIC} ~ (Asym | Tree)", {}, [("Tree", ("Asym",), "Unstructured", [0])]),
        (f"{LOGISTIC} ~ 0 + Asym + xmid | Tree", {}, [("Tree", BOTH, "Unstructured", [0, 1])]),
        (f"{LOGISTIC} ~ (xmid + Asym | Tree)", {}, [("Tree", BOTH[::-1], "Unstructured", [1, 0])]),
        (LOGISTIC, {"random": "Asym + xmid ~ 1 | Tree"}, [("Tree", BOTH, "Unstructured", [0, 1])]),
        (LOGISTIC, {"random": "Asym + xmid | Tree"}, [("Tree", BOTH, "Unstructured", [0, 1])]),
        (LOGISTIC, {"random": "Asym+xmid~1", "groups": "~Tree"}, [("Tree", BOTH, "Unstructured", [0, 1])]),
        (LOGISTIC, {"random": {"Tree": "Asym + xmid ~ 1"}}, [("Tree", BOTH, "Unstructured", [0, 1])]),
        (LOGISTIC, {"random": "list(Tree = Asym + xmid ~ 1)"}, [("Tree", BOTH, "Unstructured", [0, 1])]),
        (LOGISTIC, {"random": {"Tree": ["Asym ~ 1", "xmid ~ 1"]}}, [("Tree", BOTH, "Unstructured", [0, 1])]),
        (
            LOGISTIC,
            {"random": ["Asym ~ 1", "xmid ~ 1"], "groups": "Tree"},
            [("Tree", BOTH, "Unstructured", [0, 1])],
        ),
        (f"{LOGISTIC} ~ diag(Asym + xmid | Tree)", {}, [("Tree", BOTH, "Diagonal", [0, 1])]),
        (LOGISTIC, {"random": "diag(Asym + xmid ~ 1 | Tree)"}, [("Tree", BOTH, "Diagonal", [0, 1])]),
        (f"{LOGISTIC} ~ cs(Asym + xmid | Tree)", {}, [("Tree", BOTH, "CompoundSymmetry", [0, 1])]),
    ],
)
def test_one_term_is_written_in_many_ways(formula, arguments, right):
    built = build_nonlinear_design(formula, ORANGE, **arguments)
    assert terms(built) == right
    assert built.mean.parameters == built.design.x_names == ("Asym", "xmid", "scal")
    assert built.fixed_parameter.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(built.design.X, 1.0)


@pytest.mark.parametrize(
    ("formula", "arguments"),
    [
        (f"{LOGISTIC} ~ (Asym | Tree) + (xmid | Tree)", {}),
        (f"{LOGISTIC} ~ (Asym + xmid || Tree)", {}),
        (f"{LOGISTIC} ~ Asym + xmid || Tree", {}),
        (LOGISTIC, {"random": "Asym + xmid ~ 1 || Tree"}),
        (LOGISTIC, {"random": "Asym ~ 1 | Tree; xmid ~ 1 | Tree"}),
        (LOGISTIC, {"random": ["Asym ~ 1 | Tree", "xmid ~ 1 | Tree"]}),
        (LOGISTIC, {"random": {"Asym": "~ 1 | Tree", "xmid": "1 | Tree"}}),
        (f"{LOGISTIC} ~ Asym | Tree", {"random": "xmid | Tree"}),
    ],
)
def test_independent_effects_are_terms_of_their_own(formula, arguments):
    built = build_nonlinear_design(formula, ORANGE, **arguments)
    assert terms(built) == [
        ("Tree", ("Asym",), "Unstructured", [0]),
        ("Tree.1", ("xmid",), "Unstructured", [1]),
    ]


def test_nested_and_crossed_factors():
    nested = build_nonlinear_design(f"{OFFSET} ~ Asym | Type/Plant", CO2)
    assert [(t.label, t.n_levels) for t in nested.design.random] == [("Plant:Type", 12), ("Type", 2)]
    same = build_nonlinear_design(OFFSET, CO2, random="Asym ~ 1 | Type/Plant")
    assert terms(same) == terms(nested)
    crossed = build_nonlinear_design(f"{OFFSET} ~ (Asym | Plant) + (lrc + c0 | Type)", CO2)
    assert [owner.tolist() for owner in crossed.random_parameter] == [[0], [1, 2]]


NAMES = ("Asym.(Intercept)", "Asym.TypeMississippi", "Asym.Treatmentchilled",
         "Asym.TypeMississippi:Treatmentchilled", "lrc", "c0")  # fmt: skip


@pytest.mark.parametrize(
    "fixed",
    [
        {"Asym": "~ Type * Treatment"},
        {"Asym": "Type * Treatment", "lrc + c0": "~ 1"},
        {"Asym": "Asym ~ Type * Treatment", "lrc": 1},
        "Asym ~ Type * Treatment; lrc + c0 ~ 1",
        ["Asym ~ Type * Treatment", "lrc ~ 1", "c0 ~ 1"],
        "list(Asym ~ Type * Treatment, lrc + c0 ~ 1)",
    ],
)
def test_covariates_on_parameters_are_named_as_nlme_does(fixed):
    built = build_nonlinear_design(OFFSET, CO2, fixed=fixed, random="Asym ~ 1 | Plant", start={"Asym": 30})
    assert built.design.x_names == NAMES
    assert built.fixed_parameter.tolist() == [0, 0, 0, 0, 1, 2]
    mississippi, chilled = CO2["Type"] == "Mississippi", CO2["Treatment"] == "chilled"
    right = np.column_stack([np.ones(84), mississippi, chilled, mississippi & chilled])
    np.testing.assert_array_equal(built.design.X[:, :4], right)
    np.testing.assert_array_equal(built.start, [30, 0, 0, 0, np.nan, np.nan])


def test_covariates_may_stand_in_the_third_part():
    built = build_nonlinear_design(f"{OFFSET} ~ Asym:Type + (Asym + Asym:conc | Plant)", CO2)
    assert built.design.x_names == ("Asym.(Intercept)", "Asym.TypeMississippi", "lrc", "c0")
    (term,) = built.design.random
    assert term.columns == ("Asym.(Intercept)", "Asym.conc")
    np.testing.assert_array_equal(term.Z, np.column_stack([np.ones(84), CO2["conc"]]))
    same = build_nonlinear_design(OFFSET, CO2, fixed={"Asym": "~ Type"}, random="Asym ~ conc | Plant")
    np.testing.assert_array_equal(same.design.X, built.design.X)
    np.testing.assert_array_equal(same.design.random[0].Z, term.Z)


def test_contrasts_and_cells_of_means():
    cells = build_nonlinear_design(
        OFFSET, CO2, fixed="Asym ~ 0 + Type; lrc + c0 ~ 1", random="Asym|Plant", start=[30.0, -4.0, 50.0]
    )
    assert cells.design.x_names[:2] == ("Asym.TypeQuebec", "Asym.TypeMississippi")
    np.testing.assert_allclose(cells.start, [30.0, 30.0, -4.0, 50.0])
    sums = build_nonlinear_design(
        OFFSET, CO2, fixed={"Asym": "~ Type"}, random="Asym|Plant", contrasts={"Type": "contr.sum"}
    )
    assert set(sums.design.X[:, 1]) == {1.0, -1.0}


def test_dependent_columns_of_a_parameter_are_dropped_but_not_those_of_another():
    data = CO2.assign(double=2.0 * CO2["conc"])
    built = build_nonlinear_design(
        OFFSET, data, fixed="Asym ~ conc + double; lrc ~ double; c0 ~ 1", random="Asym | Plant"
    )
    assert built.design.x_names == ("Asym.(Intercept)", "Asym.conc", "lrc.(Intercept)", "lrc.double", "c0")
    assert built.design.dropped == ("Asym.double",)
    X, _ = fixed_matrix(built.design, data.iloc[:3])
    np.testing.assert_array_equal(X, built.design.X[:3])


@pytest.mark.parametrize(
    ("start", "right"),
    [
        ({"Asym": 200, "xmid": 700, "scal": 300}, [200, 700, 300]),
        ({"scal": 300, "Asym": 200, "xmid": 700}, [300, 200, 700]),
        (pd.Series({"Asym": 200, "xmid": 700, "scal": 300}), [200, 700, 300]),
        ({"nlpars": {"Asym": 200, "xmid": 700, "scal": 300}, "theta": [1.0]}, [200, 700, 300]),
        ([200, 700, 300], [200, 700, 300]),
        (np.array([200, 700, 300]), [200, 700, 300]),
        (pd.Series([200, 700, 300]), [200, 700, 300]),
        (None, None),
        ({"theta": [1.0]}, None),
        ({"xmid": 700}, [np.nan, 700, np.nan]),
    ],
)
def test_starting_values_are_given_in_many_ways(start, right):
    built = build_nonlinear_design(f"{LOGISTIC} ~ Asym | Tree", ORANGE, start=start)
    if right is None:
        assert built.start is None
    else:
        np.testing.assert_array_equal(built.start, right)
    names = list(start) if isinstance(start, dict) and len(start) == 3 else ["Asym", "xmid", "scal"]
    assert built.design.x_names == tuple(names)


@pytest.mark.parametrize(
    "start",
    [
        [36, -9, -5, -3, -4.6, 50],
        {"Asym": [36, -9, -5, -3], "lrc": -4.6, "c0": 50},
        {"fixed": [36, -9, -5, -3, -4.6, 50]},
        dict(zip(NAMES, [36, -9, -5, -3, -4.6, 50], strict=True)),
        {
            "Asym": 36,
            "Asym.TypeMississippi": -9,
            "Asym.Treatmentchilled": -5,
            NAMES[3]: -3,
            "lrc": -4.6,
            "c0": 50,
        },
    ],
)
def test_starting_values_of_covariates(start):
    built = build_nonlinear_design(
        OFFSET, CO2, fixed={"Asym": "~ Type * Treatment"}, random="Asym ~ 1 | Plant", start=start
    )
    np.testing.assert_array_equal(built.start, [36, -9, -5, -3, -4.6, 50])


def test_an_intercept_alone_leaves_effects_at_zero():
    built = build_nonlinear_design(
        OFFSET, CO2, fixed={"Asym": "~ Type"}, random="Asym|Plant", start={"Asym.(Intercept)": 30}
    )
    np.testing.assert_array_equal(built.start, [30, 0, np.nan, np.nan])


def test_declared_parameters_come_before_columns():
    data = ORANGE.assign(Asym=1.0, scal=2.0)
    declared = build_nonlinear_design(
        f"{LOGISTIC} ~ Asym | Tree", data, start={"Asym": 200, "xmid": 700, "scal": 300}
    )
    assert declared.mean.parameters == ("Asym", "xmid", "scal")
    column = build_nonlinear_design("circumference ~ Asym * A * age ~ A | Tree", data)
    assert column.mean.parameters == ("A",)


def test_missing_rows_subsets_and_weights():
    data = CO2.assign(w=np.arange(84.0))
    data.loc[[3, 7], "conc"] = np.nan
    built = build_nonlinear_design(f"{OFFSET} ~ Asym | Plant", data, subset="Type == 'Quebec'", weights="w")
    kept = [i for i in range(42) if i not in (3, 7)]
    assert built.design.index.tolist() == kept
    assert built.design.weights.tolist() == kept
    assert built.mean.n_rows == len(kept)
    np.testing.assert_array_equal(built.mean.data[0], data["conc"].iloc[kept])


def test_the_mean_may_hold_functions_of_the_data():
    built = build_nonlinear_design(
        "uptake ~ A + B * scale(conc) + k * log(conc) ~ A | Plant", CO2, env={"k": 2.0}
    )
    scaled = (CO2["conc"] - CO2["conc"].mean()) / CO2["conc"].std()
    phi = np.stack([np.full(84, 3.0), np.full(84, 0.5)])
    right = 3.0 + 0.5 * scaled + 2.0 * np.log(CO2["conc"])
    np.testing.assert_allclose(built.mean.value(phi), right)
    # On new data with the centre and scale of the fit.
    new = mean_on(built, CO2.iloc[[5]])
    np.testing.assert_allclose(new.value(phi[:, :1]), right.iloc[[5]])


def test_new_data_repeat_the_design():
    built = build_nonlinear_design(
        OFFSET, CO2, fixed={"Asym": "~ Type * Treatment", "lrc": "~ poly(conc, 2)"},
        random="Asym ~ conc | Plant; c0 ~ 1 | Type",
    )  # fmt: skip
    rows = [70, 3, 21]
    new = CO2.iloc[rows].astype({"Plant": str, "Type": str, "Treatment": str})
    X, offset = fixed_matrix(built.design, new)
    assert offset is None
    np.testing.assert_allclose(X, built.design.X[rows], atol=1e-14)
    for (Z, codes), term in zip(random_matrices(built.design, new), built.design.random, strict=True):
        np.testing.assert_array_equal(Z, term.Z[rows])
        np.testing.assert_array_equal(codes, term.codes[rows])
    phi = np.stack([np.full(3, 30.0), np.full(3, -4.5), np.full(3, 50.0)])
    whole = built.mean.value(np.repeat(phi[:, :1], 84, axis=1))
    np.testing.assert_array_equal(mean_on(built, new).value(phi), whole[rows])
    strange = new.assign(Plant="other", conc=[95.0, np.nan, 200.0])
    assert random_matrices(built.design, strange)[0][1].tolist() == [-1, -1, -1]
    assert np.isnan(mean_on(built, strange).value(phi)).tolist() == [False, True, False]
    with pytest.raises(DataError, match="conc"):
        mean_on(built, new.drop(columns="conc"))


def test_structured_residuals_and_relationships_come_along():
    relationship = pd.DataFrame(np.eye(5) + 0.1, index=list("12345"), columns=list("12345"))
    built = build_nonlinear_design(
        f"{LOGISTIC} ~ Asym | Tree", ORANGE, residual="ar1(1 | Tree)", dispersion="power(fitted)",
        relmat={"Tree": relationship},
    )  # fmt: skip
    assert built.design.residual is not None and len(built.design.dispersion) == 1
    assert built.design.random[0].relationship is not None


@pytest.mark.parametrize(
    ("formula", "arguments", "message"),
    [
        ("circumference", {}, "written y ~ f"),
        ("~ A * age ~ A | Tree", {}, "has no response"),
        ("circumference ~ A ~ B ~ A | Tree", {}, "at most two '~'"),
        ("circumference ~ A * age ~ A", {}, "last part of a nonlinear formula"),
        ("circumference ~ age ~ A | Tree", {}, "no parameters"),
        ("circumference ~ A * age ~ 1 | Tree", {}, "names no parameter of the mean \\(A\\)"),
        ("circumference ~ A * age ~ age | Tree", {}, "write A:age for an effect on A"),
        ("circumference ~ A * B * age ~ A:B | Tree", {}, "two parameters"),
        ("circumference ~ A * age ~ A | Tre", {}, "'Tre' \\(did you mean 'Tree'"),
        (f"{LOGISTIC.replace('age', 'agee')} ~ Asym | Tree", {}, "did you mean 'age'"),
        ("circumference ~ A * age ~ exp(A | Tree)", {}, "process over places"),
        ("circumference ~ A * age", {"random": "pdDiag(A ~ 1)"}, "'pdDiag' is written diag\\("),
        ("circumference ~ A * age", {"random": "rr(A ~ 1 | Tree)"}, "no covariance structure"),
        ("circumference ~ A * age", {"random": "A ~ 1"}, "grouping factor is missing"),
        ("circumference ~ A * age", {"groups": "Tree"}, "groups= goes with random="),
        ("circumference ~ A * age", {"random": "A ~ 1", "groups": 3}, "name of a grouping factor, not int"),
        ("circumference ~ A * age", {"random": "B ~ 1 | Tree"}, "B is no parameter of the mean"),
        ("circumference ~ A * age", {"random": "A + A ~ 1 | Tree"}, "A stands twice"),
        ("circumference ~ A * age", {"random": 3}, "random= is a formula such as"),
        ("circumference ~ A * age", {"random": ""}, "random= holds formulas"),
        ("circumference ~ A * age", {"fixed": "A ~ age | Tree"}, "random effects go into random="),
        ("circumference ~ A * age", {"fixed": "age"}, "is written A ~ x"),
        ("circumference ~ A * age", {"fixed": "log(A) ~ 1"}, "stand names of parameters"),
        ("circumference ~ A * age", {"fixed": "A ~ age; A ~ 1"}, "two formulas for A"),
        ("circumference ~ A * age", {"fixed": {"A": 3}}, "maps parameters to terms"),
        ("circumference ~ A * age", {"fixed": "A ~ 0"}, "leaves nothing"),
        ("circumference ~ A * age", {"fixed": "A ~ offset(age)"}, "add it in the mean"),
        ("circumference ~ A * age ~ A:age + (A | Tree)", {"fixed": "A ~ 1"}, "keep one of them"),
        ("circumference ~ A * Tree ~ A | Tree", {}, "Tree in the mean is a factor"),
        ("circumference ~ A * height ~ A | Tree", {"fixed": "Asim ~ 1"}, "Asim is no parameter"),
        (3, {}, "a formula is a string"),
    ],
)
def test_formulas_that_say_nothing_clear_are_refused(formula, arguments, message):
    with pytest.raises((FormulaError, DataError), match=message):
        build_nonlinear_design(formula, ORANGE, **arguments)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"Asyn": 200}, "start= names Asyn, .* did you mean Asym"),
        ([1.0, 2.0], "2 values; there are 3 fixed effects"),
        ([1.0, 2.0, np.nan], "finite"),
        ({"Asym": np.inf}, "finite"),
        ({"Asym": "a"}, "must be numbers"),
        ({"Asym": [1.0, 2.0]}, "2 values for Asym"),
        ("a", "must be numbers"),
    ],
)
def test_starting_values_that_are_none_are_refused(start, message):
    with pytest.raises(ControlError, match=message):
        build_nonlinear_design(f"{LOGISTIC} ~ Asym | Tree", ORANGE, start=start)


def test_lmer_says_who_reads_such_formulas():
    with pytest.raises(FormulaError, match=r"is for nlmer\(\)"):
        lmer(f"{LOGISTIC} ~ Asym | Tree", ORANGE)


def test_strings_that_spell_numbers_are_pointed_out():
    data = CO2.assign(dose=CO2["conc"].map("{:g}".format))
    with pytest.warns(Warning, match="dose holds strings that spell numbers"):
        build_nonlinear_design(OFFSET, data, fixed={"Asym": "~ dose"}, random="Asym | Plant")
    with pytest.warns(FormulaWarning, match="its contrast will be ignored"):
        build_nonlinear_design(f"{OFFSET} ~ Asym | Plant", CO2, contrasts={"Type": "contr.sum"})
