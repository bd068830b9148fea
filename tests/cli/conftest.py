"""A folder with a table and a model, and the command line in it."""

import pytest
import zarr
from helpers.data import correlated

from dask_igtm import IGTM
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
