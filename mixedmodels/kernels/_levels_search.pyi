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
    def value(self, psi: FloatArray) -> tuple[float, FloatArray] | None: ...
    def fixed_inverse(self) -> FloatArray | None: ...
    def without_random_effects(
        self, eta: FloatArray, n_steps: int, most: int, gain: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, float] | None: ...
    def hessian(
        self,
        psi: FloatArray,
        variances: FloatArray,
        smallest: FloatArray,
        largest: FloatArray,
        share: float,
        wrong: float,
        trials: int,
    ) -> FloatArray | None: ...
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
    def second_derivatives(self, psi: FloatArray) -> FloatArray | None: ...
