"""The published runs of SAS and SPSS: one record each in published_runs.json.

Sources: the SAS listings and data sets of openpharma/mmrm (Apache-2.0), the SPSS listings of
PharmCat/Metida.jl (MIT), and two runs of the SAS manual. Each record names its repository, commit, files and
licence.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """One run.

    Attributes
    ----------
    name : str
        Its name: ``"fev_us_reml_kr_arm"``.
    kind : {"mmrm", "bioequivalence", "metida", "computed"}
        Which folder of runs it is of.
    record : mapping
        Model and printed numbers, these as strings with the digits of the print.
    """

    name: str
    kind: str
    record: Mapping[str, Any]

    @property
    def expected(self) -> Mapping[str, Any]:
        """The printed numbers; those of an independent fit for a run that nobody published."""
        found: Mapping[str, Any] = self.record.get("expected", {})
        return found

    @property
    def optimum(self) -> Mapping[str, Any]:
        """The same run by an independent Newton fit, in ten digits; empty where there is none."""
        found: Mapping[str, Any] = self.record.get("optimum", {})
        return found

    @property
    def source(self) -> str:
        """The program that printed, and where the print is."""
        source = self.record["source"]
        where = source.get("repository", source.get("how", ""))
        return f"{source['system']}; {where.partition(',')[0]}"


def published_runs() -> tuple[PublishedRun, ...]:
    """Return all runs."""
    return tuple(
        PublishedRun(record["id"], record["folder"], record)
        for record in json.loads(_read("published_runs.json"))
    )


@cache
def published_rows(table: str) -> pd.DataFrame:
    """Return a table of predictions or residuals, one row a row of the data, as printed (text)."""
    text = gzip.decompress(_bytes("published_rows.csv.gz")).decode("utf-8")
    rows = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    rows = rows[rows["table"] == table].drop(columns="table")
    return rows.loc[:, (rows != "").any()].reset_index(drop=True)


def _bytes(name: str) -> bytes:
    return (files("mixedmodels.certification") / name).read_bytes()


def _read(name: str) -> str:
    return _bytes(name).decode("utf-8")
