"""Columns are read as pandas stores them, or as Series: both give the same column."""

import numpy as np
import pandas as pd
import pytest

from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.evaluation.read_column import column_of

FRAME = pd.DataFrame(
    {
        "float": [1.5, np.nan, 3.0],
        "int": [1, 2, 3],
        "bool": [True, False, True],
        "text": ["a", "b", None],
        "object": np.array(["a", 1.5, None], dtype=object),
        "category": pd.Categorical(["u", None, "v"], categories=["v", "u", "w"]),
        "ordered": pd.Categorical([1, 2, 1], ordered=True),
        "date": pd.to_datetime(["2020-01-02", "2020-01-01", None]),
        "zoned": pd.to_datetime(["2020-01-02", "2020-01-01", None]).tz_localize("UTC"),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "small": np.array([1, 2, 3], dtype=np.int8),
        "single": np.array([1, 2, 3], dtype=np.float32),
    }
)


def _parts(column):
    return [repr(type(column))] + [repr(getattr(column, name)) for name in type(column).__slots__]


def _column(read, *arguments):
    try:
        return _parts(read(*arguments))
    except Exception as error:
        return [type(error), str(error)]


@pytest.mark.parametrize("name", FRAME.columns)
@pytest.mark.parametrize("is_consolidated", [True, False])
def test_a_stored_column_is_the_series_read(name, is_consolidated):
    frame = FRAME.copy() if is_consolidated else pd.concat([FRAME[[c]] for c in FRAME], axis=1)
    assert _column(input_frame(frame).column, name) == _column(column_of, frame[name], name)


def test_rows_chosen_and_turned_round_are_read_in_their_order():
    turned = FRAME.iloc[::-1]
    assert input_frame(turned).column("float").values.tolist()[::2] == [3.0, 1.5]
    assert input_frame(FRAME[["int", "float"]].T.T).column("int").as_float().tolist() == [1.0, 2.0, 3.0]


def test_pandas_without_that_way_is_read_too(monkeypatch):
    before = _parts(input_frame(FRAME).column("category"))
    monkeypatch.delattr(pd.DataFrame, "_get_column_array")
    assert _parts(input_frame(FRAME).column("category")) == before
    assert input_frame(FRAME).column("int").values.tolist() == [1, 2, 3]


def test_what_a_model_reads_is_never_written():
    import mixedmodels as mm

    data = mm.load_dataset("sleepstudy")
    before = data.copy()
    mm.lmer("Reaction ~ Days + (Days | Subject)", data)
    pd.testing.assert_frame_equal(data, before)
