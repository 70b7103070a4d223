"""R's NA, where an argument distinguishes it from None."""

from __future__ import annotations

from typing import Final


class NAType:
    """The type of :data:`NA`."""

    def __repr__(self) -> str:
        return "NA"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "NA"


NA: Final = NAType()
