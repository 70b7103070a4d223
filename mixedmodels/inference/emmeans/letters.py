"""Compact letter displays: means that share a symbol are not told apart by the tests."""

from __future__ import annotations

from mixedmodels.arrays import BoolArray

# As emmeans: digits first, so that they are not read as levels.
SYMBOLS = "1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def letter_groups(differ: BoolArray) -> list[set[int]]:
    """Return sets of means, two of which share a set if and only if they do not differ.

    Insert and absorb (Piepho 2004, J. Comput. Graph. Statist. 13): a set that holds two that differ is split
    into one without the first and one without the second, and sets within others go.

    Parameters
    ----------
    differ : bool ndarray, shape (k, k)
        Which pairs of means differ significantly; symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> letter_groups(np.array([[False, False, True], [False, False, False], [True, False, False]]))
    [{0, 1}, {1, 2}]
    """
    k = len(differ)
    groups: list[set[int]] = [set(range(k))]
    for i in range(k):
        for j in range(i + 1, k):
            if differ[i, j]:
                groups = _absorbed([part for group in groups for part in _split(group, i, j)])
    return sorted(groups, key=sorted)


def _split(group: set[int], i: int, j: int) -> list[set[int]]:
    return [group - {j}, group - {i}] if {i, j} <= group else [group]


def _absorbed(groups: list[set[int]]) -> list[set[int]]:
    """Return the sets that lie within no other, each once."""
    distinct = [group for n, group in enumerate(groups) if group not in groups[:n]]
    return [group for group in distinct if not any(group < other for other in distinct)]


def letters(differ: BoolArray, symbols: str = SYMBOLS) -> list[str]:
    """Return the symbols of each mean, those that it does not have left blank."""
    groups = letter_groups(differ)
    marks = [symbols[n] if n < len(symbols) else f"({n + 1})" for n in range(len(groups))]
    return [
        "".join(mark if mean in group else " " * len(mark) for mark, group in zip(marks, groups, strict=True))
        for mean in range(len(differ))
    ]
