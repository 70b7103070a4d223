from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.kernels.levels_search import End

def search_levels(
    kind: int,
    y: FloatArray,
    weights: FloatArray,
    constant: float,
    Z: FloatArray,
    starts: IntArray,
    Q: FloatArray,
    offset: FloatArray,
    sizes: tuple[int, ...],
    scale: FloatArray,
    u: FloatArray,
    x: FloatArray,
    H: FloatArray,
    value: float,
    gradient: FloatArray,
    tolerance: float,
    max_step: float,
) -> End | None: ...
