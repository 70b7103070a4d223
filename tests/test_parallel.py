"""Work in several processes, and what is shown of its progress."""

from __future__ import annotations

import os

import pytest

from mixedmodels import progress
from mixedmodels.errors import ControlError
from mixedmodels.parallel import in_order, number_of_jobs
from mixedmodels.progress import Progress


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_order_and_functions_need_no_name(jobs):
    offset = 10
    assert list(in_order(lambda piece: piece + offset, list(range(20)), jobs)) == list(range(10, 30))


def test_work_is_done_elsewhere():
    assert os.getpid() not in set(in_order(lambda _: os.getpid(), [1, 2, 3], 2))
    assert set(in_order(lambda _: os.getpid(), [1, 2, 3], 1)) == {os.getpid()}


def test_errors_come_back():
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda piece: 1 / piece, [1, 0], 2))


def test_numbers_of_jobs():
    assert number_of_jobs(3) == 3 and number_of_jobs(-1) == os.cpu_count()
    for wrong in (0, -2, 1.5, "all", True):
        with pytest.raises(ControlError, match="n_jobs"):
            number_of_jobs(wrong)


class Bar:
    """What tqdm does, as far as it is used."""

    def __init__(self, total, desc, delay):
        self.total, self.desc, self.n, self.closed = total, desc, 0, False

    def update(self, n):
        self.n += n

    def close(self):
        self.closed = True


def test_a_bar_where_someone_watches(monkeypatch):
    made = []
    monkeypatch.setattr(progress, "tqdm", lambda **options: made.append(Bar(**options)) or made[-1])
    for show, watched, expected in ((None, True, 1), (None, False, 0), (True, False, 1), (False, True, 0)):
        made.clear()
        monkeypatch.setattr(progress, "_is_watched", lambda watched=watched: watched)
        with Progress(7, show, "refit") as bar:
            bar.add(3)
            bar.add()
        assert bar.done == 4 and len(made) == expected
        assert all(b.n == 4 and b.closed and b.total == 7 and b.desc == "refit" for b in made)


def test_without_tqdm(monkeypatch):
    monkeypatch.setattr(progress, "tqdm", None)
    monkeypatch.setattr(progress, "_is_watched", lambda: True)
    with Progress(2) as bar:
        bar.add()
    with pytest.raises(ControlError, match="pip install tqdm"):
        Progress(2, True)
    with pytest.raises(ControlError, match="progress"):
        Progress(2, "yes")
