"""Columns of text read in batches: the levels, and the reference among them, that they have in memory."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
FORMULA = "Reaction ~ Days * cond + (1 | Subject)"


@pytest.fixture(scope="module")
def data():
    rows = pd.DataFrame({name: np.asarray(values) for name, values in mm.load_dataset("sleepstudy").items()})
    # The last of the alphabet comes first.
    return rows.assign(
        Subject=rows["Subject"].astype(str), cond=np.resize(["zeta", "Beta", "alpha"], 180), plan="b"
    )


def sources(data, folder):
    path = folder / "rows.parquet"
    data.to_parquet(path)
    data.to_csv(folder / "rows.csv", index=False)
    half = len(data) // 2
    yield "parquet", path
    yield "csv", folder / "rows.csv"
    yield "lazy", pl.scan_parquet(path)
    yield "polars frames", [pl.from_pandas(data[:half]), pl.from_pandas(data[half:])]
    yield "one arrow table", [pa.Table.from_pandas(data)]
    yield "pandas frames", [data[:half], data[half:]]


@pytest.mark.parametrize("formula", [FORMULA, "Reaction ~ Days + factor(cond) + (1 | Subject)"])
def test_the_reference_is_the_first_of_the_alphabet(data, tmp_path, formula):
    whole = mm.lmer(formula, data)
    for name, source in sources(data, tmp_path):
        m = mm.lmer(formula, source)
        assert m.fixef().index.tolist() == whole.fixef().index.tolist(), name
        np.testing.assert_allclose(m.fixef(), whole.fixef(), rtol=1e-8, atol=1e-8)
        new = data.iloc[[3, 100, 50]]
        np.testing.assert_allclose(m.predict(new), whole.predict(new), rtol=1e-9)


def test_levels_of_grouping_factors_have_the_order_of_the_alphabet(data, tmp_path):
    data = data.assign(who=np.repeat(list("zyxwvutsrqponmlkji"), 10))
    for group in ("who", "factor(who)", "who:cond"):
        whole = mm.lmer(f"Reaction ~ Days + (1 | {group})", data)
        for name, source in sources(data, tmp_path):
            m = mm.lmer(f"Reaction ~ Days + (1 | {group})", source)
            assert m.random[0].levels == whole.random[0].levels, name
    sums = mm.moments("Reaction ~ Days + (1 | who)", tmp_path / "rows.parquet")
    sums.save(tmp_path / "m")
    total = mm.Moments.load(tmp_path / "m") + mm.moments("Reaction ~ Days + (1 | who)", tmp_path / "rows.csv")
    assert mm.lmer(total).random[0].levels == tuple(sorted(set(data["who"])))


def test_moments_of_sites_agree_on_the_levels_of_text(data):
    parts = [mm.moments(FORMULA, [pl.from_pandas(part)]) for part in (data[:90], data[90:])]
    backwards = mm.moments(FORMULA, [pl.from_pandas(data[90:].iloc[::-1])])
    total = mm.lmer(parts[0] + backwards)
    np.testing.assert_allclose(total.fixef(), mm.lmer(FORMULA, data).fixef(), rtol=1e-8)


def test_the_order_of_categories_and_of_given_levels_stays(data):
    levels = ["zeta", "alpha", "Beta"]
    categories = data.assign(cond=pd.Categorical(data["cond"], levels))
    whole = mm.lmer(FORMULA, categories)
    for m in (
        mm.lmer(FORMULA, [pa.Table.from_pandas(categories)]),
        mm.lmer(mm.moments(FORMULA, [pl.from_pandas(data)], levels={"cond": levels})),
    ):
        assert m.fixef().index.tolist() == whole.fixef().index.tolist()
        np.testing.assert_allclose(m.fixef(), whole.fixef(), rtol=1e-8)


def test_text_that_spells_numbers_is_warned_of(data, tmp_path):
    path = tmp_path / "rows.csv"
    days = data["Days"].astype(str).where(data.index != 7, ".")  # a gap, for which the column is text
    data.assign(Days=days).to_csv(path, index=False)
    with pytest.warns(mm.DataWarning, match="Days holds strings that spell numbers"):
        mm.lmer("Reaction ~ Days + (1 | Subject)", path)


def test_what_sums_cannot_say_is_said(data, tmp_path):
    m = mm.lmer(FORMULA, [data])
    with pytest.raises(mm.NotAvailableError, match="sums over them"):
        mm.influence(m)
    with pytest.raises(mm.NotAvailableError, match="sums over them"):
        mm.update(m, ". ~ . - cond")
    with pytest.raises(mm.DataError, match="more than once"):
        mm.moments(FORMULA, [data], levels={"cond": ["zeta", "alpha", "Beta", "zeta"]})
    sums = mm.moments(FORMULA, [data])
    with pytest.raises(mm.DataError, match="cannot be written"):
        sums.save(tmp_path / "absent" / "sums")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(mm.DataError, match=r"no file that Moments.save\(\) wrote"):
        mm.Moments.load(tmp_path / "rows.csv")
    with pytest.raises(mm.DataError, match="there is no file"):
        mm.glmer("y ~ (1 | g)", "rows.parquet", "binomial")
