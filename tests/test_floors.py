"""The house: a module imports lower floors only, and within a floor those named before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dask_igtm

WORDS = [
    """
    basis affine gaps model rows parts targets histogram statistics columns softmax forward posterior
    outputs block node_totals prediction binning
    """,
    """
    initialize maximize em accelerate evidence abreast stepwise maps
    """,
    """
    tables storage companions inputs workers blas source blocks sampling archive
    """,
    """
    compat progress checkpoint settings imputation starting outcome fitting together streaming
    projection estimate
    """,
    """
    validation attributes frames describing reading saved estimator functional node_values landscape predictor
    supervised loading assess search learning
    """,
    """
    canvas spreads panels plot report convert options console cli
    """,
]
FLOORS = [words.split() for words in WORDS]
ORDER = [module for floor in FLOORS for module in floor]
PACKAGE = Path(dask_igtm.__file__).parent
THIRD_PARTY = [
    {"numpy", "scipy", "numba", "llvmlite"},
    {"numpy", "scipy"},
    {"numpy", "dask", "distributed", "zarr", "fsspec", "threadpoolctl", "cloudpickle", "pandas"},
]


def imported(module):
    """Pairs (package, submodule) of all imports of a module, wherever they stand."""
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (*alias.name.split("."), "")[:2]
        elif isinstance(node, ast.ImportFrom):
            package, *rest = node.module.split(".")
            for name in rest[:1] or [alias.name for alias in node.names]:
                yield package, name


def test_every_module_has_its_floor():
    assert sorted(p.stem for p in PACKAGE.glob("*.py") if p.stem != "__init__") == sorted(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_what_lies_below_it(module):
    below = set(ORDER[: ORDER.index(module)]) | {"__version__"}
    assert {name for package, name in imported(module) if package == "dask_igtm"} <= below


@pytest.mark.parametrize("floor", range(3))
def test_lower_floors_know_no_libraries_of_higher_ones(floor):
    standard = set(sys.stdlib_module_names) | {"dask_igtm"}
    packages = {package for module in FLOORS[floor] for package, _ in imported(module)}
    assert packages - standard <= THIRD_PARTY[floor]


def test_the_algorithm_runs_without_dask():
    code = "import sys, dask_igtm.em; sys.exit('dask' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names():
    assert dask_igtm.eIGTM is dask_igtm.IGTM
    assert set(dask_igtm.__all__) <= set(dir(dask_igtm))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = dask_igtm.nothing
