"""Refits and bootstrap on the workers of a Dask cluster: the same seed gives the same numbers."""

import os
from pathlib import Path

import numpy as np
import pytest

import mixedmodels as mm

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def client():
    # Workers import the package from where it is here.
    root = str(Path(__file__).resolve().parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])))
        cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster) as made:
            yield made


def test_the_same_numbers_as_here(client):
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    responses = m.simulate(3, seed=1)
    here, there = mm.refit_many(m, responses), mm.refit_many(m, responses, n_jobs=client)
    np.testing.assert_array_equal(here["estimate"], there["estimate"])
    one = mm.bootstrap(m, nsim=25, rng=2, progress=False)
    other = mm.bootstrap(m, nsim=25, rng=2, n_jobs=client, progress=False)
    np.testing.assert_array_equal(one.replicates, other.replicates)
