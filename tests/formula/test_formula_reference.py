"""Every formula of formula_reference.json means here what it means in R."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixedmodels.datasets import load_dataset
from mixedmodels.formula import build_design
from mixedmodels.formula.design.model_terms import random_effects_matrix

CASES = json.loads((Path(__file__).parent / "formula_reference.json").read_text())
# Values were written with 10 decimals; entries of X reach 1e9.
RELATIVE = 1e-9
ABSOLUTE = 1e-8
FEWEST_CASES = 150


def _with_missing(d):
    d = d.reset_index(drop=True).astype({"Days": float})
    d.loc[[2, 49], "Days"] = np.nan
    d.loc[6, "Reaction"] = np.nan
    d.loc[8, "Subject"] = np.nan
    return d.assign(x=np.sqrt(np.arange(1.0, 181.0)))


# R sorted these strings in the locale of the machine; strings here are sorted by code point.
KIND_LEVELS = ["base", "late", "Zmid"]

# The lines of R that change the data, and the same in Python.
PREPARATIONS = {
    "d$late <- d$Days > 4": lambda d: d.assign(late=d["Days"] > 4),
    "d[['days off']] <- d$Days + 1": lambda d: d.assign(**{"days off": d["Days"] + 1}),
    "d$.d_x <- d$Days; d$my.var <- sqrt(d$Days)": lambda d: d.assign(
        **{".d_x": d["Days"], "my.var": np.sqrt(d["Days"])}
    ),
    "d$kind <- ifelse(d$Days < 3, 'base', ifelse(d$Days < 7, 'Zmid', 'late'))": lambda d: d.assign(
        kind=pd.Categorical(
            np.where(d["Days"] < 3, "base", np.where(d["Days"] < 7, "Zmid", "late")), categories=KIND_LEVELS
        )
    ),
    "d$Days[c(3, 50)] <- NA; d$Reaction[7] <- NA; d$Subject[9] <- NA; d$x <- (1:180)^0.5": _with_missing,
    "d <- d[seq(1, nrow(d), 3), ]": lambda d: d.iloc[::3],
    "d <- d[1:5000, ]": lambda d: d.iloc[:5000],
    "d <- d[1:2000, ]": lambda d: d.iloc[:2000],
    "d <- d[1:800, ]": lambda d: d.iloc[:800],
}


@cache
def prepared(name, prep):
    data = load_dataset(name)
    return data if prep is None else PREPARATIONS[prep](data)


def row_weights(n):
    return (np.arange(1, n + 1) % 97) / 97 + 0.5


def design_of(case):
    return build_design(
        case["formula"],
        prepared(case["data"], case["prep"]),
        subset=case["subset"],
        contrasts=case["contrasts"],
    )


# R reads Days^2 as Days without a word, and so do these cases.
@pytest.mark.filterwarnings("ignore::mixedmodels.errors.FormulaWarning")
@pytest.mark.parametrize("case", CASES, ids=[f"{c['data']}: {c['formula']}" for c in CASES])
def test_formula_means_what_it_means_in_R(case):
    design = design_of(case)
    assert design.n_rows == case["n"]
    assert list(design.x_names) == case["x_names"]
    assert sorted(design.dropped) == sorted(case["dropped"])
    np.testing.assert_allclose(
        row_weights(design.n_rows) @ design.X, case["x_checksum"], rtol=RELATIVE, atol=ABSOLUTE
    )
    assert [term.group for term in design.random] == case["groups"]
    assert [list(term.columns) for term in design.random] == case["columns"]
    assert sum(term.structure.n_theta for term in design.random) == case["n_theta"]
    for term in design.random:
        assert term.n_levels == case["n_levels"][term.group]
        assert [*term.levels[:3], term.levels[-1]] == case["levels"][term.group]
    Z = random_effects_matrix(design.random, design.n_rows)
    assert list(Z.shape) == case["z_dim"]
    checksum = row_weights(Z.shape[0]) @ Z @ row_weights(Z.shape[1])
    np.testing.assert_allclose(checksum, case["z_checksum"], rtol=RELATIVE, atol=ABSOLUTE)
    if case["offset_checksum"] is None:
        assert design.offset is None
    else:
        total = row_weights(design.n_rows) @ design.offset
        np.testing.assert_allclose(total, case["offset_checksum"], rtol=RELATIVE)


def test_the_table_is_long_enough():
    assert len(CASES) >= FEWEST_CASES
