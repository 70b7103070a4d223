"""``mixedmodels fit``: fit a model to a file, print its summary and write its tables."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from mixedmodels.errors import DataError, MixedModelsError
from mixedmodels.families.lookup import family_with_link
from mixedmodels.glm import glm
from mixedmodels.glmer import glmer
from mixedmodels.lm import lm
from mixedmodels.lmer import lmer
from mixedmodels.models.fitted_model import FittedModel

#: Exit status where the fit is not at an optimum that the data determine.
DOUBTFUL = 3
#: How a file is read, by the end of its name.
READERS: dict[str, Callable[..., pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".tsv": lambda path: pd.read_csv(path, sep="\t"),
    ".parquet": pd.read_parquet,
    ".json": pd.read_json,
}


def add_fit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the program."""
    parser = commands.add_parser(
        "fit",
        help="fit a model to a file and print its summary",
        epilog="Example: mixedmodels fit 'y ~ x + (1 | g)' d.csv --family binomial. The exit status is 2 if "
        f"the formula or the data are at fault, {DOUBTFUL} if the verdict on the fit is a doubtful one.",
    )
    parser.add_argument("formula", help="formula of lme4, in quotes: 'y ~ x + (1 | g)'")
    parser.add_argument(
        "data", help="file .csv, .tsv, .parquet or .json, also .gz; - reads CSV from the input"
    )
    parser.add_argument("--family", help="binomial, poisson, nbinom2, Gamma, ...: a generalized model")
    parser.add_argument("--link", help="link of the family, where it is not the usual one")
    parser.add_argument("--ml", action="store_true", help="maximum likelihood in place of REML")
    parser.add_argument("--nagq", metavar="K", default="1", help="quadrature nodes, or 'auto'")
    for name in ("weights", "offset", "subset"):
        parser.add_argument(f"--{name}", metavar="EXPR", help=f"{name}, a column or an expression of columns")
    parser.add_argument("--tidy", metavar="FILE", help="write the tidy table of the parameters as CSV")
    parser.add_argument("--json", metavar="FILE", help="write parameters, criteria and verdict as JSON")
    parser.set_defaults(run=fit)


def fit(options: argparse.Namespace) -> int:
    """Fit, print and write; return the exit status."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = _fitted(options)
            print(model.summary())
            _write(model, options)
        except (MixedModelsError, OSError) as error:
            print(f"mixedmodels: {error}", file=sys.stderr)
            return 2
    for warning in caught:
        print(f"mixedmodels: warning: {warning.message}", file=sys.stderr)
    return 0 if _is_sound(model) else DOUBTFUL


def _fitted(options: argparse.Namespace) -> FittedModel:
    """Return the model that was asked for."""
    data = read_table(options.data)
    common = {"weights": options.weights, "offset": options.offset, "subset": options.subset}
    is_mixed = "|" in options.formula
    if options.family is None:
        if is_mixed:
            linear: FittedModel = lmer(options.formula, data, not options.ml, **common)
            return linear
        return lm(options.formula, data, **common)
    family = family_with_link(options.family, options.link)
    if not is_mixed:
        return glm(options.formula, data, family, **common)
    nodes = options.nagq if options.nagq == "auto" else int(options.nagq)
    model: FittedModel = glmer(options.formula, data, family, nAGQ=nodes, **common)
    return model


def read_table(name: str) -> pd.DataFrame:
    """Return the table in a file, or in the standard input for ``-``.

    Raises
    ------
    DataError
        If the end of the name says nothing about the format, or the file does not hold a table.
    """
    if name == "-":
        return pd.read_csv(sys.stdin)
    ends = [end.lower() for end in Path(name).suffixes if end.lower() not in (".gz", ".zip", ".bz2", ".xz")]
    reader = READERS.get(ends[-1] if ends else "")
    if reader is None:
        raise DataError(
            f"{name!r} does not say what it holds: expected a name that ends in {', '.join(READERS)}."
        )
    try:
        return reader(name)
    except (ValueError, ImportError) as error:
        raise DataError(f"{name!r} cannot be read as a table: {error}") from error


def _write(model: FittedModel, options: argparse.Namespace) -> None:
    """Write the files asked for."""
    if options.tidy:
        model.tidy().to_csv(options.tidy, index=False)
    if options.json:
        Path(options.json).write_text(json.dumps(_as_record(model), indent=2) + "\n", encoding="utf-8")


def _as_record(model: FittedModel) -> dict[str, Any]:
    """Return parameters, criteria and verdict as JSON has them, missing numbers as null."""
    record: dict[str, Any] = {
        "formula": model.formula(),
        "glance": json.loads(model.glance().to_json(orient="records"))[0],
        "parameters": json.loads(model.tidy().to_json(orient="records")),
    }
    report = model.convergence() if hasattr(type(model), "convergence") else None
    if report is not None:
        record["verdict"] = {"verdict": report.verdict, "reasons": list(report.reasons)}
    return record


def _is_sound(model: FittedModel) -> bool:
    """Tell whether nothing speaks against the fit; one without a search has nothing to be judged."""
    return not hasattr(type(model), "convergence") or model.convergence().verdict in ("converged", "boundary")
