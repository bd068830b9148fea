"""The history of a fit, files of pictures, and what the extra is needed for."""

import subprocess
import sys

import numpy as np
import pytest
from helpers.charts import drawn
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, plot

K = 6

# History


@pytest.mark.parametrize(
    ("niter", "ending"), [(500, "Converged after "), (1, "Not converged after 1 iteration")]
)
def test_history_ends_with_the_fitted_likelihood(X, niter, ending):
    igtm = IGTM(k=K, m=3, niter=niter).fit(X)
    chart = plot.history(igtm)
    spec = chart.to_dict()
    assert spec["layer"][0]["title"]["subtitle"].startswith(ending)
    table = drawn(chart)
    assert_array_equal(table["iteration"], np.arange(igtm.n_iter_ + 1))
    assert_allclose(table["value"], [*igtm.history_, igtm.log_likelihood_])


def test_history_of_a_stream_has_its_blocks(X):
    igtm = IGTM(k=K, m=3).partial_fit(X[:200]).partial_fit(X[200:])
    assert_allclose(drawn(plot.history(igtm))["value"], igtm.history_)


def test_history_shows_what_was_done_on_a_sample():
    X = np.random.default_rng(0).normal(size=(4_000, 3))
    igtm = IGTM(k=4, m=2, solver="sampled", scale="standard").fit(X)
    shares = [*igtm.history_shares_, 1.0]
    assert min(shares) < 1
    shown = drawn(plot.history(igtm))["rows"]
    assert list(shown) == ["all" if share == 1 else "a sample" for share in shares]


# The extra


def test_pictures_are_saved_as_png(igtm, X, labels, tmp_path):
    plot.projection(igtm, X, labels=labels).save(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_altair_is_loaded_with_plot_alone_and_missed_by_name():
    code = """if True:
        import sys, dask_igtm
        from dask_igtm import *
        assert "altair" not in sys.modules
        sys.modules["altair"] = None
        try:
            dask_igtm.plot.projection
        except ImportError as error:
            assert "pip install 'dask_igtm[plot]'" in str(error)
        else:
            raise AssertionError
    """
    subprocess.run([sys.executable, "-c", code], check=True)
