"""A model without its data: small, with its answers, and plain about what it no longer knows."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

# What pickles of two sizes of data may differ by: the digits of counts, not rows (8 bytes a row and column).
SAME_SIZE = 300


@pytest.fixture(scope="module")
def models():
    sleep, cbpp = mm.load_dataset("sleepstudy"), mm.load_dataset("cbpp")
    binomial = "cbind(incidence, size - incidence) ~ period"
    return [
        (mm.lmer("Reaction ~ poly(Days, 2) + (Days | Subject)", sleep), sleep),
        (mm.lm("Reaction ~ Days", sleep), sleep),
        (mm.glmer(f"{binomial} + (1 | herd)", cbpp, "binomial"), cbpp),
        (mm.glmer(f"{binomial} + (1 | herd)", cbpp, "binomial", method="pql"), cbpp),
        (mm.glm(binomial, cbpp, "binomial"), cbpp),
    ]


def test_answers_and_predictions_are_those_of_the_model(models):
    for m, data in models:
        bare = pickle.loads(pickle.dumps(m.strip()))
        assert repr(bare) == repr(m)
        assert bare.summary() == str(m.summary())
        pd.testing.assert_series_equal(bare.fixef(), m.fixef())
        pd.testing.assert_frame_equal(bare.vcov(), m.vcov())
        pd.testing.assert_frame_equal(bare.tidy(), m.tidy())
        if isinstance(m.coef(), dict):
            assert list(bare.coef()) == list(m.coef())
            for group, table in m.coef().items():
                pd.testing.assert_frame_equal(bare.coef()[group], table)
        else:
            pd.testing.assert_series_equal(bare.coef(), m.coef())
        assert (bare.nobs(), bare.formula(), bare.sigma()) == (m.nobs(), m.formula(), m.sigma())
        new = data.iloc[[5, 1, 40]]
        for type in ("link", "response"):
            pd.testing.assert_series_equal(bare.predict(new, type=type), m.predict(new, type=type))


def test_the_size_does_not_grow_with_the_rows():
    data = mm.load_dataset("sleepstudy")
    rng = np.random.default_rng(1)
    many = pd.concat([data] * 40, ignore_index=True)
    many["Reaction"] += rng.normal(0.0, 20.0, len(many))
    few, more = (mm.lmer("Reaction ~ Days + (Days | Subject)", d).strip() for d in (data, many))
    sizes = [len(pickle.dumps(bare)) for bare in (few, more)]
    assert abs(sizes[1] - sizes[0]) < SAME_SIZE
    assert sizes[1] < 40_000


def test_many_levels_and_columns_take_bytes_for_each_not_for_their_product():
    rng = np.random.default_rng(2)
    n, levels, columns = 20_000, 1_000, 40
    g, f, x = rng.integers(0, levels, n), rng.integers(0, columns, n), rng.normal(size=n)
    y = x + rng.normal(size=levels)[g] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "f": pd.Categorical(f), "g": pd.Categorical(g)})
    m = mm.lmer("y ~ x + f + (1 | g)", data)
    bare = pickle.loads(pickle.dumps(m.strip()))
    # Effect, its variance and standard deviation, estimate and name of each level; covariances of columns.
    assert len(pickle.dumps(bare)) < 100 * levels + 30 * columns**2
    for group, table in m.coef().items():
        pd.testing.assert_frame_equal(bare.coef()[group], table)


def test_what_needs_the_data_says_so(models):
    bare = models[0][0].strip()
    with pytest.raises(
        mm.NotAvailableError, match="residuals needs the data, of which the model was stripped"
    ):
        bare.residuals()
    with pytest.raises(mm.NotAvailableError, match=r"vcov\(\) with arguments"):
        bare.vcov("CR2")
    with pytest.raises(mm.DataError, match="newdata"):
        bare.predict(None)
    with pytest.raises(mm.UnknownNameError, match="no_such_thing"):
        bare.no_such_thing()
    assert not hasattr(bare, "simulate")
    beta = bare.fixef()
    beta[:] = 0.0
    assert bare.fixef().iloc[0] != 0.0
