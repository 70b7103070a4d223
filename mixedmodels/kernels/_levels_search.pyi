from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.kernels.levels_search import End

class LevelObjective:
    u: FloatArray

    def __init__(
        self,
        kind: int,
        y: FloatArray,
        weights: FloatArray,
        constant: float,
        Z: FloatArray,
        starts: IntArray,
        Q: FloatArray,
        offset: FloatArray,
        sizes: tuple[int, ...],
        u: FloatArray,
    ) -> None: ...
    def gradient(self, psi: FloatArray) -> FloatArray | None: ...
    def search(
        self,
        scale: FloatArray,
        x: FloatArray,
        H: FloatArray,
        value: float,
        gradient: FloatArray,
        tolerance: float,
        max_step: float,
    ) -> End | None: ...
