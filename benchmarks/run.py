"""Run contestants on models, each configuration in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import frames, machine, records
from benchmarks.contestants import Entry
from benchmarks.records import Record
from benchmarks.suite import Model

ROOT = Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / "benchmarks" / "peers" / ".venv" / "bin" / "python"
LME4_SCRIPT = ROOT / "benchmarks" / "peers" / "lme4.R"
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run.

    Attributes
    ----------
    threads : int
        Threads every library of every contestant may use.
    budget : float
        Seconds for the repeats of one configuration.
    timeout : float
        Seconds after which a configuration is stopped and reported as ``timeout``.
    memory_gb : float
        Limit on a process's own memory, so that a dense matrix fails instead of taking the machine.
    peers_python : Path
        Interpreter of the environment the Python peers live in.
    directory : Path
        Where stored frames are.
    """

    threads: int = 1
    budget: float = 3.0
    timeout: float = 120.0
    memory_gb: float = 12.0
    peers_python: Path = PEERS_PYTHON
    directory: Path = field(default_factory=frames.cache_directory)


def run(
    entries: Iterable[Entry], models: Iterable[Model], settings: Settings, say: Callable[[str], None]
) -> Iterator[Record]:
    """Yield one record per contestant and model, all contestants on one model before the next model."""
    contestants = tuple(entries)
    for model in models:
        for entry in contestants:
            record = measure(entry, model, settings)
            say(sentence(record))
            yield record


def measure(entry: Entry, model: Model, settings: Settings) -> Record:
    """Fit one model with one contestant and return what came out, whatever it was."""
    header = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "machine": machine.description(),
        "threads": settings.threads,
        "load": round(machine.load(), 2),
        "contestant": entry.name,
        "model": model.id,
    }
    interpreter = interpreter_of(entry, settings)
    if interpreter is None:
        answer = {"status": "absent", "reason": f"no interpreter for {entry.name}: {_remedy(entry)}"}
    else:
        answer = ask(entry, interpreter, model, settings)
    return records.from_fields(header | answer)


def interpreter_of(entry: Entry, settings: Settings) -> str | None:
    """Return the program that runs a contestant, or None where there is none."""
    if entry.host == "R":
        return shutil.which("Rscript")
    if entry.host == "own":
        return sys.executable
    return str(settings.peers_python) if settings.peers_python.exists() else None


def ask(entry: Entry, interpreter: str, model: Model, settings: Settings) -> Answer:
    """Start the process, wait for its answer or the timeout."""
    data = frames.store(model, settings.directory)
    with tempfile.TemporaryDirectory() as folder:
        request, response = Path(folder) / "request", Path(folder) / "response"
        if entry.host == "R":
            request.write_text(dcf_request(model, data, settings))
            command = [interpreter, str(LME4_SCRIPT), str(request), str(response)]
        else:
            request.write_text(json_request(entry, model, data, settings))
            command = [interpreter, "-m", "benchmarks.worker", str(request), str(response)]
        failure = execute(command, settings)
        if failure:
            return failure
        return parse_dcf(response.read_text()) if entry.host == "R" else json.loads(response.read_text())


def execute(command: list[str], settings: Settings) -> Answer | None:
    """Run a contestant's process; return an answer only where it could not give one itself."""
    environment = machine.pinned(settings.threads) | {"PYTHONPATH": str(ROOT)}

    def limit_memory() -> None:
        limit = int(settings.memory_gb * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            timeout=settings.timeout,
            capture_output=True,
            text=True,
            preexec_fn=limit_memory,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"status": "timeout", "reason": f"stopped after {settings.timeout:.0f} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"status": "failed", "reason": f"exit status {done.returncode}: {last}"}
    return None


def json_request(entry: Entry, model: Model, data: Path, settings: Settings) -> str:
    """Write the request a Python contestant reads."""
    return json.dumps(
        {"contestant": entry.name, "model": asdict(model), "data": str(data), "budget": settings.budget}
    )


def dcf_request(model: Model, data: Path, settings: Settings) -> str:
    """Write the request lme4's script reads, in R's own ``key: value`` format."""
    values = {
        "formula": model.formula,
        "family": model.family,
        "reml": str(model.REML).lower(),
        "nagq": model.nAGQ,
        "data": data,
        "budget": settings.budget,
        "refit": str(model.target_refit is not None).lower(),
    }
    return "".join(f"{name}: {value}\n" for name, value in values.items())


def parse_dcf(text: str) -> Answer:
    """Read the ``key: value`` lines of lme4's script; its NA is a missing value."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip() != "NA"}


def sentence(record: Record) -> str:
    """Say one result on one line."""
    start = f"{record.model:22s} {record.contestant:12s} "
    if record.status != "ok":
        return f"{start}{record.status}: {record.reason}"
    evaluations = "" if record.evaluations is None else f", {record.evaluations} evaluations"
    refit = "" if record.refit_seconds is None else f", refit {milliseconds(record.refit_seconds)}"
    clock = f"{milliseconds(record.seconds)}, cpu {milliseconds(record.cpu_seconds)}"
    fastest = f"min {milliseconds(record.fastest)}, {record.repeats} repeats"
    memory = "" if record.fit_mb is None else f", {record.fit_mb:.0f} MB"
    return f"{start}{clock} ({fastest}), objective {record.objective:.6f}{evaluations}{memory}{refit}"


def milliseconds(seconds: float | None) -> str:
    """Write a time in milliseconds."""
    return "" if seconds is None else f"{seconds * 1e3:.4g} ms"


def _remedy(entry: Entry) -> str:
    if entry.host == "R":
        return "install R and its package lme4"
    return f"python -m benchmarks peers, or --peers-python (now {os.fspath(PEERS_PYTHON)})"
