"""What differs between the dialects of SQL that queries are written in."""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.errors import DataError, listed


@dataclass(frozen=True, slots=True)
class Dialect:
    """A dialect of SQL.

    Attributes
    ----------
    name : str
        Its name.
    double : str
        The type of 64-bit floats.
    quote : str
        The quotation mark of names.
    has_backslashes : bool
        Whether a backslash in text stands for something else.
    is_nan : str
        The condition that a number is NaN, with ``{}`` in place of the number.
    """

    name: str
    double: str
    quote: str
    has_backslashes: bool
    is_nan: str

    def identifier(self, name: str) -> str:
        """Return the name of a column, quoted."""
        doubled = f"\\{self.quote}" if self.name == "bigquery" else self.quote * 2
        return f"{self.quote}{name.replace(self.quote, doubled)}{self.quote}"

    def text(self, value: str) -> str:
        """Return a text as a literal."""
        if self.has_backslashes:
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return "'" + value.replace("'", "''") + "'"

    def literal(self, value: object) -> str:
        """Return a level of a factor as a literal."""
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        return self.text(value) if isinstance(value, str) else repr(value)

    def number(self, value: float) -> str:
        """Return a number as a literal of a float, not of a decimal with few places."""
        text = f"{float(value)!r}"
        return text if "e" in text else f"{text}e0"

    def as_double(self, expression: str) -> str:
        """Return an expression as a 64-bit float."""
        return f"CAST({expression} AS {self.double})"


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("duckdb", "DOUBLE", '"', False, "isnan({})"),
        Dialect("spark", "DOUBLE", "`", True, "isnan({})"),
        Dialect("postgres", "DOUBLE PRECISION", '"', False, "{} = 'NaN'"),
        Dialect("bigquery", "FLOAT64", "`", True, "IS_NAN({})"),
    )
}


def dialect_named(name: object) -> Dialect:
    """Return a dialect.

    Raises
    ------
    DataError
        If there is none of this name.
    """
    if isinstance(name, str) and name in DIALECTS:
        return DIALECTS[name]
    raise DataError(f"dialect must be one of {listed(map(repr, DIALECTS))}, not {name!r}")
