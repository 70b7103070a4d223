"""The formula language: from a formula and data to the design of a model."""

from mixedmodels.formula.build import build_design
from mixedmodels.formula.checks import check_random_terms
from mixedmodels.formula.model_terms import ModelTerms, model_terms
from mixedmodels.formula.parse import parse_formula
from mixedmodels.formula.recipe import fixed_matrix, random_matrices
from mixedmodels.formula.relationship import precision

__all__ = [
    "ModelTerms",
    "build_design",
    "check_random_terms",
    "fixed_matrix",
    "model_terms",
    "parse_formula",
    "precision",
    "random_matrices",
]
