"""What a notebook shows of a text: its tables as tables, the lines around them as paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: Line between a table and the legend below it, which tables in a notebook do without.
RULE = "---"
#: Letters from which on a cell is a sentence, and may be broken.
SENTENCE = 40
#: How R marks the head of a part, ``$Subject`` in a list, ``# R2`` in its package performance.
_HEAD_MARKS = "$# "
#: Where a terminal's line was broken between an opening bracket and what follows, without a blank.
_BROKEN_AFTER_BRACKET = re.compile(r"(?<=\[)\n")
_NUMBER = re.compile(r"[<>=~]?\s*[-+]?(\d[\d.,]*|\.\d+)(e[-+]?\d+)?%?|NA|NaN|-?Inf|nonEst|", re.IGNORECASE)
#: Lines and colours are those of the page around, light or dark.
STYLE = (
    ".mixedmodels{overflow-x:auto}"
    ".mixedmodels p{margin:.5em 0}"
    ".mixedmodels p.head{font-weight:600;margin:.8em 0 .2em}"
    ".mixedmodels p.legend{font-size:85%;opacity:.75}"
    ".mixedmodels table{border-collapse:collapse;border:0;border-top:1px solid;border-bottom:1px solid;"
    "margin:.2em 0 .5em;width:auto;font-size:inherit;font-variant-numeric:tabular-nums}"
    ".mixedmodels table tr,.mixedmodels table td,.mixedmodels table th{background:none;color:inherit}"
    ".mixedmodels td,.mixedmodels th{border:0;padding:.15em .7em;white-space:nowrap;vertical-align:baseline}"
    ".mixedmodels td.sentence{white-space:normal;max-width:45em}"
    ".mixedmodels thead th{border-bottom:1px solid;font-weight:600}"
    ".mixedmodels tbody th{font-weight:400}"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as a terminal shows it, and what it is made of.

    Attributes
    ----------
    text : str
        The lines of a terminal.
    cells : tuple of tuple of str
        The cells, row by row; blanks around them are padding.
    rows, columns : tuple of str
        The margins.
    """

    text: str
    cells: tuple[tuple[str, ...], ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]


def html(parts: Sequence[str | Table]) -> str:
    """Return lines and tables as HTML.

    Parameters
    ----------
    parts : sequence of str or Table
        An empty line ends a paragraph; a line directly above a table is its head if it stands alone or
        ends with a colon. A line that holds line breaks was broken for the terminal only.

    Examples
    --------
    >>> html(["a < b", "c"]).partition("</style>")[2]
    '<p>a &lt; b<br>c</p></div>'
    """
    found: list[str] = []
    lines: list[str] = []
    for part in (*parts, ""):
        if isinstance(part, Table):
            found += [*_paragraphs_above(lines), _table(part)]
        elif part.strip() and not _is_head(part):
            lines.append(part)
            continue
        else:
            found += _paragraph(lines)
            found += [_head(part)] if part.strip() else []
        lines = []
    return f'<div class="mixedmodels"><style>{STYLE}</style>{"".join(found)}</div>'


def _is_head(line: str) -> bool:
    return line[0] in _HEAD_MARKS[:2]


def _head(line: str) -> str:
    return f'<p class="head">{_text(line.strip().lstrip(_HEAD_MARKS).removesuffix(":"))}</p>'


def _paragraphs_above(lines: Sequence[str]) -> list[str]:
    """Return the lines above a table, the last of them as its head where it is one."""
    if lines and (len(lines) == 1 or lines[-1].rstrip().endswith(":")):
        return [*_paragraph(lines[:-1]), _head(lines[-1])]
    return _paragraph(lines)


def _paragraph(lines: Sequence[str]) -> list[str]:
    """Return lines as one paragraph, after a legend where they begin with a rule."""
    if lines and lines[0] == RULE:
        return [f'<p class="legend">{_text(line)}</p>' for line in lines[1:2]] + _paragraph(lines[2:])
    return [f"<p>{'<br>'.join(_text(line) for line in lines)}</p>"] if lines else []


def _table(table: Table) -> str:
    """Return a table, numbers on the right and words on the left, without margins that are empty."""
    aligned = [_align([row[j] for row in table.cells]) for j in range(len(table.columns))]
    has_labels = any(table.rows)
    heads = [f"<th{a}>{_text(name)}</th>" for a, name in zip(aligned, table.columns, strict=True)]
    top = ["<th></th>"] * has_labels + heads
    lines = [f"<thead><tr>{''.join(top)}</tr></thead>"] if any(table.columns) else []
    lines.append("<tbody>")
    for label, row in zip(table.rows, table.cells, strict=True):
        first = [f'<th scope="row" style="text-align:left">{_text(label)}</th>'] * has_labels
        cells = [_cell(text, a) for text, a in zip(row, aligned, strict=True)]
        lines.append(f"<tr>{''.join(first + cells)}</tr>")
    return f"<table>{''.join(lines)}</tbody></table>"


def _align(cells: Sequence[str]) -> str:
    """Return how a column is aligned: numbers have as many decimals each and stand on the right."""
    is_number = all(_NUMBER.fullmatch(cell.strip()) for cell in cells) and any(c.strip() for c in cells)
    return f' style="text-align:{"right" if is_number else "left"}"'


def _cell(text: str, align: str) -> str:
    kind = ' class="sentence"' if len(text) > SENTENCE else ""
    return f"<td{kind}{align}>{_text(text)}</td>"


def _text(text: str) -> str:
    text = " ".join(_BROKEN_AFTER_BRACKET.sub("", text).split())
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
