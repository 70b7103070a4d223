"""``mixedmodels certify``: fit what SAS and SPSS were run on and print each of their numbers beside ours."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from mixedmodels.certification.published import PublishedRun, published_runs
from mixedmodels.certification.report import compare, comparison_text, summary_text


def add_certify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the program."""
    parser = commands.add_parser(
        "certify",
        help="fit what SAS and SPSS were run on and print each of their numbers beside ours",
        epilog="The exit status is 1 if any number misses its tolerance for no known reason.",
    )
    parser.add_argument("--list", action="store_true", help="list the runs and fit nothing")
    parser.add_argument(
        "--table", metavar="NAME", default="", help="only runs with NAME in their name or kind"
    )
    parser.set_defaults(run=certify)


def certify(options: argparse.Namespace) -> int:
    """Print the runs asked for; return 0 if every number holds or differs for a known reason, else 1."""
    wanted = options.table.lower()
    runs = [run for run in published_runs() if wanted in f"{run.kind} {run.name}".lower()]
    if not runs:
        print(f"No run is called {options.table!r}; --list shows them all.", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{run.kind:14}  {run.name} ({run.source})" for run in runs))
        return 0
    return _certify(runs)


def _certify(runs: Sequence[PublishedRun]) -> int:
    """Fit, print and count; return the exit status."""
    start = time.perf_counter()
    comparisons = []
    for run in runs:
        comparisons.append(compare(run))
        print(comparison_text(comparisons[-1]), end="\n\n", flush=True)
    seconds = time.perf_counter() - start
    total, held, named = (
        sum(c.total for c in comparisons),
        *(sum(c.count(v) for c in comparisons) for v in ("ok", "named")),
    )
    print(summary_text(comparisons))
    print(
        f"{held} of {total} published numbers in {len(runs)} runs within their tolerance, "
        f"{named} beyond it for a named reason, {total - held - named} missed ({seconds:.1f} s)"
    )
    return 0 if held + named == total else 1
