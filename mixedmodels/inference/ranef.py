"""The result of ``ranef(m)``: conditional modes of the random effects with their variances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.reports.page import Page, frame_table, html_of


class RandomEffects(Mapping[str, pd.DataFrame]):
    """Conditional modes of the random effects, one table per grouping factor.

    A mapping from the name of a grouping factor to a DataFrame with one row per level and one column
    per coefficient; terms on the same factor share one table.

    Parameters
    ----------
    terms : sequence of RandomTerm
        Random-effects terms.
    b : sequence of ndarray, each (q, S)
        Conditional modes, by term.
    covariances : sequence of ndarray, each (q, S, S)
        Conditional covariances of each level, by term.

    Attributes
    ----------
    condvar : dict of str to ndarray, each (q, S, S)
        Conditional covariance matrices by label of the term.
    condsd : dict of str to DataFrame
        Conditional standard deviations, laid out as the modes.
    """

    def __init__(
        self,
        terms: Sequence[RandomTerm],
        b: Sequence[FloatArray],
        covariances: Sequence[FloatArray],
    ) -> None:
        sds = [np.sqrt(np.maximum(np.einsum("qss->qs", V), 0.0)) for V in covariances]
        self._tables = tables_by_group(terms, b)
        self.condsd = tables_by_group(terms, sds)
        self.condvar = {term.label: V for term, V in zip(terms, covariances, strict=True)}

    def __getitem__(self, group: str) -> pd.DataFrame:
        """Return the table of one grouping factor."""
        if group not in self._tables:
            raise KeyError(f"no grouping factor {group!r}; grouping factors are {', '.join(self._tables)}")
        return self._tables[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def to_frame(self) -> pd.DataFrame:
        """Return the long form, as R's ``as.data.frame(ranef(m))``.

        Returns
        -------
        DataFrame
            Columns grpvar, term, grp, condval, condsd; within a factor term by term.
        """
        parts = []
        for group, table in self._tables.items():
            q, columns = len(table), list(table.columns)
            parts.append(
                pd.DataFrame(
                    {
                        "grpvar": group,
                        "term": np.repeat(np.array(columns, dtype=object), q),
                        "grp": np.tile(np.array(table.index, dtype=object), len(columns)),
                        "condval": table.to_numpy().ravel(order="F"),
                        "condsd": self.condsd[group].to_numpy().ravel(order="F"),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def __repr__(self) -> str:
        blocks = [part for g, t in self._tables.items() for part in (f"${g}", frame_table(str(t), t), "")]
        names = " ".join(f"“{group}”" for group in self._tables)
        return Page([*blocks, f"with conditional variances for {names}"])

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def coefficients_by_group(fixed: pd.Series, random: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return fixed plus random effects of each level, columns without a fixed effect first as in lme4.

    Parameters
    ----------
    fixed : Series
        Fixed effects.
    random : mapping of str to DataFrame
        Conditional modes by grouping factor, as :func:`tables_by_group` lays them out.
    """
    tables = {}
    for group, table in random.items():
        only_random = [c for c in table.columns if c not in fixed.index]
        columns = [*only_random, *fixed.index]
        total = table.T.groupby(level=0).sum().T.reindex(columns=columns, fill_value=0.0)
        tables[group] = total + fixed.reindex(columns, fill_value=0.0)
    return tables


def tables_by_group(terms: Sequence[RandomTerm], values: Sequence[FloatArray]) -> dict[str, pd.DataFrame]:
    """Put the columns of terms on the same grouping factor side by side, rows named by level."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for term, block in zip(terms, values, strict=True):
        part = pd.DataFrame(block, index=list(term.levels), columns=list(term.columns))
        tables.setdefault(term.group, []).append(part)
    return {group: pd.concat(parts, axis=1) for group, parts in tables.items()}
