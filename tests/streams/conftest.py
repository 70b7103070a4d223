"""Small batches, so that small tables have many."""

from collections.abc import Iterator

import pytest

from mixedmodels.streams import parquet, source


@pytest.fixture(autouse=True, scope="module")
def small_batches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BATCH_BYTES", 1)
        patch.setattr(source, "FEWEST_ROWS", 5)
        patch.setattr(parquet, "FEWEST_ROWS_OF_PART", 1)
        yield
