"""Means, contrasts, trends and joint tests of mixed models against R's emmeans, lmerTest and pbkrtest."""

import warnings

import pytest

import mixedmodels as mm
from tests.inference.emmeans.references import DDF, differences, names_with, reference, reference_model

# Relative, and of numbers near zero absolute in "atol" of it. lmerTest's Hessians are numerical: its degrees
# of freedom are good to 1e-4, and p-values far in a tail to ten times the error of theirs.
LINEAR = {
    "": 1e-6, "df": 1e-4, "p.value": 1e-4, "lower.CL": 2e-5, "upper.CL": 2e-5, "df2": 1e-4, "atol": 1e-3
}  # fmt: skip
# Estimates of the two engines agree to 1e-5, standard errors to 1e-4.
GENERALIZED = {"": 1e-4, "p.value": 1e-3, "atol": 1e-3}
# emmeans prints joint tests with three decimals, and takes them from there to the confounded rest.
ROUNDED = {"": 0.0, "F.ratio": 1e-6, "df2": 1e-4, "atol": 500.0}
# Every adjustment of the normal tests; of those with degrees of freedom the one that is asked for most.
ADJUSTMENTS = {"asymptotic": ("tukey", "holm", "bonferroni", "sidak")}
# R's own p-values by Tukey are the worse ones: with an empty cell it rounds all degrees of freedom to whole
# numbers, because contrasts that are not estimable count as having infinitely many (0.8115495 is
# ptukey(sqrt(2) * 0.6172, 3, 42); with 41.5258 it is 0.8115592); and its quadrature fails far out at four
# degrees of freedom, where scipy.stats.studentized_range agrees with us to all digits (test_adjustment.py).
TUKEY_OF_R = ("cake_emptycell", "assay_crossed")


def _model(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.DataWarning)  # the design with an empty cell
        return reference_model(name)


def _blocks(block):
    """Return (name, specification, method of degrees of freedom) of every table of a block."""
    found = []
    for name in names_with(block):
        for entry in reference(name)["results"][block]:
            found += [(name, entry, mode) for mode in DDF if mode in entry]
    return found


def _id(value):
    return value if isinstance(value, str) else value["specs"]


def _options(name, mode):
    return {} if name.startswith("glmm") else {"ddf": DDF[mode]}


def _has_method(name, mode):
    """Skip where the method of degrees of freedom is not there yet."""
    try:
        mm.emmeans(_model(name), "~ 1", **_options(name, mode))
    except mm.NotAvailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("name", "entry", "mode"), _blocks("emmeans"), ids=_id)
def test_means_and_contrasts(name, entry, mode):
    _has_method(name, mode)
    tolerance = GENERALIZED if name.startswith("glmm") else LINEAR
    means = mm.emmeans(_model(name), entry["specs"], **_options(name, mode))
    wrong = []
    for block, expected in entry[mode].items():
        for title, table, columns in _tables(means, block, expected, ADJUSTMENTS.get(mode, ("tukey",))):
            if name in TUKEY_OF_R and title == "tukey" and mode != "asymptotic":
                continue
            wrong += [f"{block} {title}: {text}" for text in differences(table, columns, tolerance)]
    assert wrong == []


def _tables(means, block, expected, adjustments):
    """Return title, our table and R's columns of one block."""
    if block == "pairs":
        pairs = means.pairs()
        yield "", pairs.summary(infer=True, adjust="none"), expected["unadjusted"]
        for adjust in adjustments:
            table = pairs.summary(infer=True, adjust=adjust)
            lower, upper = (name for name in table.columns if name.endswith("CL"))
            given = expected[adjust]
            yield (
                adjust,
                table,
                {"columns": {"p.value": given["p.value"], lower: given["lower"], upper: given["upper"]}},
            )
    elif block.startswith("contrast_"):
        contrasts = means.contrast(block.removeprefix("contrast_"))
        yield "", contrasts.summary(infer=True, adjust="none"), expected
    else:
        table = {
            "means": lambda: means.summary(infer=True),
            "response": lambda: means.summary(infer=True, type="response"),
            "pairs_response": lambda: means.pairs(type="response").summary(infer=True),
            "regrid": lambda: means.regrid().summary(infer=True),
        }[block]()
        yield "", table, expected


@pytest.mark.parametrize(("name", "entry", "mode"), _blocks("emtrends"), ids=_id)
def test_trends(name, entry, mode):
    _has_method(name, mode)
    tolerance = GENERALIZED if name.startswith("glmm") else LINEAR
    trends = mm.emtrends(_model(name), entry["specs"], entry["var"], **_options(name, mode))
    assert differences(trends.summary(infer=True), entry[mode]["trends"], tolerance) == []
    if "pairs" in entry[mode]:
        table = trends.pairs().summary(infer=True, adjust="none")
        assert differences(table, entry[mode]["pairs"], tolerance) == []


@pytest.mark.parametrize("mode", DDF)
@pytest.mark.parametrize("name", names_with("joint_tests"))
def test_joint_tests(name, mode):
    expected = reference(name)["results"]["joint_tests"].get(mode)
    if expected is None:
        pytest.skip("R has no table by this method")
    _has_method(name, mode)
    table = mm.joint_tests(_model(name), **_options(name, mode))
    columns = {name: list(values) for name, values in expected["columns"].items() if name != "note"}
    terms = columns["model term"]
    assert table["model term"].tolist() == terms
    # What the tests leave over is computed by R from rounded F statistics.
    exact = [i for i, term in enumerate(terms) if term != "(confounded)"]
    first = {name: [values[i] for i in exact] for name, values in columns.items()}
    tolerance = GENERALIZED if name.startswith("glmm") else LINEAR
    own = {name: first[name] for name in ("df1", "p.value")}
    assert differences(table.iloc[exact], {"columns": own}, tolerance) == []
    printed = {name: first[name] for name in ("F.ratio", "df2")}
    assert differences(table.iloc[exact].round({"F.ratio": 3, "df2": 2}), {"columns": printed}, ROUNDED) == []
    assert table["df1"].tolist() == columns["df1"]
    assert table["F.ratio"].tolist() == pytest.approx(columns["F.ratio"], rel=1e-3, abs=1e-3)
