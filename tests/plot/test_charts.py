"""Files of pictures, and what the extra is needed for."""

import subprocess
import sys

from dask_igtm import plot

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
