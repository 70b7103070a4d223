"""The conditional AIC of generalized models by refits, against lme4's fits and by differences written out."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference import conditional_aic_refits as module
from mixedmodels.inference.conditional_aic import conditional_aic
from mixedmodels.inference.conditional_aic_refits import edf_by_refits

DATA = pd.DataFrame({
    "x": np.round(np.sin(np.arange(1, 37)), 2),
    "g": np.repeat(np.arange(1, 7), 6),
    "count": [int(digit) for digit in "201312547362010021322514836594110203"],
    "one": [int(digit) for digit in "101101111011001000101100111101010010"],
})  # fmt: skip

# lme4 1.1 (glmer, bobyqa with rhoend = 1e-9, tolPwrss = 1e-12), each refit started from the fit:
#   for (i in which(count > 0)) { y <- count; y[i] <- y[i] - 1
#     bc <- bc + count[i] * (log(fitted(m))[i] - log(fitted(pois(y))[i])) }
#   for (i in 1:36) { y <- one; y[i] <- 1 - y[i]
#     bc <- bc + mu[i] * (1 - mu[i]) * (1 - 2 * one[i]) * (qlogis(fitted(bern(y))[i]) - qlogis(mu[i])) }
OF_LME4 = {"count": (6.46566957, -58.52852644), "one": (5.41761174, -20.57369566)}
LME4_DIGITS = 2e-6


def fit(response, data=DATA, **arguments):
    family = "poisson" if response == "count" else "binomial"
    return mm.glmer(f"{response} ~ x + (1 | g)", data, family=family, **arguments)


@pytest.mark.parametrize("response", ["count", "one"])
def test_against_fits_of_lme4(response):
    edf, loglik = OF_LME4[response]
    found = conditional_aic(m := fit(response), by_refits=True)
    assert found.edf == pytest.approx(edf, rel=LME4_DIGITS)
    assert found.loglik == pytest.approx(loglik, rel=LME4_DIGITS)
    assert found.caic == pytest.approx(2.0 * (edf - loglik), rel=LME4_DIGITS)
    # Estimating theta costs degrees of freedom.
    assert found.edf > conditional_aic(m).edf + 0.2


def test_the_table_says_which_penalty_it_has():
    m = fit("count")
    known, refits = mm.compare(m), mm.compare(m, caic="refits")
    assert "(cAIC of generalized models takes theta as known)" in repr(known)
    assert "(cAIC of generalized models by refits, theta estimated in each)" in repr(refits)
    assert refits["edf"].iloc[0] == pytest.approx(edf_by_refits(m), rel=1e-12)
    assert refits["AIC"].iloc[0] == known["AIC"].iloc[0]
    linear = mm.lmer("count ~ x + (1 | g)", DATA, REML=False)
    assert "cAIC of" not in repr(mm.compare(linear))


def test_other_links_are_carried_to_the_natural_parameter():
    m = mm.glmer("one ~ x + (1 | g)", DATA, family=mm.binomial(link="probit"))
    total = 0.0
    for i in range(len(DATA)):
        ends = []
        for value in (0.0, 1.0):
            y = DATA["one"].to_numpy(dtype=float)
            y[i] = value
            mu = m.refit(y).mean[i] if value != DATA["one"][i] else m.mean[i]
            ends.append(np.log(mu / (1.0 - mu)))
        total += m.mean[i] * (1.0 - m.mean[i]) * (ends[1] - ends[0])
    assert edf_by_refits(m) == pytest.approx(total, rel=1e-6)


def test_equal_rows_are_refitted_once_and_count_each(monkeypatch):
    data = DATA.assign(x=(DATA["x"] > 0) * 1.0)
    m = fit("count", data)
    rows, counts = module._distinct_rows(m)
    assert counts.sum() == len(data) and len(rows) < len(data)
    together = edf_by_refits(m)
    monkeypatch.setattr(module, "_distinct_rows", lambda fit: (np.arange(len(fit.y)), np.ones(len(fit.y))))
    assert edf_by_refits(m) == pytest.approx(together, rel=1e-7)


def test_where_there_is_no_such_penalty():
    cbpp = mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mm.load_dataset("cbpp"), "binomial"
    )
    with pytest.raises(mm.NotAvailableError, match="binomial with several trials; caic='known theta'"):
        mm.compare(cbpp, caic="refits")
    gamma = mm.glmer("count ~ x + (1 | g)", DATA.assign(count=DATA["count"] + 0.5), family=mm.Gamma("log"))
    with pytest.raises(mm.NotAvailableError, match="Poisson models and of responses of zeros and ones"):
        mm.compare(gamma, caic="refits")
    weighted = fit("count", DATA.assign(w=2.0), weights="w")
    with pytest.raises(mm.NotAvailableError, match="rows of weight one"):
        mm.compare(weighted, caic="refits")
    with pytest.raises(mm.ControlError, match="caic"):
        mm.compare(cbpp, caic="exact")
