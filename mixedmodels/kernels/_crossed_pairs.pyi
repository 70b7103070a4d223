from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.crossed_pairs import Entries

def level_sums_of_columns(
    entries: Entries, Q: FloatArray, u: tuple[FloatArray, FloatArray], W: FloatArray, g: FloatArray
) -> tuple[FloatArray, FloatArray]: ...
def movement_products(
    entries: Entries,
    Q: FloatArray,
    effects: tuple[FloatArray, FloatArray],
    weights: FloatArray,
    others: FloatArray,
    slope: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]: ...
def schur_movement(
    entries: Entries,
    V: FloatArray,
    of_rows: FloatArray,
    pivots: FloatArray,
    root: FloatArray,
    C: FloatArray,
    scales: tuple[float, float],
    G: FloatArray,
) -> tuple[FloatArray, FloatArray]: ...
