from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.pairs import Int32Array

def subtract_pairs(
    kept: FloatArray,
    starts: Int32Array,
    second: Int32Array,
    numbers: Int32Array,
    left: FloatArray,
    right: FloatArray,
) -> None: ...
def multiply_pairs(
    starts: Int32Array,
    second: Int32Array,
    numbers: Int32Array,
    values: FloatArray,
    kept: FloatArray,
) -> FloatArray: ...
def number_pairs(
    level_starts: Int32Array,
    rows: Int32Array,
    group: Int32Array,
    coefficient: Int32Array,
    sizes: Int32Array,
    group_starts: Int32Array,
    group_columns: Int32Array,
    begins: Int32Array,
    strides: Int32Array,
) -> tuple[Int32Array, Int32Array, Int32Array]: ...
