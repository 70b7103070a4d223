"""Small systems are computed with one BLAS thread, large ones with as many as the user allows."""

from threadpoolctl import threadpool_info

from mixedmodels.factorization import threads
from mixedmodels.factorization.threads import WITHOUT_THREADS, WORTH_THREADS, threads_for


def _threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_one_thread_inside_and_as_before_outside():
    before = _threads()
    with threads_for(WITHOUT_THREADS + 1):
        assert set(_threads()) <= {1}
    assert _threads() == before


def test_large_systems_keep_their_threads():
    before = _threads()
    with threads_for(WORTH_THREADS):
        assert _threads() == before


def test_for_tiny_systems_no_library_is_asked(monkeypatch):
    monkeypatch.setattr(threads, "_blas_libraries", None)
    with threads_for(WITHOUT_THREADS):
        pass
