"""Which kernel computes: NumPy's, or the compiled one where numba is.

It is chosen once, on the driver, and travels with the tasks by its name, so that all of a fit is computed by
the same one.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings

from dask_igtm.posterior.numpy_kernel import Kernel, NumpyKernel


def best_kernel() -> str:
    """Name of the fastest kernel that can be had here: "numba" where it is of use, else "numpy"."""
    obstacle = _obstacle()
    if obstacle:
        _warn_once(obstacle)
    return "numba" if obstacle == "" else "numpy"


def load_kernel(name: str) -> type[Kernel]:
    """Return the kernel of that name.

    Raises
    ------
    ModuleNotFoundError
        If the kernel is numba's, and numba is not installed in this process, or of no use.
    """
    if name == "numpy":
        return NumpyKernel
    obstacle = _obstacle()
    if obstacle != "":
        raise ModuleNotFoundError(
            f"The driver chose the compiled kernel, and this process has no numba{obstacle or ''}; install "
            "the same packages on every worker (pip install 'dask_igtm[fast]'), or remove numba from the "
            "driver."
        )
    from dask_igtm.posterior.numba_kernel import NumbaKernel

    return NumbaKernel


def _obstacle() -> str | None:
    """Say why numba that is installed is of no use: "" where it is, None where it is not installed."""
    return _failure() if importlib.util.find_spec("numba") else None


@functools.cache
def _failure() -> str:
    try:
        import numba

        if numba.config.DISABLE_JIT:
            return " that compiles (NUMBA_DISABLE_JIT is set)"
        import dask_igtm.posterior.numba_kernel  # noqa: F401
    except Exception as error:  # noqa: BLE001 - what is broken raises anything
        return f" that can be imported ({type(error).__name__}: {error})"
    return ""


@functools.cache
def _warn_once(obstacle: str) -> None:
    warnings.warn(
        f"This process has no numba{obstacle}; NumPy computes instead, which takes longer. Let numba work, "
        "or uninstall it, to be rid of this warning.",
        stacklevel=3,
    )
