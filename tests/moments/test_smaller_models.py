"""Smaller models of one that was fitted to sums: fitted to the same sums, as to the rows."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import NotAvailableError
from tests.moments.equality import cut


@pytest.fixture(scope="module")
def data():
    d = mm.load_dataset("sleepstudy")
    n = np.arange(len(d))
    return d.assign(f=pd.Categorical(np.where(d.Days > 4, "l", "e")), h=n % 7, z=np.sin(n), w=1 + n % 3)


def assert_same(one, other):
    assert list(one.index) == list(other.index)
    np.testing.assert_allclose(one.to_numpy(float), other.to_numpy(float), rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore::mixedmodels.errors.DataWarning")
@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("Reaction ~ Days * z + f + I(2 * z) + (Days | Subject)", {}),
        ("Reaction ~ Days + (Days + z || Subject)", {"weights": "w"}),
        ("Reaction ~ f + (1 | Subject)", {"REML": False}),
    ],
)
def test_terms_left_out(data, formula, options):
    whole = mm.lmer(formula, data, **options)
    summed = mm.lmer(formula, cut(data, 4, np.random.default_rng(1)), **options)
    assert_same(mm.drop1(summed), mm.drop1(whole))
    assert_same(mm.ranova(summed), mm.ranova(whole))


def test_shares_of_the_variance(data):
    for terms in ("Days * z + (Days | Subject)", "f + (1 | Subject) + (1 | Subject:f)"):
        whole, summed = (mm.lmer(f"Reaction ~ {terms}", d) for d in (data, cut(data, 4)))
        for function in (mm.r2, mm.icc):
            assert str(function(summed)) == str(function(whole))
    with pytest.raises(NotAvailableError, match="needs the rows"):
        mm.r2(mm.lmer("Reaction ~ Days + (1 | Subject)", cut(data, 2), weights="w"))


def test_a_column_that_was_not_summed(data):
    slope = mm.lmer("Reaction ~ Days + (0 + Days | Subject)", cut(data, 3))
    with pytest.raises(NotAvailableError, match=r"in place of \(0 \+ Days \| Subject\)"):
        mm.ranova(slope)
    whole = mm.lmer("Reaction ~ Days + (0 + Days | Subject)", data)
    assert_same(mm.ranova(slope, reduce_terms=False), mm.ranova(whole, reduce_terms=False))
    with pytest.raises(NotAvailableError, match="other codings"):
        mm.drop1(mm.lmer("Reaction ~ 0 + f + z + (1 | Subject)", cut(data, 3)))
    with pytest.raises(NotAvailableError, match="column that was not summed"):
        slope.with_design(mm.lmer("Reaction ~ z + (1 | Subject)", data).design)
