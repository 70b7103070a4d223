"""Watch the search of a fit: log records, printed lines and, where it takes long, a bar with an estimate.

A search asks once whether someone watches; nobody does by default, unless there is a terminal or a notebook.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from mixedmodels.control import one_of
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.progress import Progress, can_draw

#: Nothing, a line at the end, a line for each evaluation; None is nothing, but a bar for whoever waits.
Verbosity = Literal[0, 1, 2] | None

LOGGER = logging.getLogger("mixedmodels")
#: Seconds after which a fit is one that people wait for.
LONG = 3.0


class Watch:
    """One who is told of every evaluation of the objective and of every step of a search.

    Parameters
    ----------
    label : str
        What is fitted.
    verbose : {0, 1, 2, None}
        Whether to print each evaluation (2), and whether there may be a bar (all but 0).
    """

    def __init__(self, label: str, verbose: Verbosity) -> None:
        self.label, self.verbose = label, verbose
        self.began = time.perf_counter()
        self.n_evaluations = self.n_searches = 0
        self._largest, self._share = 0.0, 0.0
        self._bar: Progress | None = None
        self._draws = verbose != 0 and can_draw()

    def begin_search(self) -> None:
        """Take note of a further search: from another start, or for another approximation."""
        self.close()
        self.n_searches += 1
        self._largest = self._share = 0.0

    def evaluated(self, objective: float) -> None:
        """Take note of an evaluation of the objective."""
        self.n_evaluations += 1
        seconds = time.perf_counter() - self.began
        if self.verbose == 2:
            print(f"{self.label} {self.n_evaluations:4d}: {objective:.6f}  {seconds:.3f} s", flush=True)
        LOGGER.debug(
            "%s: evaluation %d, objective %.6f, %.3f s", self.label, self.n_evaluations, objective, seconds
        )

    def stepped(self, decrement: float, tolerance: float) -> None:
        """Take note of how far a search is, by what is left on the logarithmic scale of its decrement."""
        self._largest = max(self._largest, decrement)
        if not self._draws or not tolerance < decrement:
            return
        if self._largest > decrement:
            way = math.log(self._largest / decrement) / math.log(self._largest / tolerance)
            self._share = max(self._share, way)
        if self._bar is None and time.perf_counter() - self.began > LONG:
            self._bar = Progress(100, True, f"{self.label}, search {self.n_searches}")
        if self._bar is not None:
            self._bar.add(int(100 * self._share) - self._bar.done)

    def close(self) -> None:
        """Put the bar away."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)
#: Who watches the searches of this thread; None for nobody.
current_watch = _WATCH.get


def tell_of_search(objectives: Sequence[float]) -> None:
    """Tell whoever watches of a search that has run without asking: what it evaluated, in order."""
    watch = current_watch()
    if watch is not None:
        watch.begin_search()
        for objective in objectives:
            watch.evaluated(objective)


@contextmanager
def watched(label: str, verbose: Verbosity) -> Iterator[None]:
    """Let the searches within be watched, if someone wants to see them.

    Raises
    ------
    ControlError
        If `verbose` is none of 0, 1, 2 and None.
    """
    one_of("verbose", verbose, (None, 0, 1, 2))
    draws = verbose != 0 and can_draw()
    if not (verbose == 2 or draws or LOGGER.isEnabledFor(logging.DEBUG)):
        yield
        return
    watch = Watch(label, verbose)
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)
        watch.close()


def say_what_was_done(
    label: str, verbose: Verbosity, search: OptimizationReport, verdict: ConvergenceReport
) -> None:
    """Print and log the evaluations, the objective and the seconds of a fit, if someone wants to know."""
    if not (verbose or LOGGER.isEnabledFor(logging.INFO)):
        return
    objective = search.points[-1][1] if search.points else math.nan
    text = (
        f"{label}: {search.n_evaluations} evaluations, objective {objective:.6f}, {search.seconds:.3g} s, "
        f"{verdict.verdict}"
    )
    LOGGER.info(text)
    if verbose:
        print(text, flush=True)
