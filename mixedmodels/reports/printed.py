"""Text that shows itself at the prompt."""

from __future__ import annotations


class Printed(str):
    r"""A string whose repr is its text, for tables that are read more often than used.

    Examples
    --------
    >>> Printed("two\nlines")
    two
    lines
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
