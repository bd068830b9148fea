"""Workers come when there is work, go when there is none, and are lost on the way; the bits stay."""

import contextlib

import numpy as np
import pytest
import zarr
from helpers.churn import elastic, unsettled
from helpers.cluster import running
from helpers.data import correlated

from dask_igtm import IGTM, landscape

pytestmark = [
    pytest.mark.slow,
    # What distributed says of workers that are gone, while it deals with that.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("data") / "x.zarr"
    zarr.create_array(target, data=correlated(96_000, 20), chunks=(1000, 20))
    return str(target)


@pytest.fixture(scope="module")
def undisturbed(path, tmp_path_factory):
    return everything(path, tmp_path_factory.mktemp("undisturbed"))


def everything(path, folder, disturbed=contextlib.nullcontext):
    """Return the bits of a fit, of projections to both kinds of tables, of a landscape and a likelihood."""
    igtm = IGTM(k=8, m=3, niter=4, tol=0, solver="em")
    with disturbed():
        igtm.fit(path, checkpoint=folder / "fit.npz")
    with disturbed():
        group = igtm.project_to_zarr(path, folder / "map.zarr")
    with disturbed():
        igtm.write_table(path, folder / "map.parquet", ("means", "modes"))
    parts = sorted((folder / "map.parquet").glob("part-*"))
    arrays = [igtm.centers_, igtm.history_, landscape.density(igtm, path).values]
    arrays += [group[name][:] for name in sorted(group.array_keys())]
    numbers = np.array([igtm.beta_inv_, igtm.log_likelihood_, igtm.score(path)])
    return [array.tobytes() for array in (*arrays, numbers)] + [part.read_bytes() for part in parts]


def test_an_adaptive_cluster(path, undisturbed, tmp_path):
    with elastic():
        assert everything(path, tmp_path) == undisturbed


def test_workers_go_while_they_start_and_while_they_work(path, undisturbed, tmp_path):
    with running(tmp_path, 0) as cluster, cluster.client() as client:
        assert everything(path, tmp_path, lambda: unsettled(cluster, client, 0.5)) == undisturbed
