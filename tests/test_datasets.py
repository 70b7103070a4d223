"""Data sets: types, levels and counts as the catalogue states them, wherever the package is installed."""

import time

import pandas as pd
import pytest

from mixedmodels.datasets import _catalogue, list_datasets, load_dataset
from mixedmodels.errors import DataError

NAMES = list(_catalogue())


@pytest.mark.parametrize("name", NAMES)
def test_data_match_the_catalogue(name):
    entry, frame = _catalogue()[name], load_dataset(name)
    assert len(frame) == entry["n_rows"]
    assert list(frame.columns) == [column["name"] for column in entry["columns"]]
    for column in entry["columns"]:
        values = frame[column["name"]]
        assert values.isna().sum() == column["n_missing"], column["name"]
        if column["type"] in ("factor", "ordered"):
            assert values.cat.ordered == (column["type"] == "ordered")
            if "levels" in column:
                assert values.cat.categories.tolist() == column["levels"]
            else:
                assert len(values.cat.categories) == column["n_levels"]
        elif column["type"] == "integer" and not column["n_missing"]:
            assert values.dtype == "int64"
        else:
            assert values.dtype == "float64"


def test_levels_are_in_the_order_of_the_catalogue_not_of_appearance():
    assert load_dataset("InstEval")["dept"].cat.categories.tolist()[:5] == ["15", "5", "10", "12", "6"]
    assert load_dataset("InstEval")["s"].cat.categories.tolist()[:3] == ["1", "2", "3"]
    assert load_dataset("Contraception")["livch"].cat.categories.tolist() == ["0", "1", "2", "3+"]


def test_missing_values_are_empty_cells_only():
    assert load_dataset("Gcsemv")["written"].isna().sum() == 202
    # "NA" is a level of no data set, but "N" and "None" must not turn into missing values either.
    assert load_dataset("Contraception")["use"].cat.categories.tolist() == ["N", "Y"]


def test_numbers_round_trip_to_the_last_bit():
    text = ["249.56", "258.7047", "250.8006"]
    assert load_dataset("sleepstudy")["Reaction"].tolist()[:3] == [float(number) for number in text]


def test_each_load_is_a_fresh_copy():
    first = load_dataset("cbpp")
    first["size"] = 0
    assert load_dataset("cbpp")["size"].iloc[0] == 14


def test_a_data_set_knows_its_name_also_after_a_column_is_added():
    assert load_dataset("cbpp").assign(obs=1).attrs["name"] == "cbpp"


def test_the_largest_data_set_loads_in_well_under_a_second():
    load_dataset("InstEval")
    start = time.perf_counter()
    load_dataset("InstEval")
    # Measured 0.07 s; the bound only catches a loop over rows.
    assert time.perf_counter() - start < 1.0


def test_the_list_has_every_data_set():
    table = list_datasets()
    assert list(table.columns) == ["name", "title", "rows", "columns", "source"]
    assert table["name"].tolist() == NAMES
    assert isinstance(table, pd.DataFrame)
    assert table.set_index("name").loc["cbpp", "rows"] == 56


@pytest.mark.parametrize(
    ("wrong", "near"), [("sleepstduy", "'sleepstudy'"), ("CBPP", "'cbpp'"), ("dyestuff", "'Dyestuff'")]
)
def test_an_unknown_name_lists_the_near_matches(wrong, near):
    with pytest.raises(DataError, match=f"no data set '{wrong}'.*{near}"):
        load_dataset(wrong)


def test_a_name_like_no_other_points_at_the_list():
    with pytest.raises(DataError, match="list_datasets"):
        load_dataset("zzzzzzzz")
