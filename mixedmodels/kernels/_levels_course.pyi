from mixedmodels.arrays import FloatArray
from mixedmodels.kernels._levels_search import LevelObjective
from mixedmodels.kernels.levels_course import Course

def course(
    objective: LevelObjective,
    scale: FloatArray,
    start: tuple[int, int, float, float],
    steps: tuple[float, float, float, float],
    nodes: FloatArray,
    log_weights: FloatArray,
    signs: FloatArray,
) -> Course | None: ...
