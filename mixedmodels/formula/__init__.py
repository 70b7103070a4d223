"""The formula language: from a formula and data to the design of a model."""

from mixedmodels.formula.build import build_design
from mixedmodels.formula.parse import parse_formula
from mixedmodels.formula.recipe import fixed_matrix, random_matrices

__all__ = ["build_design", "fixed_matrix", "parse_formula", "random_matrices"]
