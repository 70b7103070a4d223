"""Everything that held in the shared conformance cases and reference fits still holds."""

import pytest

from tests.conformance.holding import read_holding
from tests.conformance.report import counts_text, details_text
from tests.conformance.run import run_conformance, run_references, run_second_references
from tests.conformance.shared import WHY_ABSENT, find_shared

pytestmark = pytest.mark.skipif(find_shared() is None, reason=WHY_ABSENT)


# Cases that are about warnings record them; in the others a warning is not what is asked.
@pytest.mark.filterwarnings("ignore::mixedmodels.MixedModelsWarning")
@pytest.mark.parametrize(
    ("title", "run"),
    [
        ("conformance", run_conformance),
        ("reference", run_references),
        ("reference2", run_second_references),
    ],
    ids=["cases", "references", "second"],
)
def test_nothing_that_held_fails(title, run, capsys):
    results = run()
    with capsys.disabled():
        print(f"\n{counts_text(title, results)}")
    lost = [result for result in results if result.id in read_holding() and result.verdict != "holds"]
    assert not lost, details_text(lost)
