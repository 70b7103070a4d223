"""The tables and the chart made from a results file, and the pages that show the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import chart, records
from benchmarks.compare import OURS, TOLERANCE, Row, compare
from benchmarks.contestants import CONTESTANTS
from benchmarks.records import Record
from benchmarks.suite import MODELS

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
#: Pages with a table between the markers, and the tag of the models that it shows: None for all.
PAGES = (("README.md", "first"), ("docs/benchmarks.md", None), ("paper/paper.md", "first"))
NAMES = tuple(entry.name for entry in CONTESTANTS)


def newest(directory: Path) -> Path:
    """Return the newest dated results file.

    Raises
    ------
    FileNotFoundError
        If there is none yet.
    """
    dated = sorted(directory.glob("[0-9]*.csv"))
    if not dated:
        raise FileNotFoundError(f"no results in {directory}; run python -m benchmarks first")
    return dated[-1]


def write(path: Path, root: Path) -> list[Path]:
    """Write ``results.md`` and ``results.svg`` beside the results, and the tables into the pages."""
    measured = records.read(path)
    rows = compare(measured, MODELS)
    kept = fewest_threads(measured)
    table = path.with_name("results.md")
    table.write_text(f"{heading(kept, path)}\n\n{full_table(rows)}\n\n{notes(rows)}")
    written = [table]
    for name, tag in PAGES:
        page = root / name
        if page.exists():
            shown = short_table([row for row in rows if tag is None or tag in row.model.tags])
            page.write_text(insert(page.read_text(), f"{shown}\n\n{heading(kept, path)}"))
            written.append(page)
    try:
        written.append(draw(rows, path.with_name("results.svg")))
    except ImportError:
        print("no chart: pip install mixedmodels[plot]")
    return written


def fewest_threads(kept: Sequence[Record]) -> list[Record]:
    """Return the records with the smallest number of threads: one table compares like with like."""
    fewest = min((record.threads for record in kept), default=1)
    return [record for record in kept if record.threads == fewest]


def heading(kept: Sequence[Record], path: Path) -> str:
    """Say when, where and with which versions the results were measured."""
    versions = {record.contestant: record.version for record in kept if record.version}
    who = ", ".join(f"{name} {versions[name]}" for name in NAMES if name in versions)
    machines = " and ".join(sorted({record.machine for record in kept}))
    days = sorted({record.date[:10] for record in kept})
    loads = sorted(record.load for record in kept)
    return (
        "Processor time of the whole call, from data frame to fitted model; "
        f"{plural(kept[0].threads, 'thread')} for everyone; {machines}, "
        f"load average {loads[0]:.1f} to {loads[-1]:.1f}; "
        f"{' to '.join(dict.fromkeys((days[0], days[-1])))}; {who}. "
        "With two threads, our least wall clock, and in brackets that of one thread over it. "
        f"An asterisk marks an objective more than {TOLERANCE:g} above the best of its row. "
        f"Source: `benchmarks/results/{path.name}`."
    )


def short_table(rows: Sequence[Row]) -> str:
    """Return the table for readers: ours, with two threads, lme4, the fastest other, and the ratios."""
    lines = [
        "| model | data | mixedmodels | two threads | lme4 | times longer | fastest other | times longer |"
    ]
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        other = row.fastest_other(OURS)
        fastest = "" if other is None else f"{other.contestant} {duration(other.quoted)}"
        cells = [row.model.id, row.model.note, cell(row, OURS), two_threads(row)]
        cells += [cell(row, "lme4"), times(row.ratio("lme4"))]
        cells += [fastest, "" if other is None else times(row.ratio(other.contestant))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def full_table(rows: Sequence[Row]) -> str:
    """Return the table of every contestant, with evaluations, memory, refits and the targets."""
    present = [name for name in NAMES if any(name in row.records for row in rows)]
    head = [
        "model",
        "target",
        *present,
        "two threads",
        "with standard errors",
        "memory of the fit (MB)",
        "refit",
    ]
    lines = [f"| {' | '.join(head)} |", f"|---|--:|{'--:|' * (len(head) - 2)}"]
    for row in rows:
        fits = [row.records[name] for name in present if name in row.records]
        errors = [
            f"{fit.contestant} {duration(fit.quoted_with_errors)}" for fit in fits if fit.quoted_with_errors
        ]
        memory = [f"{fit.contestant} {fit.fit_mb:.0f}" for fit in fits if fit.fit_mb is not None]
        refits = [f"{fit.contestant} {duration(fit.quoted_refit)}" for fit in fits if fit.quoted_refit]
        cells = [row.model.id, target(row), *(cell(row, name, full=True) for name in present)]
        cells += [two_threads(row), ", ".join(errors), ", ".join(memory), ", ".join(refits)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def notes(rows: Sequence[Row]) -> str:
    """List objectives, flags, and who is absent or cannot express what."""
    lines = ["## Objectives", ""]
    for row in rows:
        if row.best is not None:
            above = ", ".join(f"{name} +{excess:.2g}" for name, excess in row.excess.items())
            lines.append(f"- {row.model.id}: best {row.best:.6f}; {above}")
    lines += ["", f"Flagged (more than {TOLERANCE:g} above the best):", ""]
    flagged = [f"- {row.model.id}: {name} +{row.excess[name]:.4g}" for row in rows for name in row.flagged]
    lines += flagged or ["- nobody"]
    lines += ["", "## No measurement", ""]
    for row in rows:
        unmeasured = [record for record in row.records.values() if record.status != "ok"]
        missing = [f"{record.contestant} {record.status} ({record.reason})" for record in unmeasured]
        if missing:
            lines.append(f"- {row.model.id}: {'; '.join(missing)}")
    return "\n".join(lines) + "\n"


def cell(row: Row, name: str, full: bool = False) -> str:
    """Return one contestant's time, with evaluations where wanted; an asterisk marks a flagged objective."""
    record = row.records.get(name)
    if record is None:
        return ""
    if record.status != "ok":
        return record.reason.replace("stopped after", ">") if record.status == "timeout" else record.status
    mark = "\\*" if name in row.flagged else ""
    evaluations = f" ({record.evaluations})" if full and record.evaluations is not None else ""
    return f"{duration(record.quoted)}{mark}{evaluations}"


def two_threads(row: Row) -> str:
    """Return our least wall clock with two threads, and with one over it."""
    gain = row.gain()
    if gain is None or row.threaded is None:
        return ""
    return f"{duration(row.threaded.fastest)} ({gain:.2f})"


def target(row: Row) -> str:
    """Return the target and whether it was met."""
    if row.model.target_seconds is None:
        return ""
    verdict = {True: " met", False: " missed", None: ""}[row.target_met(OURS)]
    return f"{duration(row.model.target_seconds)}{verdict}"


def duration(seconds: float | None) -> str:
    """Write seconds with two or three digits and a fitting unit."""
    if seconds is None:
        return ""
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def times(ratio: float | None) -> str:
    """Write a ratio of times."""
    return "" if ratio is None else f"{ratio:.2g}" if ratio < 10.0 else f"{ratio:.0f}"


def insert(text: str, table: str) -> str:
    """Put the table between the markers of a page, which are added at the end where they are missing."""
    block = f"{BEGIN}\n{table}\n{END}"
    if BEGIN not in text or END not in text:
        return f"{text.rstrip()}\n\n{block}\n"
    before, _, rest = text.partition(BEGIN)
    return f"{before}{block}{rest.partition(END)[2]}"


def draw(rows: Sequence[Row], path: Path) -> Path:
    """Draw every time on a log scale, a line of dots per model; hollow where the objective is flagged.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.34 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    for rank, name in enumerate(NAMES):
        color, size = ("black", 70) if name == OURS else (f"C{rank}", 28)
        for flagged in (False, True):
            seconds, lines = _dots(rows, name, flagged)
            label = None if flagged or not seconds else name
            faces = "none" if flagged else color
            axes.scatter(seconds, lines, size, facecolors=faces, edgecolors=color, label=label, zorder=2)
    axes.set_xscale("log")
    axes.set_yticks([-position for position in range(len(rows))], [row.model.id for row in rows])
    axes.set_xlabel("seconds from data frame to fitted model")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="best")
    return chart.save(figure, path)


def _dots(rows: Sequence[Row], name: str, flagged: bool) -> tuple[list[float], list[int]]:
    """Return times and lines of one contestant's finished fits, flagged ones or the others."""
    shown = [
        (row.records[name].quoted, -line)
        for line, row in enumerate(rows)
        if name in row.excess and (name in row.flagged) is flagged
    ]
    dots = [(seconds, line) for seconds, line in shown if seconds is not None]
    return [seconds for seconds, _ in dots], [line for _, line in dots]
