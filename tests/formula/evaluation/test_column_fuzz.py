"""Columns of any values: a design, or one of our errors; never one of NumPy's, pandas' or Python's."""

import datetime
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import MixedModelsError
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import fixed_matrix, random_matrices

odd = st.sampled_from(
    [None, float("nan"), float("inf"), True, False, 0, 1, -1, 2**53 + 1, 2**63, 2**70, 10**400, 0.1, 1e300,
     1e-300, 1j, "", "a", "1.0", "1,5", "nan", b"x", (1, 2), [1], {"a": 1}, object, Decimal("1.5"),
     Decimal("NaN"), Decimal("sNaN"), Decimal("1e400"), Fraction(1, 3), datetime.date(2024, 1, 1),
     datetime.datetime(2024, 1, 1, 12), datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
     datetime.timedelta(1), datetime.time(1), np.datetime64("NaT", "ns"), np.datetime64("2024-01-01"),
     np.float32(0.1), np.int8(3), np.uint64(2**63), np.bool_(True), np.str_("a"), np.longdouble(0.1)]
)  # fmt: skip
columns = st.lists(odd, min_size=8, max_size=8) | st.lists(odd, min_size=1, max_size=2).map(
    lambda v: (v * 8)[:8]
)
formulas = st.sampled_from(
    ["y ~ v + (1 | g)", "y ~ x + (1 | v)", "y ~ x + (v | g)", "v ~ x + (1 | g)", "y ~ factor(v) + (1 | g)",
     "y ~ x + (1 | g:v)", "y ~ I(v + 1) + (1 | g)", "y ~ I(v > 1) + (1 | g)", "y ~ scale(v) + (1 | g)",
     "y ~ I(v %in% c(1, 9007199254740993)) + (1 | g)", "y ~ as.numeric(v) + (1 | g)", "y ~ C(v, contr.sum)",
     "y ~ I(v %% 2) + (1 | g)", "y ~ I(v / 0) + (1 | g)", "y ~ as.integer(v)", "y ~ I(-v)",
     "y ~ ifelse(v > 0, v, 1)", "y ~ x + offset(v)", "y ~ as.character(v)", "y ~ ns(v, df = 3)"]
)  # fmt: skip
ROWS = {"y": [1.0, 2, 4, 3, 5, 7, 6, 9], "x": [0.0, 1, 0, 1, 1, 0, 2, 1], "g": list("aabbccdd")}


@given(formulas, columns, columns)
@settings(max_examples=400, deadline=None)
def test_any_column_is_read_or_refused(text, values, new):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        try:
            design = build_design(text, {**ROWS, "v": values})
            fixed_matrix(design, {**ROWS, "v": new})
            random_matrices(design, {**ROWS, "v": new})
        except MixedModelsError as error:
            assert str(error)
            return
    assert np.isfinite(design.X).all()
