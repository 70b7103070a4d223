"""What a generalized mixed model without rows says about the rows of a source, batch by batch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.families import initialize
from mixedmodels.families.family import Family
from mixedmodels.fits.family_quantities import residuals, response_mean
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.new_data import variables_on
from mixedmodels.formula.design.response import response
from mixedmodels.formula.evaluation.evaluate import as_numbers
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import deparse
from mixedmodels.missing import NA
from mixedmodels.models.generalized import GeneralizedLinearMixedModel
from mixedmodels.models.streamed_rows import StreamedRows


class StreamedGeneralizedRows(StreamedRows, GeneralizedLinearMixedModel):
    """A generalized linear mixed model whose rows are nowhere held."""

    _residuals_need_weights = True

    def loglik_with_columns(self, kept: IntArray) -> float | None:
        """Return None: models of fewer columns are fitted by :meth:`with_design`."""
        return None

    def _fitted_column(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[[".mu"]].rename(columns={".mu": ".fitted"})

    def _augmented(self, rows: pd.DataFrame) -> pd.DataFrame:
        eta = np.asarray(GeneralizedLinearMixedModel.predict(self, rows))
        fixed = np.asarray(GeneralizedLinearMixedModel.predict(self, rows, re_form=NA))
        y, weights = response_of_family(self.design, self.call.weights, self._family, rows)
        added = {
            ".fitted": eta,
            ".fixed": fixed,
            ".mu": response_mean(self._family, eta, self.phi),
            ".resid": residuals(self._family, "deviance", y, eta, weights, self.phi),
        }
        return rows.assign(**added)


def response_of_family(
    design: Design, given: str | None, family: Family, rows: pd.DataFrame
) -> tuple[FloatArray, FloatArray]:
    """Return response and prior weights of some rows as a family reads them, weights by their expression."""
    node = design.formula.response
    assert node is not None
    variables = {deparse(node): node}
    if given is not None:
        variables[given] = parse_expression(given)
    columns = variables_on(design, rows, variables, ())
    weights = None if given is None else as_numbers(columns[given], given)
    return initialize(response(node, columns[deparse(node)]), weights, family)
