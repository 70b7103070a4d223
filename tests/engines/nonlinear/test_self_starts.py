"""Starting values of self-starting models: R's, and the least-squares curve wherever R has none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels import load_dataset
from mixedmodels.engines.nonlinear.levenberg_marquardt import least_squares
from mixedmodels.engines.nonlinear.pooled import pooled_least_squares
from mixedmodels.engines.nonlinear.self_starts import mean_by_input, self_start
from mixedmodels.formula.evaluation.self_starting import SELF_STARTING
from tests.formula.evaluation.test_mean_derivatives import bound

#: Both searches end where the sum of squares is flat to rounding, the parameters to its square root.
R_ACCURACY = 5e-6


def start(model, x, y):
    return self_start(model, (np.asarray(x, dtype=float),), np.asarray(y, dtype=float))


#: ``getInitial(..., control = nls.control(tol = 3e-8, minFactor = 1e-9))`` of R 4.2.2 (5e-7 for SSweibull and
#: SSfpl of DNase, where R ends in an error): model, data, input, response, rows, values.
FROM_R = [
    ("SSlogis", "Orange", "age", "circumference", "", [192.687590, 728.756375, 353.533659]),
    ("SSfpl", "Orange", "age", "circumference", "", [3.06144862, 191.10980930, 735.28652944, 341.48994355]),
    ("SSlogis", "Soybean", "Time", "weight", "", [18.46149177, 53.93144493, 8.10641672]),
    ("SSgompertz", "Soybean", "Time", "weight", "", [20.395296764, 29.371196395, 0.934461989]),
    ("SSlogis", "ChickWeight", "Time", "weight", "Diet == '1'", [273.44120469, 15.49434451, 8.58370026]),
    ("SSfpl", "ChickWeight", "Time", "weight", "", [1.46832266, 333.34108762, 15.92907058, 7.86527700]),
    ("SSweibull", "ChickWeight", "Time", "weight", "Chick == '6' and Time < 43",
     [158.97563625, 115.00841304, -5.54284845, 2.46061036]),
    ("SSbiexp", "Indometh", "time", "conc", "", [2.773406939, 0.886355220, 0.606736095, -1.091927915]),
    ("SSasympOff", "CO2", "conc", "uptake", "", [32.45715612, -4.65224778, 45.88226409]),
    ("SSasympOff", "CO2", "conc", "uptake", "Plant == 'Qn1'", [38.13978003, -4.38064624, 51.22327616]),
    ("SSasymp", "Loblolly", "age", "height", "", [102.26211367, -8.53305706, -3.24613035]),
    ("SSasympOrig", "Loblolly", "age", "height", "", [344.34558878, -4.83965475]),
    ("SSmicmen", "Puromycin", "conc", "rate", "", [192.1632815104, 0.0616060733]),
    ("SSmicmen", "Puromycin", "conc", "rate", "state == 'treated'", [212.6837427706, 0.0641212811]),
    ("SSlogis", "DNase", "log", "density", "", [2.48531906, 1.51811703, 1.09830729]),
    ("SSfpl", "DNase", "log", "density", "", [0.0324355939, 2.3553443701, 1.4209862450, 1.0123992513]),
    ("SSgompertz", "DNase", "log", "density", "", [5.243433256, 2.313889002, 0.737850375]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "data", "x", "y", "rows", "right"), FROM_R)
def test_starts_are_those_of_R(model, data, x, y, rows, right):
    table = load_dataset(data)
    table = table.query(rows) if rows else table
    inputs = np.log(table["conc"]) if x == "log" else table[x]
    np.testing.assert_allclose(start(model, inputs, table[y]), right, rtol=R_ACCURACY)


def sum_of_squares(parameters, dose, x, y):
    _, mean, phi = curve("SSfol", parameters, x)
    return np.sum((y - mean.value(phi) / 4.0 * dose) ** 2)


@pytest.mark.parametrize(
    ("rows", "of_R"),
    [("Subject == '1'", [-2.994845, 0.609169, -3.971003]), ("Dose > 0", [-2.319307, 0.257087, -3.123155])],
)
def test_first_order_curves_are_least_squares_curves(rows, of_R):
    # R's initial function does not move lKe from its first guess; this is the minimum that nls() ends at.
    table = load_dataset("Theoph").query(rows)
    dose, x, y = (table[name].to_numpy(float) for name in ("Dose", "Time", "conc"))
    found = self_start("SSfol", (dose, x), y)
    assert sum_of_squares(found, dose, x, y) < sum_of_squares(of_R, dose, x, y)
    if len(table) == 11:
        # Pinheiro and Bates (2000), page 514
        np.testing.assert_allclose(found, [-2.9196, 0.5752, -3.9159], atol=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e5])
@pytest.mark.parametrize("by", [1.0, 1e-4, 1e6])
def test_units_and_signs_carry_over(sign, scale, by):
    orange = load_dataset("Orange")
    found = start("SSlogis", by * orange["age"], sign * scale * orange["circumference"])
    right = [sign * scale * 192.687590, by * 728.756375, by * 353.533659]
    np.testing.assert_allclose(found, right, rtol=R_ACCURACY)


def test_falling_curves_have_starts():
    orange = load_dataset("Orange")
    found = start("SSlogis", orange["age"], 250.0 - orange["circumference"])
    np.testing.assert_allclose(found, [327.237894, 641.728063, -698.112198], rtol=R_ACCURACY)


TRUTH = {
    "SSasymp": ([5.0, -2.0, -0.5], [-5.0, 20.0, 0.3], [1e-3, 3e-3, -1.0]),
    "SSasympOff": ([5.0, -0.5, 0.4], [-30.0, 0.2, -0.3]),
    "SSasympOrig": ([5.0, -0.5], [-30.0, 0.2]),
    "SSbiexp": ([3.0, 1.2, 0.5, -1.3], [-30.0, 1.0, -4.0, -1.5]),
    "SSfpl": ([1.0, 8.0, 2.3, 0.4], [8.0, 1.0, 2.3, 0.4], [-3.0, -9.0, 3.0, 0.7]),
    "SSgompertz": ([7.0, 3.0, 0.4], [-7.0, 2.0, 0.3], [2.0, -1.5, 0.5], [9.0, 0.1, 1.4]),
    "SSlogis": ([7.0, 2.5, 0.6], [7.0, 2.5, -0.6], [-7.0, 2.0, 0.9]),
    "SSmicmen": ([7.0, 1.3], [-200.0, 0.06]),
    "SSweibull": ([7.0, 6.0, -2.0, 1.7], [-3.0, -8.0, -1.0, 2.2]),
    "SSfol": ([-1.6, 0.4, -2.0], [-2.5, 0.5, -3.2]),
}
CASES = [(model, truth) for model, truths in TRUTH.items() for truth in truths]


def curve(model, truth, x):
    """Return a curve by its definition, and its inputs."""
    definition = SELF_STARTING[model]
    inputs = (np.full_like(x, 4.0), x)[-len(definition.inputs) :]
    table = dict(zip(definition.inputs, inputs, strict=True))
    mean = bound(definition.expression, definition.parameters, table=table)
    return inputs, mean, np.repeat(np.array(truth)[:, None], len(x), axis=1)


@pytest.mark.parametrize(("model", "truth"), CASES)
def test_curves_without_noise_are_found_exactly(model, truth):
    x = np.repeat(np.linspace(0.1, 8.0, 14), 2)[::-1]
    inputs, mean, phi = curve(model, truth, x)
    np.testing.assert_allclose(self_start(model, inputs, mean.value(phi)), truth, rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "truth"),
    [
        ("SSlogis", [7.0, 2003.0, 4.0]),
        ("SSfpl", [1.0, 7.0, 2003.0, 4.0]),
        ("SSasympOff", [7.0, -1.5, 1987.0]),
        ("SSgompertz", [7.0, np.exp(0.2 * 2000.0), np.exp(-0.2)]),
        ("SSasymp", [7.0, 7.0 - 5.0 * np.exp(0.1 * 1990.0), np.log(0.1)]),
    ],
)
def test_inputs_may_be_years(model, truth):
    x = np.arange(1990.0, 2021.0)
    inputs, mean, phi = curve(model, truth, x)
    found = self_start(model, inputs, mean.value(phi))
    fitted = mean.value(np.repeat(found[:, None], len(x), axis=1))
    np.testing.assert_allclose(fitted, mean.value(phi), rtol=1e-5)


@given(st.sampled_from(CASES), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_no_search_from_a_start_finds_a_curve_that_fits_much_better(case, seed):
    model, truth = case
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.05, 8.0, 25))
    inputs, mean, phi = curve(model, truth, x)
    y = mean.value(phi)
    y = y + rng.normal(0.0, 0.04 * np.ptp(y), 25)
    found = self_start(model, inputs, y)
    assert found is not None
    K, X = len(found), np.tile(np.ones((25, 1)), len(found))
    owner = np.arange(K)
    rss = np.sum((y - mean.value(np.repeat(found[:, None], 25, axis=1))) ** 2)
    from_truth = pooled_least_squares(mean, X, owner, y, np.array(truth))
    assert rss <= from_truth.rss * (1.0 + 1e-4)


@pytest.mark.parametrize("model", SELF_STARTING)
def test_data_without_a_curve_have_no_start(model):
    x = np.array([1.0, 1.0, 2.0])
    inputs = (np.ones(3), x)[-len(SELF_STARTING[model].inputs) :]
    assert self_start(model, inputs, np.array([1.0, 2.0, 3.0])) is None
    x = np.linspace(0.0, 5.0, 12)
    inputs = (np.ones(12), x)[-len(SELF_STARTING[model].inputs) :]
    assert self_start(model, inputs, np.full(12, 2.0)) is None


def test_means_by_input_are_of_the_distinct_inputs_in_order():
    x, y = mean_by_input(np.array([3.0, 1.0, 3.0]), np.array([2.0, 5.0, 4.0]))
    assert (x.tolist(), y.tolist()) == ([1.0, 3.0], [5.0, 3.0])


def test_pooled_least_squares_has_covariates_and_weights():
    table = load_dataset("Puromycin")
    treated = (table["state"] == "treated").to_numpy(float)
    mean = bound("SSmicmen(conc, Vm, K)", ("Vm", "K"), table={"conc": table["conc"].to_numpy()})
    X = np.column_stack([np.ones(23), treated, np.ones(23)])
    y = table["rate"].to_numpy(float)
    fit = pooled_least_squares(mean, X, np.array([0, 0, 1]), y, np.array([190.0, 0.0, 0.06]))
    # nls(rate ~ (Vm + delV * (state == "treated")) * conc / (K + conc), Puromycin) of R 4.2.2
    np.testing.assert_allclose(fit.at, [166.60408, 42.02595, 0.05797], rtol=1e-4)
    assert fit.settled
    doubled = pooled_least_squares(mean, X, np.array([0, 0, 1]), y, fit.at, np.full(23, 2.0))
    np.testing.assert_allclose(doubled.rss, 2.0 * fit.rss, rtol=1e-10)


def test_a_search_that_cannot_begin_is_not_settled():
    fit = least_squares(lambda q: (np.array([np.nan]), np.ones((1, 1))), np.zeros(1))
    assert not fit.settled
