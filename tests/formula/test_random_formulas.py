"""Formulas put together at random have the columns that R's model.matrix() gives them."""

import json
from pathlib import Path

import numpy as np
import pytest

from mixedmodels.datasets import load_dataset
from mixedmodels.formula.design.build import model_plan
from mixedmodels.formula.design.coding import matrix_recipe, model_matrix
from mixedmodels.formula.evaluation.columns import Factor
from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.parse import parse_formula

CASES = json.loads((Path(__file__).parent / "random_formula_reference.json").read_text())
# Values were written with 10 decimals; products of columns reach 1e8.
RELATIVE = 1e-9
ABSOLUTE = 1e-8


@pytest.fixture(scope="module")
def rows():
    return load_dataset("bdf").iloc[:2000:29]


@pytest.mark.parametrize("case", CASES, ids=[case["formula"] for case in CASES])
def test_columns_are_those_of_R(case, rows):
    parsed = parse_formula("~ " + case["formula"])
    plan = model_plan(parsed, None)
    evaluator = formula_evaluator(input_frame(rows), parsed.text, {}, States())
    columns = {text: evaluator.column(node) for text, node in plan.variables.items()}
    columns = {text: c.drop_unused() if isinstance(c, Factor) else c for text, c in columns.items()}
    recipe = matrix_recipe(plan.fixed, columns, {})
    assert list(recipe.names) == case["names"]
    X = model_matrix(recipe, columns, len(rows))
    weights = (np.arange(1, len(rows) + 1) % 17) / 17 + 0.5
    np.testing.assert_allclose(weights @ X, case["checksum"], rtol=RELATIVE, atol=ABSOLUTE)
