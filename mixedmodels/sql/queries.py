"""The queries by which a database makes the sums of a linear mixed model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixedmodels.advice import advises
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.design.chunks import StreamRequest
from mixedmodels.sql.columns import sql_columns
from mixedmodels.sql.dialects import dialect_named
from mixedmodels.sql.layout import Layout, design_column_names, layout, sql_request
from mixedmodels.sql.texts import Source, query_texts


@dataclass(frozen=True, slots=True)
class MomentQueries(Mapping[str, str]):
    """Queries by name, in the order in which :meth:`Moments.from_sql` takes what they return.

    Attributes
    ----------
    request : StreamRequest
        What is asked for.
    levels : mapping
        Values of the columns that are factors.
    faults : tuple of str
        What a row can have that is refused, in the order of the columns that count it.
    texts : dict
        Query -> its text.
    """

    request: StreamRequest
    levels: Mapping[str, Any]
    faults: tuple[str, ...]
    texts: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __str__(self) -> str:
        return "\n\n".join(f"-- {name}\n{text};" for name, text in self.texts.items())

    def __repr__(self) -> str:
        return f"Queries of the sums of {self.request.formula}: {listed(map(repr, self.texts))}"


@advises
def moments_sql(
    formula: str,
    table: str,
    *,
    dialect: str = "duckdb",
    levels: Mapping[str, Any] | None = None,
    weights: str | None = None,
    offset: str | None = None,
    subset: str | None = None,
    contrasts: Mapping[str, Any] | None = None,
    centre: Mapping[str, float] | None = None,
) -> MomentQueries:
    """Write the queries by which a database sums what a linear mixed model needs to know of its rows.

    There is one query of all rows, one by the levels of each grouping factor and one by the pairs of levels
    of every two. What they return goes to :meth:`Moments.from_sql`.

    Parameters
    ----------
    formula : str
        lme4 formula. Variables may be columns, sums, products, ratios, powers, comparisons, `I`, `log`,
        `log2`, `log10`, `exp`, `sqrt`, `abs`, `floor`, `ceiling` and `ifelse`; grouping factors whatever
        :func:`moments` takes.
    table : str
        The table as SQL names it, ``"trials"`` or ``"lab.trials"``, or a query in parentheses.
    dialect : {"duckdb", "spark", "postgres", "bigquery"}
        The dialect.
    levels : mapping, optional
        All levels of every factor outside of the grouping factors, ``{"f": ["a", "b", "c"]}``, in their
        order. Columns without levels are numbers.
    weights, offset, subset : str, optional
        A column or an expression of columns, as for :func:`lmer`.
    contrasts : mapping, optional
        As for :func:`lmer`.
    centre : mapping, optional
        Numbers that columns are measured from, by the names of the fixed effects and of the response; by
        default the middle between the least and the largest.

    Returns
    -------
    MomentQueries
        A mapping from names to texts.

    Raises
    ------
    FormulaError, DataError
        If SQL has no counterpart of an expression, or the levels of a factor are not given.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> queries = mm.moments_sql("Reaction ~ Days + (Days | Subject)", "sleepstudy")
    >>> list(queries)
    ['all rows', 'by Subject']
    """
    chosen = dialect_named(dialect)
    request = sql_request(formula, contrasts, weights, offset, subset)
    found = layout(request, levels or {}, {})
    columns = sql_columns(found, chosen)
    given = _centre_of_columns(found, centre or {})
    texts = query_texts(found.design, columns, Source(chosen, table, given))
    return MomentQueries(request, dict(levels or {}), tuple(columns.faults), texts)


def _centre_of_columns(found: Layout, centre: Mapping[str, float]) -> dict[str, float]:
    """Return the given centres by the names of columns in the query.

    Raises
    ------
    DataError
        If a name is none of a column.
    """
    names = design_column_names(found.design)
    for name in centre:
        if name not in names:
            raise DataError(f"centre= names {name!r}; columns are {listed(map(repr, names))}")
    return {f"u{k + 1}": float(centre[name]) for k, name in enumerate(names) if name in centre}
