"""One measurement, and the CSV files measurements are kept in."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

Status = Literal["ok", "absent", "unsupported", "timeout", "failed"]


@dataclass(frozen=True, slots=True)
class Record:
    """One contestant on one model.

    Attributes
    ----------
    date, machine : str
        When and where.
    threads : int
        BLAS (and other) threads allowed.
    load : float
        One-minute load average just before; more than the threads allowed means a disturbed measurement.
    contestant, version, model : str
        Who, which release, which row of the suite.
    status : {"ok", "absent", "unsupported", "timeout", "failed"}
        Whether there is a measurement, and why not.
    reason : str
        The reason in words where there is none.
    rows : int
        Rows of the data frame.
    frame_mb : float
        Its memory.
    seconds, fastest, cpu_seconds, first : float
        Median, minimum and mean processor time of the repeats; the first call.
    repeats : int
        Repeats after the warm-up; 0 means the first call is the measurement.
    peak_mb, fit_mb : float
        Peak of resident memory during the first fit, and how far above that before the fit.
    errors_seconds, errors_cpu_seconds : float
        Median wall clock and mean processor time of the standard errors after each fit, where the package
        tells what gives them; next to nothing where the fit itself has computed them.
    objective : float
        REML criterion or -2 log-likelihood with all its constants.
    evaluations : int
        Evaluations of the objective, where the package tells.
    optimization_seconds : float
        Least wall clock inside the optimiser, where the package tells.
    refit_seconds, refit_cpu_seconds : float
        Median wall clock and mean processor time of a refit to a new response, where the suite asks.
    """

    date: str
    machine: str
    threads: int
    load: float
    contestant: str
    model: str
    status: Status
    version: str = ""
    reason: str = ""
    rows: int | None = None
    frame_mb: float | None = None
    seconds: float | None = None
    fastest: float | None = None
    cpu_seconds: float | None = None
    first: float | None = None
    repeats: int | None = None
    peak_mb: float | None = None
    fit_mb: float | None = None
    errors_seconds: float | None = None
    errors_cpu_seconds: float | None = None
    objective: float | None = None
    evaluations: int | None = None
    optimization_seconds: float | None = None
    refit_seconds: float | None = None
    refit_cpu_seconds: float | None = None

    @property
    def quoted(self) -> float | None:
        """The time tables quote: processor time of one thread, which others on the machine do not disturb.

        With several threads it is the wall clock. On an idle machine and with one thread the two agree.
        """
        return self.cpu_seconds if self.threads == 1 else self.seconds

    @property
    def quoted_with_errors(self) -> float | None:
        """The time of a fit with the standard errors of its fixed effects."""
        errors = self.errors_cpu_seconds if self.threads == 1 else self.errors_seconds
        return None if errors is None or self.quoted is None else self.quoted + errors

    @property
    def quoted_refit(self) -> float | None:
        """The same for a refit."""
        return self.refit_cpu_seconds if self.threads == 1 else self.refit_seconds

    @property
    def key(self) -> tuple[str, str, int]:
        """What a newer record replaces: the same contestant, model and number of threads."""
        return self.contestant, self.model, self.threads


COLUMNS = tuple(field.name for field in fields(Record))


def from_fields(values: dict[str, Any]) -> Record:
    """Make a record of text or numbers, unknown fields left out.

    Raises
    ------
    ValueError
        If a number cannot be read or the status is not one of the five.
    """
    hints = get_type_hints(Record)
    parsed = {
        name: _parse(value, hints[name])
        for name, value in values.items()
        if name in COLUMNS and value not in ("", None)
    }
    if parsed.get("status") not in get_args(Status):
        raise ValueError(f"status {parsed.get('status')!r} is not one of {', '.join(get_args(Status))}")
    return Record(**parsed)


def read(path: Path) -> list[Record]:
    """Read a results file; none there is an empty list."""
    if not path.exists():
        return []
    with path.open(newline="") as lines:
        return [from_fields(row) for row in csv.DictReader(lines)]


def write(records: Iterable[Record], path: Path) -> None:
    """Write a results file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: _text(name, value) for name, value in asdict(record).items()} for record in records
        )


def merge(old: Iterable[Record], new: Iterable[Record]) -> list[Record]:
    """Let new records replace old ones of the same contestant, model and threads."""
    merged = {record.key: record for record in old}
    merged.update({record.key: record for record in new})
    return list(merged.values())


def _parse(value: Any, hint: Any) -> Any:
    kinds = get_args(hint) or (hint,)
    if int in kinds:
        return int(float(value))
    return float(value) if float in kinds else str(value)


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, float):
        return "" if value is None else value
    return f"{value:.10f}" if name == "objective" else f"{value:.6g}"
