"""The values of one column of a stream, numbered as they come: rows become rows of small whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from mixedmodels.arrays import BoolArray, IntArray
from mixedmodels.formula.design.level_tables import NumberLevels

#: The code of a value that is missing.
MISSING = 0


@dataclass(slots=True, eq=False, repr=False)
class NumberCodes:
    """Codes of a column of numbers or truth values without a mask.

    Attributes
    ----------
    dtype : numpy dtype
        Type of the values.
    levels : NumberLevels
        The values that have been met.
    """

    dtype: npt.DTypeLike
    levels: NumberLevels = field(default_factory=NumberLevels)

    def __len__(self) -> int:
        return len(self.levels) + 1

    def codes(self, values: npt.NDArray[Any], missing: BoolArray | None) -> IntArray:
        """Return the code of each value, new ones added."""
        self.dtype = np.result_type(self.dtype, values.dtype)
        if values.dtype.kind == "b":
            values = values.view(np.int8)
        if missing is None:
            return np.asarray(self.levels.codes(values) + 1, dtype=np.intp)
        codes = np.full(len(values), MISSING, dtype=np.intp)
        codes[~missing] = self.levels.codes(values[~missing]) + 1
        return codes

    def absorb(self, other: NumberCodes) -> IntArray:
        """Add the values of other codes and return the code here of each, the missing one first."""
        self.dtype = np.result_type(self.dtype, other.dtype)
        keys = other.levels.keys
        return np.concatenate([[MISSING], self.levels.codes(keys) + 1]).astype(np.intp)

    def values(self, codes: npt.NDArray[Any]) -> Any:
        """Return the values that codes stand for."""
        missing = codes == MISSING
        if not missing.any():
            return self.levels.keys[codes.astype(np.intp) - 1].astype(self.dtype)
        known = np.concatenate([self.levels.keys[:1], self.levels.keys])
        found = known[codes] if len(known) else np.zeros(len(codes))
        kind = np.dtype(self.dtype).kind
        if kind == "f" or not len(known):
            return np.where(missing, np.nan, found)
        masked = pd.arrays.BooleanArray if kind == "b" else pd.arrays.IntegerArray
        return masked(found.astype(self.dtype), missing)


@dataclass(slots=True, eq=False, repr=False)
class LabelCodes:
    """Codes of text or categories, or of values of any other kind.

    Attributes
    ----------
    kind : str
        Kind of the column.
    numbers : dict
        Values, and their codes.
    dtype : CategoricalDtype or None
        Categories while all batches agree on them.
    held : dtype or None
        Type of the values themselves.
    last : tuple
        Categories of the last batch and their codes, 0 of those that it had no row of.
    """

    kind: str
    numbers: dict[Any, int] = field(default_factory=dict)
    dtype: pd.CategoricalDtype | None = None
    held: Any = None
    last: tuple[Any, IntArray] = (None, np.empty(0, dtype=np.intp))

    def __len__(self) -> int:
        return len(self.numbers) + 1

    def codes(self, values: pd.Categorical) -> IntArray:
        """Return the code of each value, new ones added."""
        dtype = values.dtype
        assert isinstance(dtype, pd.CategoricalDtype)
        self._note(dtype)
        categories = dtype.categories
        places = self.last[1] if categories is self.last[0] else np.zeros(len(categories) + 1, dtype=np.intp)
        local = np.asarray(values.codes)
        # The last place is that of code -1, the missing value.
        present = np.zeros(len(categories) + 1, dtype=bool)
        present[local] = True
        present[-1] = False
        for k in np.flatnonzero(present & (places == MISSING)).tolist():
            places[k] = self.numbers.setdefault(categories[k], len(self.numbers) + 1)
        self.last = categories, places
        return places[local]

    def _note(self, dtype: pd.CategoricalDtype) -> None:
        """Remember the categories while all batches agree on them."""
        if not self.numbers:
            self.dtype, self.held = dtype, dtype.categories.dtype
        elif self.dtype is not None and self.last[0] is not dtype.categories and dtype != self.dtype:
            self.dtype = None

    def absorb(self, other: LabelCodes) -> IntArray:
        """Add the values of other codes and return the code here of each, the missing one first."""
        if other.numbers:
            if not self.numbers:
                self.dtype, self.held = other.dtype, other.held
            elif self.dtype != other.dtype:
                self.dtype = None
        here = [self.numbers.setdefault(value, len(self.numbers) + 1) for value in other.numbers]
        return np.array([MISSING, *here], dtype=np.intp)

    def values(self, codes: npt.NDArray[Any]) -> Any:
        """Return the values that codes stand for: categories with the order of their type, text as text."""
        met = list(self.numbers)
        if self.kind not in ("string", "categorical", "ordered"):
            known = pd.array(met, dtype=self.held)
            return known.take(codes.astype(np.intp) - 1, allow_fill=True)
        if self.kind == "string" or self.dtype is None:
            return np.array([None, *met], dtype=object)[codes]
        places = np.concatenate([[-1], self.dtype.categories.get_indexer(pd.Index(met))]).astype(np.intp)
        return pd.Categorical.from_codes(places[codes], dtype=self.dtype)


ValueCodes: TypeAlias = NumberCodes | LabelCodes


def numbers_of(array: Any) -> tuple[npt.NDArray[Any], BoolArray | None] | None:
    """Return a column as numbers, and which are missing if any is; None if it holds no numbers."""
    if isinstance(array, (pd.arrays.IntegerArray, pd.arrays.BooleanArray)):
        is_missing = np.asarray(array.isna())
        held: Any = array.dtype
        kind = held.numpy_dtype
        values = array.to_numpy(dtype=kind, na_value=kind.type(0))
    elif isinstance(array.dtype, np.dtype) and array.dtype.kind in "iubf":
        values = np.asarray(array)
        is_missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
    else:
        return None
    return values, is_missing if is_missing.any() else None


def labels_of(array: Any) -> Any:
    """Return a column as categories, those of its type or the values that occur."""
    if isinstance(array, pd.Categorical):
        return array
    codes, distinct = pd.factorize(array)
    categories: Any = pd.Index(distinct)
    return pd.Categorical.from_codes(codes, categories=categories)
