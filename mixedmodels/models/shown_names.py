"""Which names of a fitted model its user is shown: ``dir(m)``, ``m.<TAB>``."""

from __future__ import annotations

from collections.abc import Iterable

from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit

#: What tests, predictions and diagnostics read of a fit, with no accessor's labels: there, and not shown.
_OF_THE_FIT = """
    approximation b beta by_row call convention counted_parameters covariance_factor covariance_root
    data default_ddf default_type design drawn_phi effects estimates
    expected_information fitted_to has_likelihood has_structured_residuals hessian_covariance
    information_kind is_crossed is_least_squares is_linear_covariance is_quasi joint_covariance joint_system
    linear_predictor mean mean_information n_covariance_parameters normalized observed
    observed_covariance_information
    parameter_covariance phi prediction_variances prior_weights problem random random_scale relative_sd
    residual_estimates residual_problem residual_sd row_covariances row_information row_summary
    solution spherical statistic summed term_covariances test_df theta_values tied_problem unscaled_variances
    unscaled_vcov counted
    residual_covariance correlation cov_type fixed_scale group_information groups has_distribution n_groups
    options refuse_draws scores n_subjects whitened_rows with_design with_rows y
"""
OF_THE_FIT = frozenset(_OF_THE_FIT.split())


def shown_names(kind: type, names: Iterable[str]) -> list[str]:
    """Return those of its names that a user of such a model is shown.

    Parameters
    ----------
    kind : type
        Kind of model.
    names : iterable of str
        All names of such a model.
    """
    refused = {
        name
        for name, contract in (("dispersion", Fit), ("REMLcrit", MixedFit))
        if getattr(kind, name, None) is vars(contract)[name]
    }
    return sorted(set(names) - OF_THE_FIT - refused)
