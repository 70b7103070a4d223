from mixedmodels.arrays import CodeArray, FloatArray

def subtract_pairs(
    kept: FloatArray,
    starts: CodeArray,
    second: CodeArray,
    numbers: CodeArray,
    left: FloatArray,
    right: FloatArray,
) -> None: ...
def multiply_pairs(
    starts: CodeArray,
    second: CodeArray,
    numbers: CodeArray,
    values: FloatArray,
    kept: FloatArray,
) -> FloatArray: ...
def number_pairs(
    level_starts: CodeArray,
    rows: CodeArray,
    group: CodeArray,
    coefficient: CodeArray,
    sizes: CodeArray,
    group_starts: CodeArray,
    group_columns: CodeArray,
    begins: CodeArray,
    strides: CodeArray,
) -> tuple[CodeArray, CodeArray, CodeArray]: ...
