"""The program: ``mixedmodels COMMAND``, or ``python -m mixedmodels COMMAND``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from mixedmodels.command.certify import add_certify
from mixedmodels.command.fit import add_fit
from mixedmodels.command.replicate import add_replicate
from mixedmodels.versions import show_versions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, by default ``replicate``; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Without a command the tables are replicated, options and all.
    if not given or given[0] in ("--list", "--table"):
        given.insert(0, "replicate")
    options = _parser().parse_args(given)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` has; flushing what is left must not fail at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mixedmodels",
        description="Fit linear and generalized linear mixed models. Without a command: replicate.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_fit(commands)
    add_replicate(commands)
    add_certify(commands)
    versions = commands.add_parser("versions", help="print what a bug report needs: versions, kernels, BLAS")
    versions.set_defaults(run=_versions)
    return parser


def _versions(_: argparse.Namespace) -> int:
    show_versions()
    return 0


if __name__ == "__main__":
    sys.exit(main())
