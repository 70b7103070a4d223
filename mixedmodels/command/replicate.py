"""``mixedmodels replicate``: fit every model behind published tables and print each number beside ours."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from mixedmodels.replication.published import PublishedTable, published_tables
from mixedmodels.replication.report import compare, table_text


def add_replicate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the program."""
    parser = commands.add_parser(
        "replicate",
        help="fit the models behind published tables and print each number beside ours",
        epilog="The exit status is 1 if any number misses its tolerance.",
    )
    parser.add_argument("--list", action="store_true", help="list the tables and fit nothing")
    parser.add_argument("--table", metavar="NAME", default="", help="only tables with NAME in their title")
    parser.set_defaults(run=replicate)


def replicate(options: argparse.Namespace) -> int:
    """Print the tables asked for; return 0 if every number is within its tolerance, else 1."""
    tables = [t for t in published_tables() if options.table.lower() in t.title.lower()]
    if not tables:
        print(f"No table is called {options.table!r}; --list shows them all.", file=sys.stderr)
        return 2
    if options.list:
        print(
            "\n".join(f"{len(table.numbers):4d} numbers  {table.title} ({table.source})" for table in tables)
        )
        return 0
    return _replicate(tables)


def _replicate(tables: Sequence[PublishedTable]) -> int:
    """Fit, print and count; return the exit status."""
    start = time.perf_counter()
    total = held = 0
    for table in tables:
        comparisons = compare(table)
        print(table_text(table, comparisons), end="\n\n", flush=True)
        total += len(comparisons)
        held += sum(comparison.holds for comparison in comparisons)
    seconds = time.perf_counter() - start
    print(
        f"{held} of {total} published numbers in {len(tables)} tables reproduced within their tolerance"
        f" ({seconds:.1f} s)"
    )
    return 0 if held == total else 1
