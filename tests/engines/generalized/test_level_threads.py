"""Loops over levels in threads: the same numbers, nothing left behind, safe where processes fork."""

import os
import threading

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized import by_level
from mixedmodels.factorization import threads
from mixedmodels.kernels import levels
from mixedmodels.parallel import in_order

pytestmark = [
    pytest.mark.skipif(not levels.COMPILED, reason="loops over levels are compiled"),
    pytest.mark.filterwarnings("ignore:the likelihood is not approximated"),
]


def _data(family, n=3_000, q=200, seed=5):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, q, n), rng.normal(size=n)
    eta = 0.2 + 0.4 * x + 0.7 * rng.normal(size=q)[g] + 0.3 * rng.normal(size=q)[g] * x
    y = rng.poisson(np.exp(eta)) if family == "poisson" else rng.random(n) < 1.0 / (1.0 + np.exp(-eta))
    return pd.DataFrame({"y": y.astype(float), "x": x, "g": pd.Categorical(g)})


def _fit(family, nAGQ, n_threads, data=None):
    data = _data(family) if data is None else data
    return mm.glmer("y ~ x + (x | g)", data, family, nAGQ=nAGQ, control={"n_threads": n_threads})


@pytest.fixture
def pieces(monkeypatch):
    """Cut the levels of small models into many pieces, by the way that has threads."""
    monkeypatch.setattr(by_level, "PIECE_ROWS", 250)
    monkeypatch.setattr("mixedmodels.engines.generalized.compiled_search.MAX_ROWS", 0)


@pytest.mark.parametrize(("family", "nAGQ"), [("binomial", 1), ("poisson", 1), ("poisson", 9)])
def test_estimates_do_not_depend_on_the_threads(family, nAGQ, pieces):
    one, two, many = (_fit(family, nAGQ, n) for n in (None, 2, 5))
    for other in (two, many):
        assert other.loglik() == one.loglik()
        assert np.array_equal(other.fixef(), one.fixef())
        assert np.array_equal(other.vcov(), one.vcov())


@pytest.mark.parametrize("nAGQ", [1, 9])
def test_pieces_are_the_whole(nAGQ, monkeypatch):
    whole = _fit("poisson", nAGQ, None)
    monkeypatch.setattr(by_level, "PIECE_ROWS", 250)
    monkeypatch.setattr("mixedmodels.engines.generalized.compiled_search.MAX_ROWS", 0)
    cut = _fit("poisson", nAGQ, 2)
    assert cut.loglik() == pytest.approx(whole.loglik(), rel=1e-13)
    np.testing.assert_allclose(cut.fixef(), whole.fixef(), rtol=1e-7)


def test_every_row_is_in_one_piece():
    starts = np.array([0, 3, 3, 700, 701, 1000, 1400])
    for size in (1, 10, 699, 10_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(by_level, "PIECE_ROWS", size)
            rows = by_level._cut(0, np.ones((1400, 1)), starts)
        levels_of = [level for piece in rows.pieces for level in range(6)[piece.levels]]
        assert levels_of == list(range(6))
        assert [r for piece in rows.pieces for r in range(1400)[piece.rows]] == list(range(1400))
        for piece in rows.pieces:
            assert piece.starts[0] == 0
            assert piece.starts[-1] == piece.rows.stop - piece.rows.start


def test_small_fits_start_no_thread(monkeypatch):
    monkeypatch.setattr(threads, "ThreadPoolExecutor", None)
    assert _fit("binomial", 1, 2).loglik() == _fit("binomial", 1, None).loglik()


def test_threads_are_used_and_none_is_left(pieces, monkeypatch):
    seen, evaluated = set(), by_level._of_piece

    def noting(*args):
        seen.add(threading.get_ident())
        return evaluated(*args)

    monkeypatch.setattr(by_level, "_of_piece", noting)
    before = threading.active_count()
    _fit("binomial", 1, 2)
    assert len(seen - {threading.get_ident()}) > 1
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_workers_have_threads_of_their_own(pieces):
    here = _fit("binomial", 1, 2).loglik()
    there = list(in_order(lambda _: _fit("binomial", 1, 2).loglik(), range(3), 2))
    assert there == [here] * 3


def test_modes_that_are_not_found_in_one_piece_are_not_found(pieces, monkeypatch):
    calls = iter([(1.0, np.eye(2)), None, (1.0, np.eye(2)), (1.0, np.eye(2))])
    monkeypatch.setattr(by_level, "_of_piece", lambda *args: next(calls))
    rows = by_level._cut(0, np.ones((1000, 2)), np.arange(0, 1001, 10))
    assert len(rows.pieces) == 4
    ones = np.ones(1000)
    assert by_level.evaluate_levels(rows, (ones, ones), 0.0, ones, np.eye(2), None, 1) is None


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_is_a_whole_number(wrong):
    with pytest.raises(mm.ControlError, match="n_threads must be a whole number, 1 or more"):
        mm.LmerControl(n_threads=wrong)


def test_the_blas_takes_as_many_as_are_asked_for_and_as_before_outside():
    numbers = [library.get_num_threads() for library in threads._blas_libraries()]
    with threads.at_most(2):
        assert {library.get_num_threads() for library in threads._blas_libraries()} == {2}
        with threads.threads_for(3):
            assert {library.get_num_threads() for library in threads._blas_libraries()} == {1}
    assert [library.get_num_threads() for library in threads._blas_libraries()] == numbers
