"""What every check returns: a record that prints itself as a sentence or two."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from mixedmodels.reports.numbers import format_p_values
from mixedmodels.reports.page import html_of

#: A test is taken to speak against a model below this.
SIGNIFICANT = 0.05


class Check:
    """A check of a fitted model."""

    __slots__ = ()

    @property
    @abstractmethod
    def is_fine(self) -> bool | None:
        """Whether nothing speaks against the model; None where the check cannot tell."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What was found, with its numbers."""

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def fine(p_value: float) -> bool | None:
    """Return whether a test does not reject; None where there is no p-value."""
    return None if np.isnan(p_value) else bool(p_value >= SIGNIFICANT)


def p_text(p_value: float) -> str:
    """Return a p-value as in a sentence: ``p = 0.012``."""
    text = format_p_values([p_value], 3)[0].strip()
    return f"p {text}" if text.startswith("<") else f"p = {text}"
