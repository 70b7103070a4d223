"""What came of a case: a verdict for each check, and one for the whole."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["holds", "fails", "aside"]

# A case that takes longer than this fails: a fit that slow is a defect in itself.
SECONDS_PER_CASE = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a case: what was checked, how it came out, and why."""

    quantity: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """All checks of one case or reference."""

    id: str
    category: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Fails if any check fails or nothing was checked; aside if some checks were; holds otherwise."""
        verdicts = {check.verdict for check in self.checks}
        if "fails" in verdicts or not verdicts:
            return "fails"
        return "aside" if "aside" in verdicts else "holds"


class OutOfTime(Exception):
    """The case took longer than `SECONDS_PER_CASE`."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Interrupt the block after so many seconds."""

    def interrupt(signum: int, frame: Any) -> None:
        raise OutOfTime(f"not done after {seconds} s")

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def timed(id: str, category: str, checks: Callable[[], list[Check]]) -> Result:
    """Run the checks of one case within the time limit; an exception is a failed check."""
    start = time.perf_counter()
    try:
        with time_limit(SECONDS_PER_CASE):
            done = checks()
    except Exception as error:
        done = [Check("case", "fails", describe(error))]
    return Result(id, category, tuple(done), time.perf_counter() - start)


def describe(error: BaseException) -> str:
    """Return the exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"
