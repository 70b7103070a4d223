from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.schur import Int32Array

def subtract_schur(
    tail: FloatArray,
    levels: Int32Array,
    starts: Int32Array,
    rows: Int32Array,
    values: FloatArray,
    P: FloatArray,
) -> None: ...
def add_sandwich(
    N: FloatArray,
    levels: Int32Array,
    starts: Int32Array,
    rows: Int32Array,
    values: FloatArray,
    V: FloatArray,
) -> None: ...
