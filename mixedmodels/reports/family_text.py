"""How the family of a fit and its parameters are shown."""

from __future__ import annotations

from mixedmodels.arrays import FloatArray
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import ModelledDispersion
from mixedmodels.reports.numbers import format_numbers, round_digits


def family_label(family: Family, phi: FloatArray) -> str:
    """Return the name of a family as lme4 shows it, ``Negative Binomial(3.55)`` with its parameter."""
    if family.name == "nbinom2" and family.phi_names == ("theta",):
        return f"Negative Binomial({format_numbers(round_digits(phi, 4))[0].strip()})"
    return family.name


def family_note(family: Family, phi: FloatArray, names: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Return a line on the parameters of the family, or some; none if label or coefficients show them."""
    if not len(phi) or family_label(family, phi) != family.name:
        return ()
    if isinstance(family, ModelledDispersion):
        return family_note(family.base, phi[len(family.names) :], family.base.phi_names[1:])
    shown = [
        f"{name} {format_numbers([value], 4)[0].strip()}"
        for name, value in zip(family.phi_names if names is None else names, phi, strict=True)
    ]
    return (f"{family.name} family: {', '.join(shown)}",)
