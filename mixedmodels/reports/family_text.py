"""How the family of a fit and its parameters are shown."""

from __future__ import annotations

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family
from mixedmodels.reports.numbers import format_numbers, round_digits


def family_label(family: Family, phi: FloatArray) -> str:
    """Return the name of a family as lme4 shows it, ``Negative Binomial(3.55)`` with its parameter."""
    if family.name == "nbinom2" and len(phi) == 1:
        return f"Negative Binomial({format_numbers(round_digits(phi, 4))[0].strip()})"
    return family.name


def family_note(family: Family, phi: FloatArray) -> tuple[str, ...]:
    """Return a line on the parameters of the family; none if the label shows them."""
    if not len(phi) or family_label(family, phi) != family.name:
        return ()
    shown = [
        f"{name} {format_numbers([value], 4)[0].strip()}"
        for name, value in zip(family.phi_names, phi, strict=True)
    ]
    return (f"{family.name} family: {', '.join(shown)}",)
