"""What the factorization does with each block, for people."""

from __future__ import annotations

from mixedmodels.factorization.constant.cross_products import CrossProducts
from mixedmodels.factorization.constant.rest import Rest
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix
from mixedmodels.factorization.pattern import Pattern


def describe(pattern: Pattern, A: CrossProducts) -> str:
    """Return a table of the blocks in order of elimination: sizes, treatment and fill."""
    lines = [f"{'block':<24}{'effects':>9}{'levels':>9}{'each':>6}  treatment"]
    for j, index in enumerate(pattern.chain):
        lines.append(_row(pattern, index, f"block diagonal; {_below(pattern, j, A.rests[j])}"))
    for index in pattern.tail:
        lines.append(_row(pattern, index, _tail(A)))
    p = len(A.XX)
    lines.append(f"{'fixed effects':<24}{p:>9}{'':>9}{'':>6}  dense, {p} x {p}")
    return "\n".join(lines)


def _row(pattern: Pattern, index: int, treatment: str) -> str:
    block = pattern.blocks[index]
    return f"{block.group:<24}{block.n_effects:>9}{block.n_levels:>9}{block.size:>6}  {treatment}"


def _below(pattern: Pattern, j: int, rest: Rest) -> str:
    """Return how the rows below a chain block are kept."""
    if not pattern.n_tail:
        return rest.kind
    block = pattern.blocks[pattern.chain[j]]
    stored = len(pattern.couplings[j].rows) * block.size
    share = stored / (block.n_effects * pattern.n_tail)
    return f"{stored} entries below it ({share:.1%} of dense), {rest.kind}"


def _tail(A: CrossProducts) -> str:
    if isinstance(A.tail, SparseMatrix):
        fronts, n = A.tail.layout.fronts, A.tail.layout.n_tail
        order = len(fronts.position)
        fill = fronts.n_entries / (0.5 * order * (order + 1))
        return f"sparse tail, {n} x {n}, {len(fronts.rows)} fronts ({fill:.1%} of dense)"
    return f"dense tail, {len(A.tail)} x {len(A.tail)}"
