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


class Unset(NAType):
    """The type of the default of `re_form` in simulations, to tell it from NA given by the caller."""

    def __reduce__(self) -> str:
        return "UNSET"


NA: Final = NAType()
UNSET: Final = Unset()
