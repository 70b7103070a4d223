"""Known covariance between levels, given by name in several forms."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from mixedmodels.errors import DataError
from mixedmodels.formula import build_design, check_random_terms
from mixedmodels.formula.design.model_terms import model_terms
from mixedmodels.formula.design.relationship import precision

NAMES = ["g7", "g0", "g1", "g2", "g3", "g4", "g5", "g6", "not in the data"]
# Entries of K are of order one: Cholesky factors and inverses of a 9 x 9 matrix lose a few digits.
ROUNDING = 1e-10


@pytest.fixture(scope="module")
def K():
    A = np.random.default_rng(5).normal(size=(9, 12))
    return A @ A.T / 12


FORMS = {
    "frame": lambda K: pd.DataFrame(K, index=NAMES, columns=NAMES),
    "frame with shuffled columns": lambda K: pd.DataFrame(K, index=NAMES, columns=NAMES)[NAMES[::-1]],
    "names and matrix": lambda K: (NAMES, K),
    "matrix and names": lambda K: (K, NAMES),
    "sparse": lambda K: (NAMES, scipy.sparse.csc_array(K)),
    "sparse matrix": lambda K: (NAMES, scipy.sparse.csr_matrix(K)),
    "precision": lambda K: precision(np.linalg.inv(K), NAMES),
    "precision frame": lambda K: precision(pd.DataFrame(np.linalg.inv(K), index=NAMES, columns=NAMES)),
    "sparse precision": lambda K: precision(scipy.sparse.csc_array(np.linalg.inv(K)), NAMES),
}


@pytest.mark.parametrize("form", FORMS)
def test_levels_are_matched_by_name(mixed, K, form):
    design = build_design("y ~ x + (x | g) + (1 | h)", mixed, relmat={"g": FORMS[form](K)})
    related, plain = design.random
    L = related.relationship
    rows = [NAMES.index(level) for level in related.levels]
    np.testing.assert_allclose(L @ L.T, K[np.ix_(rows, rows)], atol=ROUNDING)
    assert np.array_equal(L, np.tril(L))
    assert plain.relationship is None


def test_numeric_levels_match_numeric_names():
    data = {"y": np.arange(6.0), "id": [3, 1, 2, 3, 1, 2]}
    K = np.diag([1.0, 2.0, 3.0])
    L = build_design("y ~ 1 + (1 | id)", data, relmat={"id": ([3, 2, 1], K)}).random[0].relationship
    np.testing.assert_allclose(L @ L.T, np.diag([3.0, 2.0, 1.0]))


def test_a_level_a_row_is_legal_with_relationships(K):
    data = {"y": np.arange(9.0), "id": NAMES}
    check_random_terms(build_design("y ~ 1 + (1 | id)", data, relmat={"id": (NAMES, K)}), linear=True)


def test_model_terms_show_the_covariance(mixed, K):
    pieces = model_terms("y ~ x + (x | g)", mixed, relmat={"g": (NAMES, K)})
    theta = np.array([1.5, 0.3, 0.7])
    T = np.array([[1.5, 0.0], [0.3, 0.7]])
    rows = [NAMES.index(level) for level in pieces.design.random[0].levels]
    Lambda = pieces.lambda_at(theta).toarray()
    np.testing.assert_allclose(Lambda @ Lambda.T, np.kron(K[np.ix_(rows, rows)], T @ T.T), atol=ROUNDING)
    assert len(pieces.Lind) == pieces.Lambda.nnz


def broken(K, **change):
    frame = pd.DataFrame(K, index=NAMES, columns=NAMES)
    for (row, column), value in change.get("set", {}).items():
        frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda K: K, "names of its rows"),
        (lambda K: (NAMES[1:], K[1:, 1:]), r"no row for 1 level\(s\) of g: 'g7'"),
        (lambda K: (NAMES, K[:, :5]), "square"),
        (lambda K: (NAMES[:5], K), "9 rows and 5 names"),
        (lambda K: (["g0", *NAMES[1:]], K), "twice"),
        (lambda K: broken(K, set={("g0", "g1"): 9.0}), "not symmetric"),
        (lambda K: broken(K, set={("g0", "g0"): -1.0}), "not positive definite"),
        (lambda K: broken(K, set={("g0", "g0"): np.nan}), "missing or infinite"),
        (lambda K: (NAMES, "K"), "numbers"),
        (lambda K: (NAMES, np.ones((9, 9))), "not positive definite"),
    ],
)
def test_bad_matrices_are_explained(mixed, K, make, match):
    with pytest.raises(DataError, match=match):
        build_design("y ~ x + (1 | g)", mixed, relmat={"g": make(K)})


def test_unknown_groups_are_named(mixed, K):
    with pytest.raises(DataError, match=r"'id'.*grouping factor.*\(g\)"):
        build_design("y ~ x + (1 | g)", mixed, relmat={"id": (NAMES, K)})
    with pytest.raises(DataError, match="names"):
        precision(K)


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a"], "1 names for a matrix of 2"), (["a", "b", "c"], "3 names"), (["a", "a"], "the name 'a' twice")],
)
def test_a_precision_has_one_name_a_level(names, message):
    with pytest.raises(DataError, match=message):
        precision(np.eye(2), names)
    with pytest.raises(DataError, match="square"):
        precision(np.ones((2, 3)), names)
