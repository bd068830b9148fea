"""The house: a room imports earlier rooms only, and inside a room a file those named before it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import dask_igtm

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "rooms.py"
if not SCRIPT.exists():
    pytest.skip("the documentation is not here", allow_module_level=True)
_spec = importlib.util.spec_from_file_location("rooms", SCRIPT)
rooms = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rooms)
PACKAGE = Path(dask_igtm.__file__).parent
THIRD_PARTY = {
    "model": {"numpy", "scipy"},
    "posterior": {"numpy", "scipy", "numba", "llvmlite"},
    "statistics": {"numpy", "scipy"},
    "solvers": {"numpy", "scipy"},
    "data": {"numpy", "scipy", "dask", "zarr", "fsspec", "pandas", "pyarrow", "narwhals", "h5py"},
    "passes": {"numpy", "dask", "distributed", "cloudpickle", "threadpoolctl"},
    "fitting": {"numpy", "dask", "rich"},
}


def test_every_file_has_its_room():
    there = {path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py")}
    assert {".".join(parts) for parts in there if parts[-1] != "__init__"} == {*rooms.ORDER, *rooms.TOP}
    assert {parts[:-1] for parts in there if parts[-1] == "__init__"} == {
        (),
        *((room,) for room in rooms.FILES),
    }


def test_tests_are_in_the_room_of_what_they_test():
    tests = Path(__file__).parents[1]
    there = {f"{path.parent.name}.{path.stem.removeprefix('test_')}" for path in tests.rglob("test_*.py")}
    assert {module for module in there if not module.startswith("system.")} <= set(rooms.ORDER)


@pytest.mark.parametrize("module", rooms.ORDER)
def test_a_file_imports_what_comes_before_it(module):
    before = set(rooms.ORDER[: rooms.ORDER.index(module)])
    assert rooms.imported_modules(module) <= before


@pytest.mark.parametrize("module", rooms.ORDER)
def test_a_file_imports_from_the_top_what_is_no_room(module):
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    top = {rest for package, rest in rooms.imports(path) if package == "dask_igtm"}
    others = {rest.split(".")[0] for rest in top} - set(rooms.FILES) - {"_version", "_lazy"}
    assert not others or module.startswith("cli.")  # which knows what users import


@pytest.mark.parametrize("room", rooms.FILES)
def test_a_room_itself_imports_its_own_files_alone_and_says_what_it_is(room):
    path = PACKAGE / room / "__init__.py"
    known = {rest.split(".")[0] for package, rest in rooms.imports(path) if package == "dask_igtm"}
    assert known <= {room, "_lazy"}
    text = path.read_text()
    assert text.startswith('"""')
    assert len(text.partition('"""')[2].partition('"""')[0].split()) > 20
    code = (
        f"import sys; before = set(sys.modules); import dask_igtm.{room}; print(*set(sys.modules) - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours = {name for name in run.stdout.split() if name.startswith("dask_igtm")}
    assert ours <= {"dask_igtm", "dask_igtm._lazy", "dask_igtm._version", f"dask_igtm.{room}"}


@pytest.mark.parametrize("room", THIRD_PARTY)
def test_lower_rooms_know_no_libraries_of_higher_ones(room):
    standard = set(sys.stdlib_module_names) | {"dask_igtm"}
    packages = {package for path in (PACKAGE / room).glob("*.py") for package, _ in rooms.imports(path)}
    assert packages - standard <= THIRD_PARTY[room]


def test_the_algorithm_runs_without_dask():
    modules = [module for module in rooms.ORDER if module.startswith("solvers.")]
    code = "\n".join(f"import dask_igtm.{module}" for module in ["solvers", *modules])
    code += "\nimport sys; sys.exit('dask' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_picture_is_that_of_the_imports():
    assert rooms.PICTURE.read_text() == rooms.picture(), "python docs/rooms.py"


def test_public_names():
    assert set(dask_igtm.__all__) <= set(dir(dask_igtm))
    for name in dask_igtm.__all__:
        assert getattr(dask_igtm, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = dask_igtm.nothing


def test_a_fresh_import_is_light():
    code = "import sys, dask_igtm; print(*{'numpy', 'dask', 'sklearn', 'zarr'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []


def test_fits_need_no_scikit_learn():
    code = "import sys, dask_igtm.fitting.fit, dask_igtm.fitting.fit_many; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_runs_as_a_command():
    run = subprocess.run(
        [sys.executable, "-m", "dask_igtm", "-h"], check=True, capture_output=True, text=True
    )
    assert run.stdout.startswith("Usage: dask-igtm")
