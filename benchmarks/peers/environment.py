"""The environment the Python peers live in: ``python -m benchmarks peers`` makes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def install(python: Path) -> None:
    """Make a virtual environment around that interpreter, unless it is there, and install the peers into it.

    Raises
    ------
    subprocess.CalledProcessError
        If the environment cannot be made or a peer cannot be installed; pip has said why.
    """
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
