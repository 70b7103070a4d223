"""Command line of the benchmark suite: ``python -m benchmarks [run | list | report | growth | peers]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import contestants, growth, records, report, suite
from benchmarks.compare import compare
from benchmarks.peers import environment
from benchmarks.run import PEERS_PYTHON, ROOT, Settings, run

RESULTS = ROOT / "benchmarks" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = parser().parse_args(arguments)
    commands = {
        "run": run_suite,
        "list": list_models,
        "report": write_report,
        "growth": run_growth,
        "peers": install_peers,
    }
    return commands[options.command or "run"](options)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Time mixed models, ours and others'."
    )
    commands = top.add_subparsers(dest="command", metavar="{run,list,report,growth,peers}")
    _run_options(top)
    _run_options(commands.add_parser("run", help="fit the models and write a results file (the default)"))
    commands.add_parser("list", help="list the models of the suite")
    table = commands.add_parser(
        "report", help="make the tables and the chart, in README and site too, from results"
    )
    table.add_argument("--results", type=Path, help="results file (default: the newest)")
    curves = commands.add_parser("growth", help="time against rows, levels and parameters: CSV and chart")
    _settings_options(curves)
    curves.add_argument("--contestants", default="mixedmodels", help="comma-separated (default: mixedmodels)")
    curves.add_argument("--chart-only", action="store_true", help="draw the chart from the CSV that is there")
    separate = commands.add_parser("peers", help="make the environment the Python peers live in")
    separate.add_argument("--peers-python", type=Path, default=PEERS_PYTHON, help="its interpreter")
    return top


def _run_options(command: argparse.ArgumentParser) -> None:
    names = ",".join(entry.name for entry in contestants.CONTESTANTS)
    command.add_argument("--models", help="comma-separated ids (default: all; see list)")
    command.add_argument("--tag", help="only models with this tag: first, small, medium, large")
    command.add_argument("--contestants", default=names, help=f"comma-separated (default: {names})")
    command.add_argument("--out", type=Path, help="results file (default: results/<date>.csv), merged into")
    _settings_options(command)


def _settings_options(command: argparse.ArgumentParser) -> None:
    defaults = Settings()
    command.add_argument(
        "--threads", type=int, default=defaults.threads, help="threads for everyone (default 1)"
    )
    command.add_argument("--budget", type=float, default=defaults.budget, help="seconds of repeats a row")
    command.add_argument(
        "--timeout", type=float, default=defaults.timeout, help="seconds before a row is stopped"
    )
    command.add_argument("--memory-gb", type=float, default=defaults.memory_gb, help="limit of one process")
    command.add_argument("--peers-python", type=Path, default=PEERS_PYTHON, help="interpreter of the peers")


def settings_from(options: argparse.Namespace) -> Settings:
    """Gather the options that say how to run."""
    return Settings(options.threads, options.budget, options.timeout, options.memory_gb, options.peers_python)


def run_suite(options: argparse.Namespace) -> int:
    """Fit, keep the results as they come, and end with whom the comparison flags."""
    models = chosen_models(options.models, options.tag)
    entries = chosen_contestants(options.contestants)
    path = options.out or RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.csv"
    kept = records.read(path)
    for record in run(entries, models, settings_from(options), print_now):
        kept = records.merge(kept, [record])
        records.write(in_suite_order(kept), path)
    for row in compare(kept, models):
        for name in row.flagged:
            print_now(f"FLAGGED {row.model.id}: {name} stops {row.excess[name]:.4g} above the best")
    print_now(f"results in {path}")
    return 0


def run_growth(options: argparse.Namespace) -> int:
    """Measure the growth curves and draw them."""
    path = RESULTS / "growth.csv"
    if not options.chart_only:
        models = [point.model for point in growth.points()]
        entries = chosen_contestants(options.contestants)
        measured = run(entries, models, settings_from(options), print_now)
        records.write(records.merge(records.read(path), measured), path)
    chart = growth.draw(records.read(path), RESULTS / "growth.svg")
    print_now(f"results in {path}, chart in {chart}")
    return 0


def list_models(options: argparse.Namespace) -> int:
    """Print the suite."""
    for model in suite.MODELS:
        target = "" if model.target_seconds is None else f"target {model.target_seconds:g} s"
        print_now(f"{model.id:22s} {target:16s} {model.note}")
    return 0


def write_report(options: argparse.Namespace) -> int:
    """Make table and chart from a results file."""
    path = options.results or report.newest(RESULTS)
    for written in report.write(path, ROOT):
        print_now(f"wrote {written}")
    return 0


def install_peers(options: argparse.Namespace) -> int:
    """Install the Python peers into their own environment."""
    environment.install(options.peers_python)
    print_now(f"peers installed beside {options.peers_python}")
    return 0


def chosen_models(ids: str | None, tag: str | None) -> list[suite.Model]:
    """Return the models asked for.

    Raises
    ------
    SystemExit
        If an id is not in the suite.
    """
    models = list(suite.MODELS)
    if ids:
        known = {model.id for model in models}
        unknown = [name for name in ids.split(",") if name not in known]
        if unknown:
            raise SystemExit(f"no model called {', '.join(unknown)}; python -m benchmarks list shows them")
        models = [suite.find(name) for name in ids.split(",")]
    return [model for model in models if tag is None or tag in model.tags]


def chosen_contestants(names: str) -> list[contestants.Entry]:
    """Return the contestants asked for.

    Raises
    ------
    SystemExit
        If there is no contestant of that name.
    """
    known = {entry.name for entry in contestants.CONTESTANTS}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise SystemExit(f"no contestant called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [contestants.find(name) for name in names.split(",")]


def in_suite_order(kept: list[records.Record]) -> list[records.Record]:
    """Sort records by the order of models and contestants, so that results files compare line by line."""
    models = {model.id: position for position, model in enumerate(suite.MODELS)}
    names = {entry.name: position for position, entry in enumerate(contestants.CONTESTANTS)}
    last = len(models)
    return sorted(kept, key=lambda r: (models.get(r.model, last), names.get(r.contestant, last), r.threads))


def print_now(line: str) -> None:
    """Print a line at once, also into a file."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
