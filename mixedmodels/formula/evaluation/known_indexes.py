"""What was read off indexes of pandas not long ago.

An Index never changes, and frames made from one another share theirs: the names that a loop of fits to such
frames asks for again and again, as Python's own strings, are at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import pandas as pd

T = TypeVar("T")

#: How many indexes are remembered, and the longest: what is kept of them stays small.
FEW, LONGEST = 8, 1000


class Remembered(Generic[T]):
    """A function of an Index that remembers its last values.

    Parameters
    ----------
    read : callable
        The function.

    Examples
    --------
    >>> names = Remembered(lambda index: tuple(index))
    >>> frame = pd.DataFrame({"x": [1.0], "y": [2.0]})
    >>> names.of(frame.columns) is names.of(frame[:].columns)
    True
    """

    def __init__(self, read: Callable[[pd.Index], T]) -> None:
        self._read = read
        self._known: tuple[tuple[pd.Index, T], ...] = ()

    def of(self, index: pd.Index) -> T:
        """Return the value for an index."""
        for known, value in self._known:
            if index.is_(known):
                return value
        value = self._read(index)
        if len(index) <= LONGEST:
            self._known = ((index, value), *self._known[: FEW - 1])
        return value
