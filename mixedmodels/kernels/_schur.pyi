from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.schur import Int32Array

def subtract_schur(
    tail: FloatArray,
    row_starts: Int32Array,
    by_row: Int32Array,
    columns: Int32Array,
    starts: Int32Array,
    rows: Int32Array,
    values: FloatArray,
    P: FloatArray,
) -> None: ...
def add_sandwich(
    N: FloatArray,
    row_starts: Int32Array,
    by_row: Int32Array,
    columns: Int32Array,
    starts: Int32Array,
    rows: Int32Array,
    values: FloatArray,
    V: FloatArray,
) -> None: ...
