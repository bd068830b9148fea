"""Which kernel computes: NumPy's, or the compiled one where numba is.

It is chosen once, on the driver, and travels with the tasks by its name, so that all of a fit is computed by
the same one.
"""

from __future__ import annotations

import importlib.util

from dask_igtm.posterior.numpy_kernel import Kernel, NumpyKernel


def best_kernel() -> str:
    """Name of the fastest kernel that can be had here: "numba" where it is installed, else "numpy"."""
    return "numba" if importlib.util.find_spec("numba") else "numpy"


def load_kernel(name: str) -> type[Kernel]:
    """Return the kernel of that name.

    Raises
    ------
    ModuleNotFoundError
        If the kernel is numba's and this process has no numba.
    """
    if name == "numpy":
        return NumpyKernel
    if importlib.util.find_spec("numba") is None:
        raise ModuleNotFoundError(
            "The driver chose the compiled kernel, and this process has no numba; install the same packages "
            "on every worker (pip install 'dask_igtm[fast]'), or remove numba from the driver."
        )
    from dask_igtm.posterior.numba_kernel import NumbaKernel

    return NumbaKernel
