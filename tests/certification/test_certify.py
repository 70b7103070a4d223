"""Every number that SAS and SPSS printed is within its tolerance or differs for a reason that is named."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mixedmodels.__main__ import main
from mixedmodels.certification import report
from mixedmodels.certification.deviations import DEVIATIONS, deviations_of
from mixedmodels.certification.fits import fit_mmrm, run_named
from mixedmodels.certification.numbers import SAS, Number, column, half_unit, loglikelihood, number
from mixedmodels.certification.published import published_rows, published_runs
from mixedmodels.certification.report import compare, comparison_text
from mixedmodels.command import certify as command
from tests.certification.optimum import pairs
from tests.conformance.shared import WHY_ABSENT, find_shared

RUNS = {run.name: run for run in published_runs()}
#: A run of each structure, method and program; the command has them all.
SOME = [
    "fev50_us_reml_nonconverged", "fev_adh_by_arm_reml_satt_mean", "fev_adh_ml_satt_mean_weighted",
    "fev_ar1_ml_satt_arm_sex", "fev_ar1_reml_satt_noint_type2", "fev_ar1h_reml_bw_empirical_arm_weighted",
    "fev_cs_by_arm_ml_satt_mean", "fev_cs_reml_satt_predict", "fev_csh_reml_krlinear_arm",
    "fev_sp_exp_reml_kr_arm", "fev_sp_gau2_reml_krlinear_arm", "fev_sp_pow_reml_satt_resid_spatial",
    "fev_toep_reml_kr_predict", "fev_toeph_reml_kr_arm", "fev_us_reml_bw_resid_un", "fev_us_reml_kr_arm",
    "fev_us_reml_satt_full", "fev_us_reml_satt_full_weighted", "rds04", "rds06", "rds07", "rds10", "rds17",
    "rds29", "rds30", "model01", "model03", "model04", "model06", "model07", "model08", "test_df1_fda",
    "test_ftdf3_ar_diag", "test_ftdf3_arh_nrho", "test_ftdf3_toep", "test_un_repeated",
    "test_un_repeated_missing", "orthodont_cs_ml_bw", "orthodont_us_ml_bw",
]  # fmt: skip
WITH_OPTIMUM = [run.name for run in RUNS.values() if run.kind == "mmrm" and run.optimum]
#: How close to an optimum of ten digits: the degrees of freedom take a Hessian by differences.
RELATIVE, RELATIVE_DF = 1e-6, 1e-5


@pytest.mark.parametrize("name", SOME)
def test_every_number_holds_or_differs_for_a_named_reason(name):
    found = compare(RUNS[name])
    assert not found.count("MISSED"), comparison_text(found)
    named = [n for n in found.numbers if n.verdict == "named"]
    assert bool(named) == bool(deviations_of(RUNS[name])), "a deviation that does not show is no deviation"


@pytest.mark.parametrize("name", WITH_OPTIMUM)
def test_ours_is_the_optimum_of_an_independent_newton_fit(name):
    for quantity, ours, other in pairs(RUNS[name]):
        tolerance = RELATIVE_DF if quantity.endswith(" df") else RELATIVE
        assert ours == pytest.approx(other, rel=tolerance), quantity


def test_the_bundle_is_what_the_shared_folder_has():
    if find_shared() is None or not (folder := find_shared() / "certification").is_dir():
        pytest.skip(WHY_ABSENT)
    for kind in ("mmrm", "bioequivalence", "metida", "computed"):
        for path in sorted((folder / kind).glob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            assert {**record, "folder": kind} == RUNS[record["id"]].record
    assert len(published_rows("tables/sas_resid_un.csv")) == 800


def test_the_runs_are_all_there_and_say_where_they_come_from():
    counts = {kind: sum(run.kind == kind for run in RUNS.values()) for kind in report.KINDS}
    assert counts == {"mmrm": 58, "bioequivalence": 19, "metida": 12, "computed": 3}
    assert all("openpharma/mmrm" in run.source for run in RUNS.values() if run.kind == "mmrm")


def test_the_weighted_degrees_of_freedom_of_sas_are_those_of_unweighted_derivatives():
    # The gradient of Var(intercept) in the covariance of two visits, with the weights and without them.
    run = run_named("fev_us_reml_satt_full_weighted")
    fit = fit_mmrm(run)
    right, wrong = (
        _satterthwaite_of_intercept(fit, weighted=True),
        _satterthwaite_of_intercept(fit, weighted=False),
    )
    printed = float(run.expected["fixed"][0]["df"])
    assert right == pytest.approx(run.optimum["fixed"][0]["df_satterthwaite"], rel=1e-4)
    assert abs(wrong - printed) < 0.5


def _satterthwaite_of_intercept(fit, weighted):
    """Return Satterthwaite's df of the first coefficient, derivatives by differences, dense algebra."""
    residual = fit.design.residual
    parameters = fit.covariance_parameters()["estimate"].to_numpy()
    i, j = np.tril_indices(4)
    # All subjects have four visits here: those without a response have covariance I and rows of zeros.
    n, p = len(residual.groups), len(fit.beta)
    at = residual.codes, residual.positions
    seen, root, Xe = np.zeros((n, 4)), np.ones((n, 4)), np.zeros((n, 4, p + 1))
    seen[at], root[at] = 1.0, 1.0 / np.sqrt(fit.prior_weights)
    Xe[at] = np.column_stack([fit.design.X, fit.y - fit.mean])
    pairs_seen = seen[:, :, None] * seen[:, None, :]

    def R(values, roots):
        full = np.zeros((4, 4))
        full[i, j] = full[j, i] = values
        return full * pairs_seen * roots[:, :, None] * roots[:, None, :]

    def minus2loglik(values):
        V = R(values, root) + (1.0 - seen)[:, :, None] * np.eye(4)
        XVX = np.einsum("gip,giq->pq", Xe, np.linalg.solve(V, Xe))
        rest = np.linalg.slogdet(V)[1].sum() + np.linalg.slogdet(XVX[:p, :p])[1]
        return rest + XVX[p, p] - XVX[p, :p] @ np.linalg.solve(XVX[:p, :p], XVX[:p, p])

    V, X = R(parameters, root) + (1.0 - seen)[:, :, None] * np.eye(4), Xe[:, :, :p]
    solved = np.linalg.solve(V, X)
    C = np.linalg.inv(np.einsum("gip,giq->pq", X, solved))
    own = solved @ C[:, 0]
    units = np.eye(len(parameters))
    slope = [
        np.einsum("gi,gij,gj->", own, R(unit, root if weighted else np.ones_like(root)), own)
        for unit in units
    ]
    steps = np.maximum(1e-3 * np.abs(parameters), 1e-2)
    W = 2.0 * np.linalg.inv(_hessian(minus2loglik, parameters, steps))
    return 2.0 * C[0, 0] ** 2 / (slope @ W @ slope)


def _hessian(f, x, steps):
    """Return second derivatives by differences."""
    H = np.empty((len(x), len(x)))
    units = np.diag(steps)
    for a in range(len(x)):
        for b in range(a + 1):
            corners = [f(x + s * units[a] + t * units[b]) * s * t for s in (1, -1) for t in (1, -1)]
            H[a, b] = H[b, a] = sum(corners) / (4.0 * steps[a] * steps[b])
    return H


# The rules themselves.


def test_half_a_unit_of_the_last_digit():
    assert [half_unit(text) for text in ("41.9576", "161", "0.40", "3.468E-9")] == [5e-5, 0.5, 5e-3, 5e-13]


def test_a_bound_a_blank_and_a_number():
    assert number("p", ".", 0.3) == []
    (bound,) = number("p", "<.0001", 2e-5)
    assert bound.holds
    assert not number("p", "<.0001", 2e-4)[0].holds
    assert number("t", "2.30", 2.3049)[0].holds
    assert not number("t", "2.30", 2.3051)[0].holds


def test_a_likelihood_may_be_lower_than_the_print_but_not_higher():
    def holds(ours):
        return loglikelihood("-2 log likelihood", "100.00000000", ours, SAS)[0].holds

    assert holds(100.0 - 1.9e-5) and holds(100.0 + 0.9e-8)
    assert not holds(100.0 - 2.1e-5)
    assert not holds(100.0 + 2e-8)


def test_a_column_shows_its_worst_row_and_counts_all():
    (worst,) = column("x", ["1.0", "", "2.0"], np.array([1.01, 9.0, 2.2]), np.zeros(3))
    assert worst.count == 2 and not worst.holds
    assert "row 3" in worst.quantity


def test_a_number_beyond_its_tolerance_is_missed_unless_named():
    number_ = Number("x", "1.0", 2.0, 0.1, 0.1)
    assert number_.verdict == "MISSED"
    assert dataclasses.replace(number_, reason="known").verdict == "named"


def test_reasons_have_names_of_their_own():
    assert len({each.name for each in DEVIATIONS}) == len(DEVIATIONS)


# The command.


def test_the_command_prints_runs_and_counts(capsys):
    assert main(["certify", "--table", "model01"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^variance Subject +1375\.465318 +1375\.46531\d+ .* ok$", out, re.M)
    assert (
        "3 of 3 published numbers in 1 runs within their tolerance, 0 beyond it for a named reason, 0 missed"
        in out
    )


def test_a_wrong_number_is_shown_and_fails_the_command(capsys, monkeypatch):
    run = RUNS["model01"]
    wrong = {**run.record, "expected": {"minus2loglik": "1729.492561"}}
    monkeypatch.setattr(command, "published_runs", lambda: (dataclasses.replace(run, record=wrong),))
    assert main(["certify"]) == 1
    assert "MISSED" in capsys.readouterr().out


def test_the_list_fits_nothing_and_an_unknown_name_is_an_error(capsys, monkeypatch):
    monkeypatch.setattr(command, "compare", None)
    assert main(["certify", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(RUNS)
    assert main(["certify", "--table", "no such run"]) == 2
    assert "--list" in capsys.readouterr().err


# The page.


def test_the_page_names_every_difference_and_counts_every_run():
    page = (Path(__file__).resolve().parents[2] / "docs" / "repeated_measures.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- deviations:begin -->\n(.*?)<!-- deviations:end -->", page, re.S)[1]
    shown = {row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()[2:]}
    known = {each.name for run in RUNS.values() for each in deviations_of(run)}
    assert shown == known
    assert all(each.reason in table for run in RUNS.values() for each in deviations_of(run))
    counted = re.search(r"<!-- certify:begin -->\n(.*?)<!-- certify:end -->", page, re.S)[1].splitlines()[2:]
    assert sum(int(row.split(" | ")[1]) for row in counted) == len(RUNS)
    assert all(row.endswith(" | 0 |") for row in counted)
