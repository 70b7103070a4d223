"""What the machine has: its memory."""

from __future__ import annotations

import os

#: What is taken for the memory of a machine that does not tell.
COMMON_MEMORY = 2**33


def physical_memory() -> int:
    """Return the bytes of memory of this machine."""
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return COMMON_MEMORY
    return pages * size if pages > 0 and size > 0 else COMMON_MEMORY
