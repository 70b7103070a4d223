from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.crossed_pairs import Entries, Products, Rows

def level_sums_of_columns(
    entries: Entries, Q: FloatArray, u: tuple[FloatArray, FloatArray], W: FloatArray, g: FloatArray
) -> tuple[FloatArray, FloatArray]: ...
def movement_products(
    entries: Entries,
    Q: FloatArray,
    effects: tuple[FloatArray, FloatArray],
    rows: Rows,
    adjoint: tuple[FloatArray, FloatArray],
    root: FloatArray,
    C: FloatArray,
    scales: tuple[float, float],
    inverse: tuple[FloatArray, FloatArray],
) -> Products: ...
