"""The front door of nonlinear models: starts that are found, and starts that are refused."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels import load_dataset
from mixedmodels.errors import ControlError, FormulaWarning
from mixedmodels.nonlinear_request import read_nonlinear
from tests.formula.evaluation.test_mean_derivatives import growth, growth_gradient

ORANGE, CO2, LOBLOLLY = (load_dataset(name) for name in ("Orange", "CO2", "Loblolly"))
WRITTEN = "circumference ~ A / (1 + exp((b - age) / c)) ~ A | Tree"


def starts(formula, data, **arguments):
    built = read_nonlinear(formula, data, **arguments).nonlinear
    return dict(zip(built.design.x_names, built.start.tolist(), strict=True))


def test_starts_can_be_left_out():
    found = starts("circumference ~ SSlogis(age, xmid=m, Asym=top, scal=s) ~ top | Tree", ORANGE)
    assert found == pytest.approx({"m": 728.756375, "top": 192.687590, "s": 353.533659}, rel=1e-5)


def test_starts_given_in_part_are_kept():
    formula = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
    found = starts(formula, ORANGE, start={"Asym": 200})
    assert found == pytest.approx({"Asym": 200, "xmid": 728.756375, "scal": 353.533659}, rel=1e-5)


@pytest.mark.parametrize("terms", ["~ Type * Treatment", "~ 0 + Type", "~ scale(conc)"])
def test_covariates_start_without_effect(terms):
    built = read_nonlinear(
        "uptake ~ SSasympOff(conc, Asym, lrc, c0)", CO2, fixed={"Asym": terms}, random="Asym | Plant"
    ).nonlinear
    asymptote = built.design.X[:, built.fixed_parameter == 0] @ built.start[built.fixed_parameter == 0]
    np.testing.assert_allclose(asymptote, 32.45715612, rtol=1e-5)


def test_missing_rows_have_no_part_in_the_start():
    spoiled = pd.concat([ORANGE, ORANGE.assign(circumference=1e6, age=np.nan)], ignore_index=True)
    formula = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
    assert starts(formula, spoiled) == starts(formula, ORANGE)


def test_inputs_of_a_self_start_may_be_expressions_and_numbers():
    theoph = load_dataset("Theoph")
    found = starts("conc ~ SSfol(4, Time * 60, lKe, lKa, lCl) ~ lCl | Subject", theoph)
    in_hours = starts("conc ~ SSfol(4, Time, lKe, lKa, lCl) ~ lCl | Subject", theoph)
    for name in ("lKe", "lKa", "lCl"):
        assert found[name] == pytest.approx(in_hours[name] - np.log(60), abs=1e-3)


def test_repeated_terms_leave_their_parameters_too():
    with pytest.warns(FormulaWarning, match="twice"):
        built = read_nonlinear(
            "circumference ~ SSlogis(age, A, B, C) ~ (A | Tree) + (A | Tree) + (B | Tree)", ORANGE
        ).nonlinear
    assert [owner.tolist() for owner in built.random_parameter] == [[0], [1]]
    assert [term.columns for term in built.design.random] == [("A",), ("B",)]


@pytest.mark.parametrize("given", [growth, (growth, growth_gradient)])
def test_functions_of_the_caller(given):
    found = read_nonlinear(
        "height ~ growth(age, top=top, rate=rate, shape=shape) ~ top | Seed",
        LOBLOLLY,
        env={"growth": given},
        start={"top": 80, "rate": 0.08, "shape": 1.5},
    )
    assert found.nonlinear.mean.parameters == ("top", "rate", "shape")


@pytest.mark.parametrize(
    ("formula", "start", "message"),
    [
        (
            WRITTEN,
            None,
            r"starting values are missing for A, b, c, .* start=\{'A': ..., 'b': ..., 'c': ...\}",
        ),
        (
            WRITTEN.replace("age", "agee"),
            {"A": 2, "b": 7, "c": 3},
            "missing for agee, .*meant as a column: age",
        ),
        (WRITTEN, {"A": 200, "b": 725, "c": 0}, "not a finite number in 35 of 35 .* c = 0, age = 118"),
        (WRITTEN, {"A": 200, "b": 1e9, "c": 1}, "does not change with A at the starting values"),
        (
            WRITTEN.replace("~ A / (", "~ 0 * d + A / ("),
            {"A": 200, "b": 725, "c": 350, "d": 1},
            "does not change with d",
        ),
        (
            "circumference ~ log(age - A) ~ A | Tree",
            {"A": 500},
            r"in 10 of 35 row\(s\), first in row 0, where A = 500",
        ),
        (
            "circumference ~ A * B * age + C ~ A | Tree",
            {"A": 1, "B": 0.1, "C": 1},
            "flat direction: what B changes",
        ),
        (
            WRITTEN,
            {"A": 5, "b": 3000, "c": 20},
            "far from every curve that fits: what b changes there, .*nearer to the data",
        ),
        (
            "circumference ~ A * exp(-((age - m) / s)^2) ~ A | Tree",
            {"A": 200, "m": 6000, "s": 200},
            r"\(A = 200, m = 6000, s = 200, age = 118\) are far from every curve that fits",
        ),
        ("circumference ~ exp(A + B - age) + C ~ A | Tree", {"A": 9, "B": 7, "C": 1}, "what B changes"),
    ],
)
def test_starts_from_which_nothing_can_be_done_are_refused(formula, start, message):
    with pytest.raises(ControlError, match=message):
        read_nonlinear(formula, ORANGE, start=start)


def test_parameters_that_only_the_start_makes_alike_are_no_flat_direction():
    # Both exponentials are the same here, so that their amounts cannot be told apart at the start alone.
    indometh = load_dataset("Indometh")
    formula = "conc ~ SSbiexp(time, A1, lrc1, A2, lrc2) ~ A1 | Subject"
    read_nonlinear(formula, indometh, start={"A1": 1, "lrc1": 0.5, "A2": 2, "lrc2": 0.5})


def test_data_without_a_curve_ask_for_a_start():
    flat = ORANGE.assign(circumference=100.0)
    with pytest.raises(ControlError, match=r"no starting values of SSlogis .* start=\{'Asym': ..., 'xmid'"):
        read_nonlinear("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", flat)


def test_what_was_asked_for_is_kept():
    found = read_nonlinear(
        "circumference ~ SSlogis(age, Asym, xmid, scal)", ORANGE, random="Asym ~ 1 | Tree", subset="age > 200"
    )
    assert found.call.arguments["random"] == "Asym ~ 1 | Tree"
    assert found.call.subset == "age > 200"
    assert found.nonlinear.design.n_rows == 30
