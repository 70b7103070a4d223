"""What sites exchange: files of sums with hashed names and no small cells, whose sum is the pooled fit."""

import hashlib
import hmac

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError
from tests.moments.equality import assert_equal

KEY = "0123456789abcdef-secret"
FORMULA = "y ~ x + arm + (x | clinic) + (1 | rater)"
LEVELS = {"arm": ["control", "drug"]}


def sites(seed=3, count=11, text=True):
    """Return the tables of sites that share raters, each with clinics of its own."""
    rng = np.random.default_rng(seed)
    effects, found = rng.normal(0, 2, 9), []
    for site in range(count):
        n = int(rng.integers(150, 200))
        clinic, rater = rng.integers(0, 4, n), rng.integers(0, 9, n)
        d = pd.DataFrame({"x": rng.normal(5, 1, n), "arm": rng.choice(LEVELS["arm"], n)})
        d["clinic"] = [f"Clinic {site}-{k}" for k in clinic] if text else 10 * site + clinic
        d["rater"] = rater if not text else [f"Dr {k}" for k in rater]
        d["y"] = 3 + rng.normal(0, 1, 4)[clinic] + effects[rater] + d["x"] + rng.normal(0, 1, n)
        found.append(d)
    return found


@pytest.mark.parametrize("text", [True, False])
def test_the_sum_of_files_of_eleven_sites_is_the_pooled_fit(tmp_path, text):
    tables = sites(text=text)
    for k, table in enumerate(tables):
        mine = mm.moments(FORMULA, [table], levels=LEVELS, hash_levels=KEY, min_cell=5)
        mine.save(tmp_path / f"{k}.moments")
    total = sum(mm.Moments.load(tmp_path / f"{k}.moments") for k in range(len(tables)))
    summed, whole = mm.lmer(total), mm.lmer(FORMULA, pd.concat(tables))
    assert summed.loglik() == pytest.approx(whole.loglik(), rel=1e-10)
    np.testing.assert_allclose(summed.beta, whole.beta, rtol=1e-8)
    np.testing.assert_allclose(summed._standard_errors(), whole._standard_errors(), rtol=1e-8)
    for factor in ("clinic", "rater"):
        effects = summed.ranef()[factor].iloc[:, 0]
        for level, value in whole.ranef()[factor].iloc[:, 0].items():
            message = f"{factor}\0{level}".encode()
            name = hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()[:32]
            assert effects[name] == pytest.approx(value, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("categorical", [False, True])
def test_the_file_has_no_names_and_not_the_order_of_rows(tmp_path, categorical):
    (table,) = sites(count=1)
    if categorical:
        table = table.astype({"clinic": "category", "rater": "category"})
    table.to_csv(tmp_path / "secret_part.csv", index=False)
    source = [table] if categorical else tmp_path / "secret_part.csv"
    mm.moments(FORMULA, source, levels=LEVELS, hash_levels=KEY).save(tmp_path / "m")
    content = (tmp_path / "m").read_bytes()
    assert not [name for name in (b"Clinic", b"Dr ", b"secret", KEY.encode()) if name in content]
    names = list(mm.Moments.load(tmp_path / "m")._tables[0].names())
    assert names == sorted(names)


def test_hashing_changes_names_alone():
    tables = sites(count=3)
    plain = mm.moments(FORMULA, tables, levels=LEVELS)
    hashed = mm.moments(FORMULA, tables, levels=LEVELS, hash_levels=KEY.encode())
    one, other = mm.lmer(hashed), mm.lmer(plain)
    assert one.loglik() == pytest.approx(other.loglik(), rel=1e-12)
    with pytest.raises(DataError, match="hashed levels and with names cannot be added"):
        plain + hashed
    with pytest.raises(DataError, match="into= goes on with moments that have names"):
        mm.moments(FORMULA, tables, levels=LEVELS, into=hashed)
    again = mm.moments(FORMULA, tables, levels=LEVELS, hash_levels=KEY, n_jobs=2)
    assert_equal(mm.lmer(again), one)


@pytest.mark.parametrize("key", ["short", 5, b"0123"])
def test_keys_that_anyone_could_guess(key):
    with pytest.raises(DataError, match="hash_levels must be a secret"):
        mm.moments(FORMULA, sites(count=1), levels=LEVELS, hash_levels=key)


def test_small_cells_are_counted_over_batches():
    (table,) = sites(count=1)
    rare = table.iloc[:4].assign(clinic="Clinic rare")
    batches = [table[:30], rare[:2], table[30:], rare[2:]]
    with pytest.raises(DataError, match="1 of 5 levels of clinic have fewer rows, among them 'Clinic rare'"):
        mm.moments(FORMULA, batches, levels=LEVELS, min_cell=5)
    assert mm.moments(FORMULA, batches, levels=LEVELS, min_cell=4).nobs == len(table) + 4


def test_small_cells_in_several_processes(tmp_path):
    (table,) = sites(count=1)
    rare = table.iloc[:4].assign(clinic="Clinic rare")
    for k, part in enumerate((pd.concat([table[:30], rare[:2]]), pd.concat([table[30:], rare[2:]]))):
        part.to_csv(tmp_path / f"{k}.csv", index=False)
    source = str(tmp_path / "*.csv")
    with pytest.raises(DataError, match="1 of 5 levels"):
        mm.moments(FORMULA, source, levels=LEVELS, min_cell=5, n_jobs=2)
    assert mm.moments(FORMULA, source, levels=LEVELS, min_cell=4, n_jobs=2).nobs == len(table) + 4
