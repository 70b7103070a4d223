"""Short names for the margins of a printed correlation matrix, by R's rules.

R's documentation of ``abbreviate``: lower case vowels are removed starting from the right, then lower
case letters, then any character but the first of a word, until the name is short enough; where two
names become equal, those are abbreviated again to one more character.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

_Removable = Callable[[str, int], bool]


def _is_word_end(text: str, i: int) -> bool:
    return not text[i - 1].isspace() and (i + 1 == len(text) or text[i + 1].isspace())


def _is_word_start(text: str, i: int) -> bool:
    return text[i - 1].isspace()


def _is_vowel(text: str, i: int) -> bool:
    return text[i] in "aeiou"


def _is_lower(text: str, i: int) -> bool:
    return "a" <= text[i] <= "z"


_PASSES: tuple[_Removable, ...] = (
    lambda s, i: _is_vowel(s, i) and _is_word_end(s, i),
    lambda s, i: _is_vowel(s, i) and not _is_word_start(s, i),
    lambda s, i: _is_lower(s, i) and _is_word_end(s, i),
    lambda s, i: _is_lower(s, i) and not _is_word_start(s, i),
    lambda s, i: not _is_word_start(s, i) and not s[i].isspace(),
)


def _shorten(name: str, length: int) -> str:
    """Remove characters from the right, pass by pass, until `length` remain besides blanks."""
    if len(name) < length:
        return name
    blanks = sum(c.isspace() for c in name)
    for removable in _PASSES:
        for i in range(len(name) - 1, 0, -1):
            if len(name) - blanks <= length:
                break
            if removable(name, i):
                name = name[:i] + name[i + 1 :]
    return "".join(c for c in name if not c.isspace()) if len(name) > length else name


def abbreviate(names: Sequence[str], minlength: int) -> list[str]:
    """Return unique short forms of unique `names`, at least `minlength` characters where the name has them.

    Examples
    --------
    >>> abbreviate(["(Intercept)", "period2", "period3"], 6)
    ['(Intr)', 'perid2', 'perid3']
    """
    full = {name: name.strip(" ") for name in names}
    short: dict[str, str] = {}
    pending = list(full.values())
    while pending:
        short.update({name: _shorten(name, minlength) for name in pending})
        counts = Counter(short.values())
        pending = [name for name, text in short.items() if counts[text] > 1]
        minlength += 1
    return [short[full[name]] for name in names]
