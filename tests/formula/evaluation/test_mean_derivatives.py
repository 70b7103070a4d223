"""Derivatives of means: exact against complex steps, R's gradients, and differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import DataError, FormulaError
from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.evaluation.mean import Sources, read_mean, results
from mixedmodels.formula.evaluation.programs import Recorder
from mixedmodels.formula.evaluation.self_starting import SELF_STARTING
from mixedmodels.formula.language.parse import parse_expression

TABLE = {"x": np.array([0.5, 2.0, 7.0]), "D": np.array([4.0, 4.4, 5.0]), "f": np.array(["a", "b", "a"])}


def bound(text, parameters, env=None, table=TABLE):
    """Return a mean on the rows of a table."""
    env = env or {}
    frame = input_frame(table)
    evaluator = formula_evaluator(frame, text, env, States())
    mean = read_mean(parse_expression(text), tuple(parameters), evaluator)
    columns = {name: evaluator.column(node) for name, node in mean.variables.items()}
    return mean.bound(columns, frame.n_rows, env)


def rows(values, n=3):
    """Return parameters that are the same in all rows."""
    return np.repeat(np.array(values, dtype=float)[:, None], n, axis=1)


#: R 4.2.2: value, and gradient by parameter, at x = 0.5, 2, 7 (and Dose = 4, 4.4, 5) and `AT`.
FROM_R = {
    "SSasymp": (
        [6.6689297370575105, 40.595989011006807, 86.824083051758691],
        [
            [0.13980580402817988, 0.4524975945714913, 0.878562977435564],
            [0.86019419597182012, 0.5475024054285087, 0.12143702256443603],
            [14.055389077384664, 35.784288548507199, 27.77956945012318],
        ],
    ),
    "SSasympOff": (
        [5.846037284098804, 40.072228679312339, 86.707912064037544],
        [
            [0.05846037284098804, 0.40072228679312338, 0.8670791206403754],
            [5.6717257197253446, 30.684826352801625, 26.82344966861735],
            [-28.358628598626723, -18.04989785458919, -4.0034999505399034],
        ],
    ),
    "SSasympOrig": (
        [13.980580402817989, 45.249759457149132, 87.856297743556397],
        [
            [0.13980580402817988, 0.4524975945714913, 0.878562977435564],
            [12.954275647359136, 32.980911104614933, 25.603289815781732],
        ],
    ),
    "SSbiexp": (
        [1.3523794747982141, 0.30396734799484137, 0.068273048463438665],
        [
            [0.33963521754874165, 0.013306102590887773, 2.7175530853882378e-07],
            [-1.0269457540421385, -0.16093319953311686, -1.150378771551356e-05],
            [0.87261057752551641, 0.57980491465294692, 0.14841801640994512],
            [-0.054697248822099073, -0.14537405116027627, -0.13024458258102739],
        ],
    ),
    "SSfol": (
        [4.7163237869243622, 8.2176147097233194, 6.258651709863738],
        [
            [4.5963074961165455, 7.1492732482966206, 2.6683735585134265],
            [3.09280520684871, 0.91129825625660033, -0.38204105186287141],
            [-4.7163237869243622, -8.2176147097233194, -6.258651709863738],
        ],
    ),
    "SSfpl": (
        [17.185479663972544, 68.196640307447865, 189.32799631727443],
        [
            [0.92414181997875644, 0.6513548646660543, 0.0035936025814201633],
            [0.075858180021243546, 0.34864513533394575, 0.99640639741857984],
            [-16.386743742419032, -53.082686030173889, -0.83698596069573794],
            [40.966859356047578, 33.176678768858679, -4.7080460289135262],
        ],
    ),
    "SSgompertz": (
        [13.827168305505616, 28.380156495022284, 75.617726991165895],
        [
            [0.13827168305505616, 0.28380156495022285, 0.7561772699116589],
            [-11.894579928610193, -15.540973696674202, -9.1885219427866858],
            [-18.484820159326649, -96.606052709055859, -199.91243686333192],
        ],
    ),
    "SSlogis": (
        [7.5858180021243555, 34.864513533394579, 99.640639741857981],
        [
            [0.075858180021243546, 0.34864513533394575, 0.99640639741857984],
            [-8.7629645681385195, -28.38646311774005, -0.44758607523836252],
            [21.9074114203463, 17.741539448587531, -2.5176716732157893],
        ],
    ),
    "SSmicmen": (
        [96.36363636363636, 163.07692307692307, 195.26315789473685],
        [
            [0.45454545454545453, 0.76923076923076916, 0.92105263157894746],
            [-87.60330578512395, -62.721893491124256, -25.692520775623269],
        ],
    ),
    "SSweibull": (
        [-2.5961968365912753, 48.0606943534656, 98.834532301518578],
        [
            [1, 1, 1],
            [-0.89214084205731548, -0.45164613605682086, -0.010134501725925418],
            [11.709433645337514, 41.284283822248767, 5.3516058409485261],
            [-8.1163609172194597, 28.616084932828294, 10.413744119645431],
        ],
    ),
}
AT = {
    "Asym": 100, "R0": -8.5, "lrc": -1.2, "c0": 0.3, "A1": 2.8, "lrc1": 0.77, "A2": 0.46, "lrc2": -1.3,
    "lKe": -2.4, "lKa": 0.45, "lCl": -3.2, "A": 3, "B": 190, "xmid": 2.5, "scal": 0.8, "b2": 2.3, "b3": 0.74,
    "Vm": 212, "K": 0.6, "Drop": 115, "pwr": 1.4,
}  # fmt: skip


@pytest.mark.parametrize("name", SELF_STARTING)
def test_self_starting_models_are_those_of_R(name):
    model = SELF_STARTING[name]
    inputs = ("D", "x")[-len(model.inputs) :]
    mean = bound(f"{name}({', '.join((*inputs, *model.parameters))})", model.parameters)
    value, J = mean.jacobian(rows([AT[p] for p in model.parameters]))
    np.testing.assert_allclose(value, FROM_R[name][0], rtol=1e-13)
    np.testing.assert_allclose(J, FROM_R[name][1], rtol=1e-11, atol=1e-15)


def test_arguments_may_be_named_expressions_and_of_a_package():
    at = rows([AT["Asym"], AT["xmid"], np.log(AT["scal"])])
    plain = bound("SSlogis(log(x), Asym, xmid, exp(ls))", ("Asym", "xmid", "ls"))
    named = bound("stats::SSlogis(scal=exp(ls), log(x), Asym=Asym, xmid)", ("Asym", "xmid", "ls"))
    value, J, H = plain.hessian(at)
    e = 1.0 / (1.0 + np.exp((AT["xmid"] - np.log(TABLE["x"])) / AT["scal"]))
    np.testing.assert_allclose(value, AT["Asym"] * e, rtol=1e-14)
    for mine, other in zip((value, J, H), named.hessian(at), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_logistic_far_from_its_middle_does_not_overflow():
    mean = bound("SSlogis(x, Asym, xmid, scal)", ("Asym", "xmid", "scal"))
    value, J, H = mean.hessian(rows([100.0, 1e6, 1e-3]))
    assert np.isfinite(value).all() and np.isfinite(J).all() and np.isfinite(H).all()


@pytest.mark.parametrize(
    ("text", "as_function"),
    [
        ("A / (1 + exp((B - x) / C))", "A * plogis((x - B) / C)"),
        ("(A + x) / (exp(-(x - B) / C) + 1)", "(A + x) * plogis((x - B) / C)"),
        ("A * exp((x - B)/C) / (1 + exp((x - B)/C))", "A * plogis((x - B) / C)"),
        ("exp(x * C - B) / (1 + exp(x * C - B)) + A", "A + plogis(x * C - B)"),
    ],
)
def test_logistic_curves_written_out_are_stable(text, as_function):
    written, stable = bound(text, "ABC"), bound(as_function, "ABC")
    for mine, right in zip(
        written.hessian(rows([3, 2, 0.7])), stable.hessian(rows([3, 2, 0.7])), strict=True
    ):
        np.testing.assert_allclose(mine, right, rtol=1e-12, atol=1e-14)
    if not text.startswith("A * exp"):
        for found in written.hessian(rows([3.0, 2.0, 1e-4])):
            assert np.isfinite(found).all()


def test_what_only_looks_logistic_is_as_written():
    at, x = rows([3.0, 2.0, 0.7]), TABLE["x"]
    for text, right in [
        ("A / (1 - exp(B * x))", 3 / (1 - np.exp(2 * x))),
        ("A / (2 + exp(B))", 3 / (2 + np.exp(2)) + 0 * x),
        ("A / (1 + exp(B) - x)", 3 / (1 + np.exp(2) - x)),
        ("A / (exp(B) - 1)", 3 / (np.exp(2) - 1) + 0 * x),
        ("A / (1 + exp(B) + x)", 3 / (1 + np.exp(2) + x)),
        ("A / (1 + exp(x)) + B * C", 3 / (1 + np.exp(x)) + 1.4),
        ("A * (1 + exp(B))", 3 * (1 + np.exp(2)) + 0 * x),
    ]:
        np.testing.assert_allclose(bound(text, "ABC").value(at), right, rtol=1e-14)


# Random expressions, evaluated apart by NumPy on complex numbers.
SMOOTH = ("exp", "log", "sqrt", "sin", "cos", "tanh", "atan", "sinh", "cosh", "plogis", "expm1", "log1p")
NUMPY = {
    **{name: getattr(np, name) for name in SMOOTH if hasattr(np, name)},
    "atan": np.arctan,
    "plogis": lambda z: 1.0 / (1.0 + np.exp(-z)),
}


def _call(pair):
    name, inner = pair
    # Into the domain of log and sqrt, and away from where exp is large.
    return f"{name}(1.5 + 0.4*sin({inner}))"


LEAVES = st.sampled_from(["A", "B", "C", "x", "2", "0.7", "D"])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(SMOOTH), inner).map(_call),
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} / (2.5 + cos({t[1]})))"),
        st.tuples(inner, inner).map(lambda t: f"((1.5 + 0.4*sin({t[0]}))^(cos({t[1]})))"),
        inner.map(lambda t: f"(-{t})^2"),
    ),
    max_leaves=8,
)


def _by_numpy(text, phi):
    names = {**NUMPY, "A": phi[0], "B": phi[1], "C": phi[2], "x": TABLE["x"], "D": TABLE["D"]}
    value = eval(text.replace("^", "**"), {"__builtins__": {}}, names)
    return value * np.ones(3)


def _slope(text, phi, k):
    step = np.zeros((3, 1), dtype=complex)
    step[k] = 1e-30j
    return _by_numpy(text, phi + step).imag / 1e-30


@given(EXPRESSIONS, st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3))
@settings(max_examples=150, deadline=None)
def test_random_expressions_have_exact_derivatives(text, at):
    phi = rows(at)
    text = f"A + 0*B + 0*C + {text}"
    value, J, H = bound(text, ("A", "B", "C")).hessian(phi)
    np.testing.assert_allclose(value, _by_numpy(text, phi), rtol=1e-12, atol=1e-12)
    slopes = np.array([_slope(text, phi, k) for k in range(3)])
    np.testing.assert_allclose(J, slopes, rtol=1e-9, atol=1e-10 * (1.0 + np.abs(slopes).max()))
    step = 1e-5
    for k in range(3):
        shift = step * (np.arange(3) == k)[:, None]
        ahead, behind = (np.array([_slope(text, phi + s, m) for m in range(3)]) for s in (shift, -shift))
        curvature = (ahead - behind) / (2 * step)
        scale = 1.0 + np.abs(slopes).max() + np.abs(H).max()
        np.testing.assert_allclose(H[k], curvature, rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_array_equal(H, H.swapaxes(0, 1))


@given(EXPRESSIONS, st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_recorded_mean_has_the_digits_of_its_steps(text, at):
    mean, phi = bound(f"A + 0*B + 0*C + {text}", ("A", "B", "C")), rows(at)
    sources = Sources(mean.expression.numbers, mean.data, list(phi), {})
    with np.errstate(all="ignore"):
        jet = results(mean.expression.steps, sources, 2)[-1]
    value, J, H = mean.hessian(phi)
    np.testing.assert_array_equal(value, jet.value * np.ones(3))
    for k, slope in jet.first.items():
        np.testing.assert_array_equal(J[k], slope * np.ones(3))
    for (k, m), curvature in jet.second.items():
        np.testing.assert_array_equal(H[k, m], curvature * np.ones(3))
    np.testing.assert_array_equal(mean.jacobian(phi)[1], J)


def test_what_is_recorded_is_computed_once_and_without_signs():
    recorder = Recorder(2)
    a, b = recorder.input(0), recorder.input(1)
    results_of = [
        -(a * b) + a,
        a - b * a,
        (-a) * b * -1.0,
        a / -b,
        -(a / b),
        1.0 * (-a),
        np.where(a > b, -b, b),
    ]
    program = recorder.program(results_of)
    assert program.run([3.0, 2.0]) == [-3.0, -3.0, 6.0, -1.5, -1.5, -3.0, -2.0]
    kinds = [function.__name__ for function, _, _ in program.operations]
    assert (kinds.count("multiply"), kinds.count("divide"), kinds.count("subtract")) == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("tan(A) + asin(A / 2) + acos(B / 3)", [0.4, 0.9]),
        ("qlogis(A / 2) + qnorm(B / 3) + pnorm(A * B)", [0.4, 0.9]),
        ("log2(A) + log10(B) + log(A, B + 2)", [0.4, 0.9]),
        ("abs(A - B) + pmin(A, B, x) + pmax(A, x * B)", [0.4, 0.9]),
        ("ifelse(x > A, A * B, B^2) + (x > B) * A", [1.4, 0.9]),
        ("ifelse(x <= A & !(x == 7), A * x, A * B + B * x)", [3.4, 0.9]),
        ("x %% A + A^B + B^x + x^B + x^A^B + -A^2", [1.3, 0.9]),
        ("I(A * identity(B)) + floor(A) + sign(B) + x %/% A", [1.3, 0.9]),
        ("A * (f == 'b') + B * x", [1.3, 0.9]),
    ],
)
def test_every_function_has_the_derivatives_of_its_differences(text, at):
    mean, phi, step = bound(text, ("A", "B")), rows(at), 1e-5
    _, J, H = mean.hessian(phi)
    for k in range(2):
        shift = step * (np.arange(2) == k)[:, None]
        (up, J_up), (down, J_down) = mean.jacobian(phi + shift), mean.jacobian(phi - shift)
        np.testing.assert_allclose(J[k], (up - down) / (2 * step), rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(H[k], (J_up - J_down) / (2 * step), rtol=1e-6, atol=1e-7)


def test_powers_of_zero_have_their_limits():
    mean = bound("A * t^B", ("A", "B"), table={"t": np.array([0.0, 2.0])})
    value, J, H = mean.hessian(rows([3.0, 1.5], 2))
    assert (value[0], J[0, 0], J[1, 0], H[1, 1, 0]) == (0.0, 0.0, 0.0, 0.0)
    of_base = bound("(A * t)^2", ("A",), table={"t": np.array([0.0, 2.0])})
    np.testing.assert_array_equal(of_base.hessian(rows([0.0], 2))[2][0, 0], [0.0, 8.0])


def test_equal_parts_are_computed_once():
    mean = bound("exp(A) * x + (exp(A)) / (1 + exp(A))", ("A",))
    assert [step.operation for step in mean.expression.steps].count("exp") == 1


def growth(age, top, rate, shape):
    """The curve of Chapman and Richards."""
    return top * (1 - np.exp(-rate * age)) ** shape


def growth_gradient(age, top, rate, shape):
    """Its gradient, the age left out."""
    base = 1 - np.exp(-rate * age)
    return {
        "top": base**shape,
        "rate": top * shape * base ** (shape - 1) * age * np.exp(-rate * age),
        "shape": top * base**shape * np.log(base),
    }


def growth_slopes(age, top, rate, shape):
    """Its gradient in order, without one in the age."""
    return np.stack(list(growth_gradient(age, top, rate, shape).values()))


BY_NAME = "growth(x, top=top, rate=exp(lr), shape=shape)"


@pytest.mark.parametrize("given_as", [growth, (growth, growth_gradient), (growth, growth_slopes)])
def test_functions_of_the_caller_are_differentiated_too(given_as):
    parameters, at = ("top", "lr", "shape"), rows([80.0, np.log(0.4), 1.5])
    written = bound("top * (1 - exp(-exp(lr) * x))^shape", parameters)
    called = bound(BY_NAME, parameters, {"growth": given_as})
    called.check_functions(at)
    for mine, exact, accuracy in zip(
        called.hessian(at), written.hessian(at), (1e-13, 1e-11, 1e-7), strict=True
    ):
        np.testing.assert_allclose(mine, exact, rtol=accuracy, atol=accuracy)
    np.testing.assert_array_equal(called.value(at), called.jacobian(at)[0])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, A: np.array([float(v) for v in A]) * x, "does not take complex numbers"),
        (lambda x, A: np.abs(A) * x, "does not take complex numbers"),
        (lambda x, A: A.real * x + 0j, "must return real numbers"),
        (lambda x, A: np.where(np.iscomplexobj(A), 2.0, 1.0) * A * x, "cannot be had by a complex step"),
        ((lambda x, A: A * x, lambda x, A: (None, 2.0 * x)), "gradient in argument 2 is not the slope"),
        ((lambda x, A: A * x, lambda x, A: 0.0), "must return one array for each argument"),
        (lambda x, A: A[:2] * x[:2], "one number a row"),
        (lambda x, A: 1 / 0, "failed: division by zero"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_functions_that_cannot_be_differentiated_are_refused(function, message):
    mean = bound("h(x, A)", ("A",), {"h": function})
    with pytest.raises((FormulaError, DataError), match=message):
        mean.check_functions(rows([1.5]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SSlogi(x, A, B, 3)", "did you mean SSlogis"),
        ("mean(A) * x + B", r"mean\(\) cannot be applied to a parameter of the mean \(A\)"),
        ("poly(A, 2) + B", "has no derivative"),
        ("SSlogis(x, A, B)", "has 4 arguments, not 3"),
        ("SSlogis(x, A, B, scale=2)", "no argument scale"),
        ("A : x + B", "write \\* or ifelse"),
        ("exp(A, 2) + B", "has one argument"),
        ("gamma(A) + B", "unknown function 'gamma'"),
        ("A * f + B", "f in the mean is a factor"),
    ],
)
def test_means_that_have_no_derivatives_are_refused(text, message):
    with pytest.raises((FormulaError, DataError), match=message):
        bound(text, ("A", "B"))
