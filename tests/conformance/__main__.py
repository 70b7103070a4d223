"""Run everything: ``python -m tests.conformance [--only TEXT] [--report FOLDER] [--write-holding]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.conformance.holding import write_holding
from tests.conformance.report import counts_text, details_text
from tests.conformance.result import Result
from tests.conformance.run import run_conformance, run_references, run_second_references
from tests.conformance.shared import WHY_ABSENT, find_shared


def main() -> int:
    """Run, print the counts and the failures; return 0, or 2 where the shared folder is absent."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only ids that contain TEXT")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="also write the reports here")
    parser.add_argument("--write-holding", action="store_true", help="record the ids that hold now")
    options = parser.parse_args()
    if find_shared() is None:
        print(WHY_ABSENT, file=sys.stderr)
        return 2
    runs = {
        "conformance": run_conformance,
        "reference": run_references,
        "reference2": run_second_references,
    }
    reports = {name: run(options.only) for name, run in runs.items()}
    for name, results in reports.items():
        _publish(name, results, options.report)
    if options.write_holding:
        write_holding([result for results in reports.values() for result in results])
    return 0


def _publish(name: str, results: list[Result], folder: Path | None) -> None:
    text = f"{counts_text(name, results)}\n\n{details_text(results)}\n"
    print(text)
    if folder is not None:
        (folder / f"{name}_report.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
