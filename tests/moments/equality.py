"""Whether a model fitted to sums is the model fitted to the rows."""

import numpy as np
import pandas as pd

import mixedmodels as mm

# What the issue of data larger than memory asks for; both ways round the same numbers, in another order.
EQUAL = 1e-10
# The search for a singular covariance stops short of its last digits, wherever its rounding leads it.
SINGULAR = 1e-7


def cut(data, pieces, rng=None):
    """Return a table in pieces, rows shuffled where there is a generator."""
    rows = np.arange(len(data)) if rng is None else rng.permutation(len(data))
    return [data.iloc[part] for part in np.array_split(rows, pieces)]


def assert_equal(summed, whole):
    """Check objective, estimates, standard errors, names and random effects."""
    tolerance = SINGULAR if whole.is_singular() else EQUAL
    assert summed.nobs() == whole.nobs()
    assert list(summed.fixef().index) == list(whole.fixef().index)
    assert summed.loglik() == _near(whole.loglik(), EQUAL)
    assert summed.deviance() == _near(whole.deviance(), tolerance)
    errors, others = summed._standard_errors(), whole._standard_errors()
    np.testing.assert_allclose(errors, others, rtol=tolerance)
    np.testing.assert_allclose((summed.beta - whole.beta) / others, 0.0, atol=tolerance)
    assert summed.sigma() == _near(whole.sigma(), tolerance)
    for one, other in zip(summed.random, whole.random, strict=True):
        assert (one.label, one.levels, one.columns) == (other.label, other.levels, other.columns)
    for own, their in zip(summed.b, whole.b, strict=True):
        np.testing.assert_allclose(own, their, atol=1e2 * tolerance * max(np.abs(their).max(), whole.sigma()))


def _near(value, tolerance):
    import pytest

    return pytest.approx(value, rel=tolerance, abs=tolerance)


def fit_in_pieces(formula, pieces, reml=True, relmat=None, **options):
    """Return the model fitted to the sums over pieces."""
    return mm.lmer(mm.moments(formula, pieces, **options), REML=reml, relmat=relmat)


def tables():
    """Return data sets with what designs can have, by name."""
    sleep = mm.load_dataset("sleepstudy")
    n = len(sleep)
    sleep = sleep.assign(
        w=np.linspace(0.5, 2.0, n),
        o=np.arange(n) % 7 * 1.0,
        late=pd.Categorical(np.where(sleep.Days > 4, "l", "e")),
    )
    sleep.loc[3, "Reaction"] = np.nan
    sleep.loc[17, "Days"] = np.nan
    sleep.loc[20, "w"] = 0.0
    cake = mm.load_dataset("cake")
    return {
        "sleep": sleep,
        "cake": cake.assign(k=np.arange(len(cake)) % 15, half=(np.arange(len(cake)) % 11) / 2),
        "Penicillin": mm.load_dataset("Penicillin"),
        "Pastes": mm.load_dataset("Pastes"),
        "Machines": mm.load_dataset("Machines"),
        "Dyestuff2": mm.load_dataset("Dyestuff2"),
    }
