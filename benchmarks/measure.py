"""Clock and memory of repeated fits inside one process."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

PROCESS_STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")
MAX_REPEATS = 51


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of repeated calls.

    Attributes
    ----------
    seconds, fastest, cpu_seconds : float
        Median and minimum of the wall clock, mean of the processor time (all threads).
    first : float
        The first call, which the median leaves out where there are others.
    repeats : int
        Calls after the first, which the median is over; 0 where the first call is the measurement.
    """

    seconds: float
    fastest: float
    cpu_seconds: float
    first: float
    repeats: int


def repeat(
    call: Callable[[], Any],
    budget: float,
    max_repeats: int = MAX_REPEATS,
    look: Callable[[Any], None] = lambda value: None,
) -> tuple[Timing, Any]:
    """Call once to warm up, then again and again while the budget (seconds) lasts; return the last value.

    The first call is the measurement itself where a second one does not fit into the budget. Each value is
    shown to `look` while the clock stands still.
    """
    walls: list[float] = []
    cpus: list[float] = []
    value = None
    while len(walls) <= max_repeats:
        spent = sum(walls)
        if walls and spent + walls[-1] > budget:
            break
        value = None
        cpu, wall = time.process_time(), time.perf_counter()
        value = call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        look(value)
    warm, warm_cpu = (walls[1:], cpus[1:]) if len(walls) > 1 else (walls, cpus)
    return Timing(median(warm), min(warm), sum(warm_cpu) / len(warm_cpu), walls[0], len(walls) - 1), value


def once(call: Callable[[], Any]) -> tuple[float, float]:
    """Call once and return wall clock and processor time."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def reset_peak() -> float:
    """Forget the peak of resident memory where the system can, and return what is resident now, in MB."""
    try:
        RESET_PEAK.write_text("5")
    except OSError:
        return _peak_since_start()
    return _status("VmRSS")


def peak() -> float:
    """Return the peak of resident memory in MB since ``reset_peak``."""
    return _status("VmHWM") if PROCESS_STATUS.exists() else _peak_since_start()


def _status(field: str) -> float:
    for line in PROCESS_STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024.0
    return float("nan")


def _peak_since_start() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
