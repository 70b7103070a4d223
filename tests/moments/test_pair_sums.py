"""Pairs of levels, counted and summed: merged in pieces, put in other orders, as a dictionary has them."""

from collections import Counter
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.engines.moments.pair_sums import (
    PairSums,
    Run,
    counted_pairs,
    in_order,
    merged,
    renumbered,
    split_keys,
)

module = import_module("mixedmodels.engines.moments.pair_sums")


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    monkeypatch.setattr(module, "KEYS_AT_ONCE", 5)


def as_counter(run, first=None, second=None):
    a, b = split_keys(run.keys)
    a, b = a if first is None else first[a], b if second is None else second[b]
    assert (np.diff(run.keys) > 0).all()
    return Counter(dict(zip(zip(a.tolist(), b.tolist(), strict=True), run.sums[:, 0].tolist(), strict=True)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([3, 40, 10**6]))
def test_counts_are_those_of_a_dictionary(seed, n, q):
    rng = np.random.default_rng(seed)
    total, right = PairSums(), Counter()
    for _ in range(6):
        a, b = rng.integers(0, q, n), rng.integers(0, 7, n)
        total.add(counted_pairs(a, b))
        right += Counter(zip(a.tolist(), b.tolist(), strict=True))
    run = total.total(1)
    assert run.sums.dtype in (np.uint8, np.int32)
    assert as_counter(run) == right
    if q < 100:
        # Some of the levels of a larger set, in any order.
        first, second = rng.permutation(2 * q)[:q], rng.permutation(20)[:7]
        moved = renumbered(run, first, second)
        assert as_counter(moved) == as_counter(run, first, second)
        order = in_order(run, rng.permutation(q), second, turned=True)
        assert (np.lexsort((order.second, order.first)) == np.arange(len(run.keys))).all()
        assert (order.first == second[split_keys(run.keys)[1][order.place]]).all()


def test_numbers_of_rows_take_the_shortest_integers_that_hold_them():
    few = counted_pairs(np.zeros(200, dtype=int), np.zeros(200, dtype=int))
    both = merged(few, few)
    assert (few.sums.dtype, both.sums.dtype) == (np.uint8, np.int32)
    assert both.sums[:, 0].tolist() == [400]
    assert counted_pairs(np.zeros(300, dtype=int), np.zeros(300, dtype=int)).sums.tolist() == [[300]]


def test_numbers_of_rows_beyond_32_bits_become_floats():
    many = Run(np.array([1, 5]), np.array([[2**31 - 2], [3]], dtype=np.int32))
    both = merged(many, Run(np.array([1, 3]), np.array([[7], [1]], dtype=np.int32)))
    assert both.sums.dtype == np.float64
    assert both.sums[:, 0].tolist() == [2**31 + 5, 1, 3]
    weighted = merged(many, Run(np.array([2]), np.array([[0.5]])))
    assert weighted.sums[:, 0].tolist() == [2**31 - 2, 0.5, 3]
