"""``residual=`` and ``dispersion=``: which groups, positions and parameters they stand for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import DataError, DataWarning, FormulaError
from mixedmodels.formula.design.build import build_design
from mixedmodels.formula.design.new_residual import new_residual, new_variance_columns

VISITS = ["V1", "V2", "V3", "V4"]


def table(seed=0):
    """Return 12 subjects of two arms at four visits."""
    rng = np.random.default_rng(seed)
    n = 48
    return pd.DataFrame(
        {
            "subject": np.repeat(np.arange(101, 113), 4),
            "arm": pd.Categorical(np.repeat(["PBO", "TRT"] * 6, 4)),
            "visit": pd.Categorical(np.tile(VISITS, 12), categories=VISITS),
            "week": np.tile([0, 4, 8, 16], 12),
            "time": np.tile([0.1, 0.35, 1.7, 2.0], 12) + rng.uniform(0, 0.05, n),
            "x": rng.uniform(1, 2, n),
            "z": rng.normal(size=n),
            "y": rng.normal(size=n),
        }
    )


def read(residual, data=None, dispersion=None):
    return build_design("y ~ x", table() if data is None else data, residual=residual, dispersion=dispersion)


def test_levels_come_from_the_categories_and_not_from_the_rows():
    data = table().sample(frac=1.0, random_state=1)
    found = read("us(visit | subject)", data).residual
    assert found.levels == tuple(VISITS)
    assert found.positions.tolist() == data["visit"].cat.codes.tolist()
    assert [found.groups[k] for k in found.codes] == data["subject"].astype(str).tolist()
    assert found.variance.function.levels == tuple(VISITS)
    order = found.in_order()
    pairs = list(zip(found.codes[order].tolist(), found.positions[order].tolist(), strict=True))
    assert pairs == sorted(pairs)


def test_numbers_count_in_steps():
    found = read("ar1(week | subject)").residual
    assert (found.origins.tolist(), found.step) == ([0.0] * 12, 4.0)
    assert found.positions[:4].tolist() == [0, 1, 2, 4]
    data = table().assign(week=lambda d: d["week"] * 0.1 + 0.3)
    assert read("ar1(week | subject)", data).residual.positions[:4].tolist() == [0, 1, 2, 4]


def test_steps_are_those_within_groups():
    data = table().assign(week=lambda d: d["week"] + d["subject"] % 4)
    found = read("ar1(week | subject)", data).residual
    assert found.step == 4.0
    assert found.positions[:8].tolist() == [0, 1, 2, 4, 0, 1, 2, 4]
    even = data[data["visit"].isin(["V1", "V3", "V4"])]
    assert read("ar1(week | subject)", even).residual.step == 8.0


def test_dates_are_days():
    start = pd.Timestamp("2024-02-26")
    data = table().assign(date=lambda d: start + pd.to_timedelta(d["week"] * 7, unit="D"))
    found = read("ar1(date | subject)", data).residual
    assert (found.step, found.positions[:4].tolist()) == (28.0, [0, 1, 2, 4])
    places = read("car1(date | subject)", data).residual.positions
    assert np.diff(places[:4, 0]).tolist() == [28.0, 28.0, 56.0]
    assert read("us(date | subject)", data).residual.levels[0] == "2024-02-26"


def test_times_without_a_common_step_are_for_continuous_time():
    with pytest.raises(DataError, match=r"without a common step.*car1\(time \| group\)"):
        read("ar1(time | subject)")
    assert read("car1(time | subject)").residual.positions.shape == (48, 1)


def test_levels_that_do_not_occur_are_none():
    data = table().query("visit != 'V2'")
    found = read("us(visit | subject)", data).residual
    assert found.levels == ("V1", "V3", "V4")
    assert found.structure.n_parameters == 3


@pytest.mark.parametrize(
    ("text", "n_correlations", "n_deviations"),
    [
        ("us(visit | subject)", 6, 3),
        ("us(visit | subject, hom = TRUE)", 6, 0),
        ("diag(visit | subject)", 0, 3),
        ("cs(visit | subject)", 1, 0),
        ("csh(visit | subject)", 1, 3),
        ("cs(visit | subject, hom = FALSE)", 1, 3),
        ("ar1(visit | subject)", 1, 0),
        ("ar1h(visit | subject)", 1, 3),
        ("toep(visit | subject)", 3, 0),
        ("toeph(visit | subject)", 3, 3),
        ("ante(visit | subject)", 3, 3),
        ("ad(visit | subject)", 3, 0),
        ("adh(visit | subject)", 3, 3),
        ("arma(visit | subject, p = 1, q = 1)", 2, 0),
        ("arma(visit | subject, 2, 0)", 2, 0),
        ("car1(week | subject)", 1, 0),
        ("exp(time | subject)", 1, 0),
        ("exp(x + z | subject, nugget = TRUE)", 2, 0),
        ("mat(x + z | subject)", 2, 0),
        ("mat(x + z | subject, nu = 1.5, nugget = TRUE)", 2, 0),
        ("sp_pow(x + z | subject)", 1, 0),
        ("us(visit | arm / subject)", 12, 7),
        ("cs(visit | arm / subject)", 2, 1),
        ("ar1(1 | subject)", 1, 0),
        ("ar1h(1 | subject)", 1, 3),
    ],
)
def test_parameters_of_each_structure(text, n_correlations, n_deviations):
    found = read(text).residual
    assert found.parameters.n_parameters == n_correlations
    assert (0 if found.variance is None else found.variance.function.n_parameters) == n_deviations


def test_arms_have_parameters_of_their_own():
    data = table().sample(frac=1.0, random_state=2)
    found = read("us(visit | arm / subject)", data).residual
    assert found.arm_names == ("PBO", "TRT")
    assert [found.arm_names[a] for a in found.arms[found.codes]] == data["arm"].tolist()
    assert found.variance.function.levels[:2] == ("PBO*V1", "PBO*V2")
    assert found.formula == "~visit | arm:subject"


def test_subjects_numbered_anew_in_each_arm_are_not_one():
    data = table().assign(subject=lambda d: (d["subject"] - 101) // 2)
    assert len(read("us(visit | arm / subject)", data).residual.groups) == 12


def test_all_rows_one_series():
    data = table().iloc[:4]
    for text in ("ar1(week)", "ar1(week | 1)"):
        found = read(text, data).residual
        assert found.groups == ("",)
        assert found.codes.tolist() == [0] * 4


def test_rows_with_a_missing_time_drop():
    data = table()
    data.loc[5, "week"] = np.nan
    design = read("ar1(week | subject)", data)
    assert design.n_rows == 47
    assert 5 not in design.index


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ar2(visit | subject)", "'ar2' is no residual structure"),
        ("corAR1(visit | subject)", r"written ar1\(\) here"),
        ("corARMA(visit | subject)", r"written arma\(\) here"),
        ("us(visit)", r"needs the groups.*us\(visit \| visit\)"),
        ("arma(visit | subject)", "needs its orders"),
        ("arma(visit | subject, p = -1)", "p in arma"),
        ("us(visit | subject, p = 1)", "us.. takes a bar, and hom="),
        ("ar1(visit + week | subject)", "one variable of time"),
        ("ar1(visit || subject)", r"'\|\|' cannot stand"),
        ("ar1(visit | subject + arm)", "not one grouping factor"),
        ("exp(time | subject, nugget = 1)", "nugget in exp.. must be TRUE or FALSE"),
        ("mat(time | subject, nu = 0)", "nu in mat.. must be a positive number"),
        ("visit", "'visit' is no residual structure"),
        ("ar1()", "ar1.. begins with visit"),
    ],
)
def test_what_cannot_be_read_says_why(text, message):
    with pytest.raises(FormulaError, match=message):
        read(text)


def test_two_rows_of_one_visit_are_named():
    data = pd.concat([table(), table().iloc[[5]]], ignore_index=True)
    with pytest.raises(DataError, match=r"two rows of subject 102 have visit = V2 \(rows 5, 48\)"):
        read("us(visit | subject)", data)
    with pytest.raises(DataError, match="subject 102"):
        read("exp(x + z | subject)", data)
    assert read("exp(x + z | subject, nugget = TRUE)", data).n_rows == 49


def test_correlations_that_no_rows_show_are_named():
    data = table()
    apart = data[(data["visit"] != "V4") | (data["subject"] == 101)]
    apart = apart[(apart["visit"] != "V1") | (apart["subject"] != 101)]
    with pytest.raises(DataError, match="no subject has both V1 and V4 of visit"):
        read("us(visit | subject)", apart)
    assert read("toep(visit | subject)", data[data["visit"] != "V2"]).n_rows == 36
    with pytest.raises(DataError, match="has rows 2 steps of week apart"):
        read("toep(week | subject)", data[data["week"] != 8])
    with pytest.raises(DataError, match="every subject of arm TRT has one row"):
        read("cs(visit | arm / subject)", data[(data["arm"] == "PBO") | (data["visit"] == "V1")])


def test_categorical_coordinates_are_refused():
    with pytest.raises(DataError, match="visit is categorical, and car1"):
        read("car1(visit | subject)")
    with pytest.raises(DataError, match="no correlation over 2 coordinates"):
        read("lin(x + z | subject)")


def test_alphabetical_order_of_numbered_strings_is_pointed_out():
    names = [f"Day{k}" for k in (1, 2, 10, 11)]
    data = table().assign(day=np.tile(names, 12))
    with pytest.warns(DataWarning, match=r"alphabetical order \(Day1, Day10, Day11, ...\)"):
        found = read("ar1(day | subject)", data).residual
    assert found.levels == ("Day1", "Day10", "Day11", "Day2")
    assert read("us(day | subject)", data).residual.levels == found.levels


@pytest.mark.parametrize(
    ("text", "formulas", "n_parameters"),
    [
        ("~ arm", ["~arm"], [1]),
        ("~ 0 + arm", ["~0 + arm"], [1]),
        ("~ arm * x", ["~arm * x"], [3]),
        ("~ 1", [], []),
        ("ident(arm)", ["~1 | arm"], [1]),
        ("ident(1 | arm)", ["~1 | arm"], [1]),
        ("ident(arm * visit)", ["~1 | arm * visit"], [7]),
        ("power(x)", ["~x"], [1]),
        ("power(x | arm)", ["~x | arm"], [2]),
        ("power(fitted)", ["~fitted(.)"], [1]),
        ("power(fitted(.))", ["~fitted(.)"], [1]),
        ("exp(z)", ["~z"], [1]),
        ("constpower(week)", ["~week"], [2]),
        ("fixed(x)", ["~x"], [0]),
        ("power(x) * ident(arm)", ["~x", "~1 | arm"], [1, 1]),
        ("fixed(x) * exp(z | arm) * ident(visit)", ["~x", "~z | arm", "~1 | visit"], [0, 2, 3]),
    ],
)
def test_variance_functions(text, formulas, n_parameters):
    terms = read(None, dispersion=text).dispersion
    assert [term.formula for term in terms] == formulas
    assert [term.function.n_parameters for term in terms] == n_parameters
    assert [term.uses_fitted for term in terms] == ["fitted" in formula for formula in formulas]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("varPower(x)", FormulaError, r"written power\(\) here"),
        ("log(x)", FormulaError, "no variance function"),
        ("power(x, arm)", FormulaError, "takes one variable"),
        ("~ (1 | arm)", FormulaError, "cannot have random effects"),
        ("power(visit)", DataError, r"visit is categorical; write ident\(visit\)"),
        ("power(week)", DataError, r"week is zero in 12 row\(s\), first in row 0"),
        ("fixed(z)", DataError, "z is not positive"),
        ("power(arm | visit)", DataError, "categorical"),
        ("fixed(fitted)", FormulaError, "proportional to the variance"),
    ],
)
def test_variance_functions_that_cannot_be(text, error, message):
    with pytest.raises(error, match=message):
        read(None, dispersion=text)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_order_of_rows_and_names_of_groups_change_nothing(seed):
    rng = np.random.default_rng(seed)
    data = table().drop(index=rng.choice(48, 6, replace=False))
    shuffled = data.sample(frac=1.0, random_state=seed)
    shuffled["subject"] = "s" + shuffled["subject"].astype(str)
    one, other = (read("toep(week | arm / subject)", d).residual for d in (data, shuffled))
    assert one.structure == other.structure

    def places(found, index):
        return dict(zip(index, found.positions.tolist(), strict=True))

    assert places(one, data.index) == places(other, shuffled.index)
    sizes = (np.sort(np.bincount(found.codes)).tolist() for found in (one, other))
    assert next(sizes) == next(sizes)


def test_places_of_new_rows():
    design = read("ar1h(week | arm / subject)", dispersion="power(x | arm) * ident(visit) * exp(fitted)")
    new = pd.DataFrame(
        {
            "subject": [103, 999, 102],
            "arm": ["PBO", "TRT", "TRT"],
            "week": [8.0, 24.0, np.nan],
            "visit": ["V4", "V1", "V2"],
            "x": [1.0, 2.0, 3.0],
        }
    )
    found = new_residual(design, new)
    assert found.positions[:2].tolist() == [2, 0]
    assert design.residual.groups[found.codes[0]] == "PBO:103"
    assert found.codes[1:].tolist() == [-1, -1]
    assert found.arms.tolist() == [0, 1, 1]
    power, ident, _ = design.dispersion
    assert new_variance_columns(design, power, new).values[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert new_variance_columns(design, ident, new).strata.tolist() == [3, 0, 1]
    with pytest.raises(DataError, match="no whole number of steps of 4"):
        new_residual(design, new.assign(week=[1, 2, 3]))
    toeplitz = read("toep(week | subject)")
    with pytest.raises(DataError, match=r"rows of subject 102 5 steps apart.*4 steps or fewer"):
        new_residual(toeplitz, new.assign(week=20.0))
    with pytest.raises(DataError, match="visit has 'V9' in the new data"):
        new_variance_columns(design, ident, new.assign(visit="V9"))


@pytest.mark.parametrize(
    "text",
    ["us(visit | subject)", "cs(visit | arm / subject)", "car1(time | subject)", "toep(week | subject)"],
)
def test_places_of_the_rows_of_the_fit_are_those_of_the_fit(text):
    data = table().sample(frac=1.0, random_state=3)
    design = read(text, data, dispersion="~ arm * x")
    found, residual = new_residual(design, data), design.residual
    assert np.array_equal(found.positions, residual.positions)
    assert np.array_equal(found.codes, residual.codes)
    terms = [term for term in (residual.variance, *design.dispersion) if term is not None]
    for term in terms:
        columns = new_variance_columns(design, term, data)
        np.testing.assert_array_equal(columns.values, term.columns.values)
        np.testing.assert_array_equal(columns.strata, term.columns.strata)


@pytest.mark.parametrize("text", ["lin(at | 1)", "spher(at | 1)"])
def test_the_smallest_distance_of_a_long_series_is_known(text):
    rng = np.random.default_rng(2)
    at = np.cumsum(rng.uniform(0.5, 1.5, 1000))
    data = pd.DataFrame({"at": at, "x": rng.normal(size=1000), "y": rng.normal(size=1000)})
    structure = read(text, data.sample(frac=1.0, random_state=0)).residual.structure
    assert structure.nearest == pytest.approx(np.diff(at).min())
    assert structure.typical == pytest.approx(
        np.median(np.subtract.outer(at, at)[np.tril_indices(1000, -1)]), rel=0.05
    )
