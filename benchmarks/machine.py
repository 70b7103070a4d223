"""What the numbers depend on beside the code: processor, threads, environment."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "R_DATATABLE_NUM_THREADS",
)


def pinned(threads: int) -> dict[str, str]:
    """Return the environment in which every library uses that many threads."""
    return dict(os.environ) | dict.fromkeys(THREAD_VARIABLES, str(threads))


def description() -> str:
    """Name the processor and the number of cores, on one line."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def load() -> float:
    """Return the one-minute load average: how busy the machine was when a row was measured."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def commit() -> str:
    """Return the short commit of this checkout, ``+`` where files have changed since; empty outside git."""
    describe = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(describe, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
