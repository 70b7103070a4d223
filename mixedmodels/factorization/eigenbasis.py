"""Related levels in the basis in which they are independent given the response.

With one random effect for each level and no other grouping factor, ``L'Z'WZ L = U D U'`` does not change with
theta. In the basis U the system is diagonal: an evaluation costs what that of unrelated levels does (Lippert
et al. 2011, Nature Methods 8, 833-835).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.linalg import eigh

from mixedmodels.factorization.blocks import Block


def diagonalized(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return the one block of related levels there is on its eigenbasis, all others as they are."""
    if len(blocks) != 1 or blocks[0].relationship is None or blocks[0].size != 1:
        return tuple(blocks)
    (block,) = blocks
    L, (z,) = block.relationship, block.columns
    assert L is not None
    counts = np.bincount(block.codes, None if z is None else z * z, block.n_levels)
    _, U = eigh((L.T * counts) @ L, driver="evd", overwrite_a=True, check_finite=False)
    return (replace(block, relationship=L @ U, rotation=U),)
