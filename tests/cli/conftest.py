"""A folder with a table and a model, an atlas where it is asked for, and the command line in it."""

import shutil

import numpy as np
import pytest
import zarr
from helpers.data import correlated

from dask_igtm import IGTM, IGTMAtlas
from dask_igtm.cli.commands import main

X = correlated(600, 5)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    zarr.create_array("x.zarr", data=X, chunks=(100, 5))
    return tmp_path


@pytest.fixture
def cli(capsys):
    """Run a command; return its exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments], prog_name="dask-igtm")
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def model():
    IGTM(k=4, m=2, niter=2).fit(X).save("m.npz")
    return "m.npz"


@pytest.fixture(scope="session")
def grown(tmp_path_factory):
    """Write three towns and an atlas of them, which has a map of each, once."""
    folder, rng = tmp_path_factory.mktemp("grown"), np.random.default_rng(0)
    towns = rng.permutation(rng.normal(size=(900, 3)) + np.repeat(9 * np.eye(3), 300, axis=0))
    zarr.create_array(folder / "towns.zarr", data=towns, chunks=(300, 3))
    one = {"m": 2, "niter": 5, "solver": "em"}
    atlas = IGTMAtlas(IGTM(k=6, **one), child=IGTM(k=4, **one), n_regions=3, max_depth=1, min_samples=100)
    atlas.fit(folder / "towns.zarr").save(folder / "a.npz")
    return folder, towns


@pytest.fixture
def towns(grown, folder):
    shutil.copytree(grown[0] / "towns.zarr", folder / "towns.zarr")
    return grown[1]


@pytest.fixture
def atlas(grown, folder, towns):
    shutil.copy(grown[0] / "a.npz", folder)
    return "a.npz"
