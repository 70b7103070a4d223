from mixedmodels.arrays import FloatArray
from mixedmodels.kernels._scalar_factors import ScalarFactors
from mixedmodels.kernels.scalar_modes import FoundMode

class ScalarModes:
    def __init__(
        self,
        loops: ScalarFactors,
        kind: int,
        y: FloatArray,
        weights: FloatArray,
        constant: FloatArray,
        offset: FloatArray,
        Q: FloatArray,
    ) -> None: ...
    def search(
        self,
        scales: FloatArray,
        u: FloatArray,
        gamma: FloatArray,
        is_joint: bool,
        decrement: float,
        limits: tuple[int, int, float, float],
    ) -> FoundMode | None: ...
