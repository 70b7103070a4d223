"""A pickled fit has its data once, comes back the same to the last digit, and goes on working."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.level_sums import STRETCH, level_sums

N = 4000


def table(n=N):
    """Return rows with columns of every type that arrays of a design are made of."""
    rng = np.random.default_rng(20261128)
    g, x = rng.integers(40, size=n), rng.normal(size=n)
    y = x + rng.normal(size=40)[g] + rng.normal(size=n)
    return pd.DataFrame({
        "y": y, "x": x, "k": rng.poisson(3.0, size=n), "b": rng.integers(2, size=n), "id": g,
        "g": pd.Categorical.from_codes(g, [f"l{k:02d}" for k in range(40)]),
        "h": rng.integers(7, size=n).astype(np.int8), "s": [f"k{k}" for k in g],
        "t": pd.Series(g).groupby(g).cumcount().to_numpy(),
    })  # fmt: skip


DATA = table()
HOLES = DATA.assign(x=DATA["x"].where(DATA["k"] > 0))
SHUFFLED = HOLES.sample(frac=1.0, random_state=1).set_index(pd.Index(np.arange(N) * 3, name="row"))
NOT_UNIQUE = HOLES.set_index(np.arange(N) // 2)
ARRAYS = {name: DATA[name].to_numpy() for name in ("y", "x", "id", "k")}

#: A fit, and the most bytes a row that may be stored beside the data.
FITS = {
    "slopes": (lambda: mm.lmer("y ~ x + (x | g)", DATA), 1.0),
    "crossed, integer keys": (lambda: mm.lmer("y ~ x + k + (1 | id) + (1 | h)", DATA), 1.0),
    "strings": (lambda: mm.lmer("y ~ x + (1 | s)", DATA), 2.0),
    "arrays": (lambda: mm.lmer("y ~ x + (x | id)", ARRAYS), 1.0),
    "an expression": (lambda: mm.lmer("y ~ log(x + 9) + (1 | g)", DATA), 9.0),
    "levels and products": (lambda: mm.lmer("y ~ x * factor(h) + (x || g)", DATA), 60.0),
    "missing values": (lambda: mm.lmer("y ~ x + (x | g)", HOLES, na_action="exclude"), 4.0),
    "labels": (lambda: mm.lmer("y ~ x + (1 | g)", SHUFFLED), 4.0),
    "labels twice": (lambda: mm.lmer("y ~ x + (1 | g)", NOT_UNIQUE), 40.0),
    "subset": (lambda: mm.lmer("y ~ x + (1 | g)", DATA, subset="k > 1"), 12.0),
    "weights": (lambda: mm.lmer("y ~ x + (1 | g)", DATA, weights="k + 1", offset="h"), 17.0),
    "lm": (lambda: mm.lm("y ~ x + g", DATA), 57.0),
    "glm": (lambda: mm.glm("k ~ x", DATA, "poisson"), 17.0),
    "glmer": (lambda: mm.glmer("b ~ x + (1 | g)", DATA, "binomial"), 10.0),
    "gls": (lambda: mm.gls("y ~ x", DATA, residual="ar1(t | g)"), 20.0),
}  # fmt: skip


def same_array(a, b):
    """Tell whether two arrays of a design are one to the last digit, in type and in memory."""
    if a is None or b is None:
        return a is b
    layout = a.flags.f_contiguous == b.flags.f_contiguous and any(a.strides) == any(b.strides)
    return a.dtype == b.dtype and layout and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", FITS)
def test_a_fit_comes_back_the_same_and_has_its_data_once(name):
    fit, most = FITS[name]
    m = fit()
    stored = pickle.dumps(m, 5)
    again = pickle.loads(stored)
    beside = len(stored) - len(pickle.dumps(m.__getstate__()["data"], 5))
    assert beside < most * m.design.n_rows + 40_000
    a, b = m.design, again.design
    assert same_array(a.X, b.X)
    assert same_array(a.response.values, b.response.values)
    assert again.y is b.response.values or m.y is not a.response.values
    assert same_array(m.prior_weights, again.prior_weights)
    assert same_array(a.weights, b.weights)
    assert same_array(a.offset, b.offset)
    assert a.index.equals(b.index)
    assert same_array(a.missing.some, b.missing.some)
    for one, other in zip(a.random, b.random, strict=True):
        assert same_array(one.Z, other.Z)
        assert same_array(one.codes, other.codes)
    pd.testing.assert_series_equal(m.residuals(), again.residuals(), check_exact=True)
    pd.testing.assert_series_equal(m.predict(), again.predict(), check_exact=True)


@pytest.mark.parametrize("name", ["slopes", "missing values", "weights", "arrays"])
def test_what_comes_back_goes_on_working(name):
    m = FITS[name][0]()
    again = pickle.loads(pickle.dumps(m))
    assert again.refitML().loglik() == pytest.approx(m.refitML().loglik(), abs=1e-8)
    assert mm.update(again, ". ~ . - x").REMLcrit() == pytest.approx(
        mm.update(m, ". ~ . - x").REMLcrit(), abs=1e-8
    )
    assert pickle.loads(pickle.dumps(again)).REMLcrit() == m.REMLcrit()


def test_arrays_that_terms_share_are_shared_again():
    m = mm.lmer("y ~ x + (x || g)", DATA)
    one, other = pickle.loads(pickle.dumps(m)).design.random
    assert m.design.random[0].codes is m.design.random[1].codes
    assert one.codes is other.codes


def test_a_table_changed_after_the_fit_is_not_believed():
    arrays = {name: values.copy() for name, values in ARRAYS.items()}
    m = mm.lmer("y ~ x + (1 | id)", arrays)
    X, codes = m.design.X.copy(), m.design.random[0].codes.copy()
    arrays["x"][-1], arrays["id"][-1] = 5.0, 0
    again = pickle.loads(pickle.dumps(m)).design
    assert np.array_equal(again.X, X)
    assert np.array_equal(again.random[0].codes, codes)


def test_the_search_is_stored_with_parameters_and_without_rows():
    m = mm.lmer("y ~ x + (x | g)", DATA)
    assert len(pickle.dumps(m.optimization)) < 10_000
    for one, other in zip(m.optimization.path, pickle.loads(pickle.dumps(m.optimization)).path, strict=True):
        assert np.array_equal(one[0], other[0])
        assert one[1] == other[1]


def test_a_fit_takes_no_more_memory_than_its_arrays_and_one_column():
    n = 300_000
    data = table(n)[["y", "x", "g"]]
    mm.lmer("y ~ x + (1 | g)", data.head(1000))
    tracemalloc.start()
    m = mm.lmer("y ~ x + (1 | g)", data)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # X, the response and codes; the residual of y on X and some of its rows at a time.
    assert held < 28.5 * n
    assert most < 42.0 * n
    assert m.design.n_rows == n


@pytest.mark.parametrize("n_levels", [1, 3, 20_000])
def test_sums_by_stretches_of_rows(n_levels):
    rng = np.random.default_rng(5)
    codes = rng.integers(n_levels, size=3 * STRETCH + 17).astype(np.int32)
    values = rng.normal(size=len(codes))
    order = np.argsort(codes, kind="stable")
    exact = np.zeros(n_levels)
    np.add.at(exact, codes[order], values[order])
    assert np.abs(level_sums(codes, values, n_levels) - exact).max() < 1e-10
    assert level_sums(codes, None, n_levels).sum() == len(codes)
