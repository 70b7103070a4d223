"""The text of the queries of sums: the steps from a table to the columns of a design, and what is summed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mixedmodels.formula.design.chunks import StreamDesign
from mixedmodels.sql.columns import ONE, SqlColumns, product
from mixedmodels.sql.dialects import Dialect

#: The name of the query of all rows.
TOTAL = "all rows"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows are.

    Attributes
    ----------
    dialect : Dialect
        The dialect.
    table : str
        The table.
    centre : dict
        Column of the query -> number that it is measured from, for those of which it is given.
    """

    dialect: Dialect
    table: str
    centre: dict[str, float]


@dataclass(frozen=True, slots=True)
class Symbols:
    """Names of the columns of the design in the queries.

    Attributes
    ----------
    U : tuple of str
        Fixed effects and response; the first is the number 1 where it is constant.
    own : tuple of tuple of str
        Columns of each grouping factor.
    is_shared : tuple of bool
        Whether they are the first of U.
    """

    U: tuple[str, ...]
    own: tuple[tuple[str, ...], ...]
    is_shared: tuple[bool, ...]

    def moved(self, design: StreamDesign) -> list[str]:
        """Return the columns that are measured from a centre, which a constant column before them allows."""
        found = list(self.U[1:]) if design.fixed.intercept else []
        for group, own, shared in zip(design.groups, self.own, self.is_shared, strict=True):
            if group.has_ones and not shared:
                found += own[1:]
        return found


def symbols(columns: SqlColumns, design: StreamDesign) -> Symbols:
    """Return the names of the columns of a design."""
    U = _names("u", columns.U)
    own = tuple(
        U[: len(group.columns)] if Z is None else _names(f"z{g + 1}_", Z)
        for g, (group, Z) in enumerate(zip(design.groups, columns.Z, strict=True))
    )
    return Symbols(U, own, tuple(Z is None for Z in columns.Z))


def _names(letter: str, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(ONE if text == ONE else f"{letter}{k + 1}" for k, text in enumerate(columns))


def upper_pairs(own: Sequence[str], U: Sequence[str], is_shared: bool) -> list[tuple[str, str]]:
    """Return the pairs of columns that are summed by levels, in the order of the columns of the result."""
    pairs = [(a, b) for i, a in enumerate(own) for b in U[i if is_shared else 0 :]]
    if not is_shared:
        pairs += [(a, b) for i, a in enumerate(own) for b in own[i:]]
    return pairs


def query_texts(design: StreamDesign, columns: SqlColumns, source: Source) -> dict[str, str]:
    """Return the queries by name."""
    named = symbols(columns, design)
    moved = named.moved(design)
    start = _steps(columns, named, moved, source)
    texts = {TOTAL: start + _total(columns, named, moved)}

    def by_levels(keys: Sequence[str], pairs: Iterable[tuple[str, str]]) -> str:
        names = [f"{source.dialect.identifier(f'{key}_raw')}" for key in dict.fromkeys(keys)]
        sums = [_sum(columns.weights, *pair) for pair in pairs]
        return start + _select([*names, *_numbered(sums)]) + f"\nGROUP BY {', '.join(names)}"

    for g, group in enumerate(design.groups):
        pairs = upper_pairs(named.own[g], named.U, named.is_shared[g])
        texts[f"by {group.name}"] = by_levels(columns.groups[g], pairs)
    for b, second in enumerate(design.groups):
        for a, first in enumerate(design.groups[:b]):
            products = [(x, y) for x in named.own[a] for y in named.own[b]]
            keys = (*columns.groups[a], *columns.groups[b])
            texts[f"by {first.name} and {second.name}"] = by_levels(keys, products)
    return texts


def _select(what: Sequence[str]) -> str:
    return "SELECT " + ",\n  ".join(what) + "\nFROM centred"


def _numbered(sums: Iterable[str]) -> list[str]:
    return [f"{text} AS s{k + 1}" for k, text in enumerate(sums)]


def _sum(weights: str | None, *columns: str) -> str:
    """Return the sum of a product."""
    text = product(*columns, *([] if weights is None else [weights]))
    return "count(*)" if text == ONE else f"sum({text})"


def _total(columns: SqlColumns, named: Symbols, moved: Sequence[str]) -> str:
    """Return what is summed over all rows: counts, weights, faults, centres and products."""
    w = columns.weights
    counts = ["(SELECT count(*) FROM chosen)", "count(*)"]
    if w is None:
        counts += ["count(*)", "count(*)", "0"]
    else:
        counts += [f"sum(CASE WHEN {w} > 0 THEN 1 ELSE 0 END)", f"sum({w})"]
        counts += [f"sum(CASE WHEN {w} > 0 THEN ln({w}) ELSE 0 END)"]
    faults = [f"sum(fault{k + 1})" for k in range(len(columns.faults))]
    centres = [f"min(c{name})" for name in moved]
    products = [_sum(w, a, b) for a, b in upper_pairs(named.U, named.U, True)]
    return _select(_numbered([*counts, *faults, *centres, *products]))


def _steps(columns: SqlColumns, named: Symbols, moved: Sequence[str], source: Source) -> str:
    """Return the steps from the table to columns that are measured from their centres."""
    dialect, expressions = source.dialect, columns.expressions
    raws = [dialect.identifier(f"{name}_raw") for name in expressions.raws]
    values = [dialect.identifier(f"{name}_value") for name in expressions.values]
    keys = dict.fromkeys(name for own in columns.groups for name in own)
    complete = [*columns.variables, *(dialect.identifier(f"{key}_raw") for key in keys)]
    flags = [f"fault{k + 1}" for k in range(len(columns.faults))]
    kept = [*raws, *flags, *([columns.weights] if columns.weights else [])]
    made = _design_columns(columns, named)
    middles = {f"c{name}": _centre(name, source) for name in moved}
    shifted = [f"{name} - c{name} AS {name}" if name in moved else name for name in made]
    steps = (
        ("table_columns", _read(expressions.raws, expressions.values, dialect), source.table),
        ("chosen", ["*"], "table_columns" + (f"\n  WHERE {columns.subset}" if columns.subset else "")),
        ("variables", [*raws, *values, *_as(columns.variables)], "chosen"),
        (
            "complete",
            ["*", *_as(dict(zip(flags, map(_flag, columns.faults.values()), strict=True)))],
            "variables\n  WHERE " + "\n    AND ".join(f"{name} IS NOT NULL" for name in complete),
        ),
        ("design", [*kept, *_as({name: dialect.as_double(text) for name, text in made.items()})], "complete"),
        ("centres", _as(middles) or ["count(*) AS c0"], "design"),
        ("centred", [*kept, *shifted, *(f"c{name}" for name in moved)], "design CROSS JOIN centres"),
    )  # fmt: skip
    return "WITH " + ",\n".join(_step(*step) for step in steps) + "\n"


def _flag(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def _step(name: str, what: Sequence[str], source: str) -> str:
    listed = ",\n    ".join(what)
    return f"{name} AS (\n  SELECT {listed}\n  FROM {source}\n)"


def _as(columns: dict[str, str]) -> list[str]:
    return [f"{text} AS {name}" for name, text in columns.items()]


def _design_columns(columns: SqlColumns, named: Symbols) -> dict[str, str]:
    """Return the columns of the design that are not constant, by name."""
    made = dict(zip(named.U, columns.U, strict=True))
    for own, Z in zip(named.own, columns.Z, strict=True):
        made |= {} if Z is None else dict(zip(own, Z, strict=True))
    return {name: text for name, text in made.items() if name != ONE}


def _read(raws: Iterable[str], values: Iterable[str], dialect: Dialect) -> list[str]:
    """Return the columns of the table, NaN as NULL in those that are numbers."""
    found = [f"{dialect.identifier(n)} AS {dialect.identifier(f'{n}_raw')}" for n in raws]
    for name in values:
        number = dialect.as_double(dialect.identifier(name))
        clean = f"CASE WHEN NOT ({dialect.is_nan.format(number)}) THEN {number} END"
        found.append(f"{clean} AS {dialect.identifier(f'{name}_value')}")
    return found


def _centre(name: str, source: Source) -> str:
    """Return what a column is measured from; least and largest are the same in whatever order rows come."""
    if name in source.centre:
        return f"min({source.dialect.number(source.centre[name])})"
    return f"min({name}) / 2 + max({name}) / 2"
