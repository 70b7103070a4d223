"""Principal components of random effects, beside lme4's rePCA and their definition."""

import numpy as np
import pytest

import mixedmodels as mm


def test_as_lme4(fitted):
    """lme4 1.1-31: rePCA(lmer(Reaction ~ Days + (Days | Subject), sleepstudy))."""
    found = mm.rePCA(fitted("sleepstudy"))["Subject"]
    np.testing.assert_allclose(found.sdev, [0.9668680, 0.2308798], rtol=2e-5)
    np.testing.assert_allclose(
        np.abs(found.rotation), np.abs([[0.99986158, 0.01663769], [0.01663769, 0.99986158]]), atol=2e-6
    )
    assert "Proportion of Variance 0.9460 0.05395" in repr(found)


@pytest.mark.parametrize("name", ["machines", "sleepstudy_double_bar", "pastes", "cbpp", "cake_large"])
def test_components_are_those_of_the_covariance(name, fitted):
    m = fitted(name)
    found = mm.rePCA(m)
    assert set(found) == set(m.ngrps())
    for group, components in found.items():
        own = [
            record for term, record in zip(m.random, m.term_covariances(), strict=True) if term.group == group
        ]
        values = np.concatenate([np.linalg.eigvalsh(record.covariance) for record in own])
        expected = np.sqrt(np.maximum(np.sort(values)[::-1], 0.0)) / m.random_scale
        np.testing.assert_allclose(components.sdev, expected, atol=1e-6)
        np.testing.assert_allclose(components.importance.iloc[2, -1], 1.0)


def test_a_variance_of_zero_has_no_shares(fitted):
    found = mm.rePCA(fitted("dyestuff2"))
    assert found["Batch"].sdev[0] == 0.0
    assert "NA" in repr(found)


def test_no_random_effects(fitted):
    with pytest.raises(mm.NotAvailableError, match="random effects"):
        mm.rePCA(fitted("cbpp_glm"))
