"""Write what the examples of a page print behind them: nobody types a number.

python tools/write_outputs.py docs/first_model.md ...

The test suite compares what stands in the pages with what happens: read the difference before a commit.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd


def run(example: doctest.Example, names: dict[str, Any], page: str) -> str:
    """Return what an example prints, an empty line as doctest writes it; of an error its last line."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        try:
            exec(compile(example.source, page, "single"), names)
        except Exception as error:
            kind = type(error)
            name = (
                kind.__qualname__
                if kind.__module__ == "builtins"
                else f"{kind.__module__}.{kind.__qualname__}"
            )
            shown.write(f"Traceback (most recent call last):\n    ...\n{name}: {error}\n")
    lines = (line.rstrip() or "<BLANKLINE>" for line in shown.getvalue().splitlines())
    return "".join(f"{line}\n" for line in lines)


def prompted(example: doctest.Example) -> str:
    """Return the source of an example behind its prompts."""
    first, *rest = example.source.splitlines()
    return "\n".join([f">>> {first}", *(f"... {line}".rstrip() for line in rest)]) + "\n"


def written(text: str, page: str) -> str:
    """Return the text of a page with the outputs of its examples."""
    names: dict[str, Any] = {"__name__": "__main__"}
    parts = []
    for part in doctest.DocTestParser().parse(text, page):
        is_example = isinstance(part, doctest.Example)
        parts.append(prompted(part) + run(part, names, page) if is_example else part)
    return "".join(parts)


def main() -> None:
    """Rewrite the pages that the arguments name."""
    warnings.simplefilter("error")
    for name in sys.argv[1:]:
        path = Path(name)
        with pd.option_context("display.width", 100):
            path.write_text(written(path.read_text(encoding="utf-8"), name), encoding="utf-8")


if __name__ == "__main__":
    main()
