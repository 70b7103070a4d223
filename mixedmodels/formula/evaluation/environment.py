"""The names a caller passed in `env`, as a fitted model keeps them."""

from __future__ import annotations

import copy
import pickle
from typing import Any, SupportsIndex

from mixedmodels.errors import DataError


class Environment(dict[str, Any]):
    """Names and values of `env`; when the model is pickled, the one that cannot be is named."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        for name, value in self.items():
            try:
                pickle.dumps(value)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise DataError(
                    f"the model cannot be pickled because of env[{name!r}], {value!r}. A function must be "
                    "defined by def at the top of a module, not in another function or as a lambda"
                ) from error
        return super().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Environment:
        return Environment({name: copy.deepcopy(value, memo) for name, value in self.items()})
