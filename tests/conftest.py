"""What holds for all tests."""

import os

import numpy.linalg  # noqa: F401 - so that its BLAS is there to be limited
import scipy.linalg  # noqa: F401 - which brings a BLAS of its own
from threadpoolctl import threadpool_limits


def pytest_configure():
    """Leave BLAS one thread where pytest-xdist runs a process a core; more wait for each other."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        threadpool_limits(1, "blas")
