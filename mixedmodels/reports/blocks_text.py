"""The blocks of a generalized model's factorization, as a table."""

from __future__ import annotations

from mixedmodels.factorization.pattern import Pattern


def block_table(pattern: Pattern, n_fixed: int) -> str:
    """Return sizes and treatment of the random-effects blocks in the order of their elimination."""
    lines = [f"{'block':<24}{'effects':>9}{'levels':>9}{'each':>6}  treatment"]
    treatments = [(index, "block diagonal") for index in pattern.chain]
    treatments += [(index, "tail") for index in pattern.tail]
    for index, treatment in treatments:
        block = pattern.blocks[index]
        counts = f"{block.n_effects:>9}{block.n_levels:>9}{block.size:>6}"
        lines.append(f"{block.group:<24}{counts}  {treatment}")
    lines.append(f"{'fixed effects':<24}{n_fixed:>9}{'':>9}{'':>6}  dense, {n_fixed} x {n_fixed}")
    return "\n".join(lines)
