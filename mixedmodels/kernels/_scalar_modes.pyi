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
    def solve_for(self, values: FloatArray, tail: FloatArray, rhs: FloatArray) -> None: ...
    def border(
        self, scales: FloatArray, values: FloatArray, tail: FloatArray, W: FloatArray
    ) -> FloatArray | None: ...
    def predict(
        self,
        scales: FloatArray,
        moved_scales: FloatArray,
        moved_gamma: FloatArray,
        values: FloatArray,
        tail: FloatArray,
        rows: tuple[FloatArray, FloatArray],
        mode: FloatArray,
    ) -> FloatArray: ...
    def gradient(
        self,
        scales: FloatArray,
        values: FloatArray,
        tail: FloatArray,
        rows: tuple[FloatArray, FloatArray, FloatArray],
        mode: FloatArray,
    ) -> tuple[FloatArray, FloatArray]: ...
    def without_random_effects(
        self, eta: FloatArray, n_steps: int, most: int, gain: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, float] | None: ...
