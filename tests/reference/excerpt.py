"""Make the excerpts in this folder from the shared reference fits: ``python -m tests.reference.excerpt``.

The fits themselves were made in R by ``reflib.R``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.shared import reference_fits

FOLDER = Path(__file__).parent
# A fit of each kind: small, so that the excerpts stay small.
IDS = (
    "anova_pastes",
    "cake_nested_ml",
    "cbpp2_probit_agq",
    "cbpp_laplace",
    "cbpp_nagq9",
    "cbpp_obs",
    "culcita_cloglog",
    "dyestuff_ml",
    "dyestuff_reml",
    "ergostool_reml",
    "glm_budworm_probit",
    "glm_toxo_cubic_quasi",
    "gopher_offset_singular",
    "gopher_sqrt",
    "machines_nested_reml",
    "mmmec_weights",
    "oats_contrasts_ml",
    "orthodont_corr_reml",
    "oxide_reml",
    "pastes_slash",
    "penicillin_reml",
    "petrol_offset_reml",
    "pql_seeds",
    "pump_laplace",
    "rats_linear_reml",
    "sleepstudy_corr_ml",
    "sleepstudy_corr_reml",
    "sleepstudy_rankdef_reml",
    "sleepstudy_two_terms_ml",
    "sleepstudy_weights_reml",
    "toxo_cubic_laplace",
    "toxo_linear_agq25",
)
KEEP = ("id", "engine", "tags", "data", "model", "versions", "results")
DROP = {
    "VarCorr_rows",
    "anova",
    "coef_table",
    "conditional_deviance",
    "cooks_distance",
    "devcomp",
    "hatvalues",
    "linear_predictor",
    "rePCA",
    "residuals",
    "vcov",
    "vcov_numeric_hessian",
    "glmmPQL_default",
    "pql_stopped_at_1e6",
}


def excerpt(reference: dict[str, Any]) -> dict[str, Any]:
    """Return the blocks that the test compares."""
    kept = {key: reference[key] for key in KEEP}
    kept["results"] = {key: block for key, block in kept["results"].items() if key not in DROP}
    return kept


def main() -> None:
    """Write one file a fit."""
    for reference in reference_fits():
        if reference["id"] in IDS:
            text = json.dumps(excerpt(reference), separators=(",", ":"))
            (FOLDER / f"{reference['id']}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
