"""Run all cases and references, or those whose id contains a text."""

from __future__ import annotations

from tests.conformance.cases import run_case
from tests.conformance.references import run_reference
from tests.conformance.result import Result
from tests.conformance.shared import conformance_cases, reference_fits, second_reference_fits


def run_conformance(only: str = "") -> list[Result]:
    """Run the conformance cases."""
    return [run_case(case) for case in conformance_cases() if only in case["id"]]


def run_references(only: str = "") -> list[Result]:
    """Run the reference fits."""
    return [run_reference(reference) for reference in reference_fits() if only in reference["id"]]


def run_second_references(only: str = "") -> list[Result]:
    """Run the reference fits of the second set by geepack, nlme and nlmer."""
    return [run_reference(reference) for reference in second_reference_fits() if only in reference["id"]]
