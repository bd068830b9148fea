"""Models, checkpoints and landscapes that are damaged or hostile."""

import functools
import io
import json
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from attacks.attack import HARMLESS, REFUSED, Attack

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, landscape, load
from dask_igtm.data import npz_io

SMALL: dict[str, Any] = {"k": 3, "m": 2, "s": 1.0, "scale": "center", "niter": 4, "tol": 0.0}
SOLVERS: dict[str, dict[str, Any]] = {
    "em": {"solver": "em"},
    "accelerated": {"solver": "accelerated"},
    "evidence": {"solver": "accelerated", "regul": "auto"},
    "sampled": {"solver": "sampled"},
    "diagonal": {"solver": "accelerated", "noise": "diagonal", "regul": "auto"},
    "poisson": {"solver": "accelerated", "noise": "poisson", "exposure": "total", "scale": "auto"},
}
ALLOWED = 2**23  # bytes that reading a small file may take; a hostile one claims many more


def rows() -> np.ndarray:
    """Return counts, which every noise takes, in correlated columns."""
    u, v = np.random.default_rng(0).poisson(5.0, size=(2, 60))
    return np.column_stack([u + v, u, v]).astype(float)


X = rows()


@dataclass(frozen=True)
class Saved:
    """A file, and what it is used for: a call that returns the bits of what came of it."""

    path: Path
    use: Callable[[Path], Any]

    @property
    def kind(self) -> str:
        """Of `npz_io`."""
        return str(npz_header(self.path.read_bytes())["format"])


def use_map(path: Path) -> tuple[bytes, ...]:
    """Load a map and take rows to it."""
    igtm = load(path)
    bits = [np.asarray(igtm.transform(X)).tobytes()] if hasattr(igtm, "transform") else []
    told = [repr(sorted(igtm.get_params().items(), key=str)).encode()]
    if hasattr(igtm, "predict"):
        bits += [np.asarray(igtm.predict(X)).tobytes()]
    else:
        bits += [igtm.history_.tobytes(), igtm.score_samples(X).tobytes(), repr(igtm.deviance_).encode()]
        told += [repr((igtm.n_iter_, igtm.stopped_by_, igtm.regul_)).encode()]
    if hasattr(igtm, "stream_"):
        bits += [igtm.partial_fit(X[:9]).centers_.tobytes()]
    return (*bits, *told)


def use_landscape(path: Path) -> tuple[bytes, ...]:
    """Load a landscape and look at it."""
    found = landscape.load_landscape(path)
    return found.values.tobytes(), repr(found).encode(), repr(found.support).encode()


def going_on(**parameters: Any) -> Callable[[Path], Any]:
    """Return a call that goes on from a checkpoint to the last iteration."""

    def use(path: Path) -> tuple[bytes, ...]:
        content = path.read_bytes()
        igtm = IGTM(**SMALL | parameters | {"niter": 6}).fit(X, checkpoint=path)
        path.write_bytes(content)
        return igtm.centers_.tobytes(), igtm.history_.tobytes()

    return use


def search(path: Path, niter: int = 6) -> tuple[bytes, ...]:
    """Go on with a search from its checkpoint."""
    content = path.read_bytes() if path.exists() else None
    grid = IGTMSearch(IGTM(**SMALL | {"niter": niter}, solver="em"), {"regul": [0.01, 0.1]}, refit=False)
    grid.fit(X, checkpoint=path)
    if content is not None:
        path.write_bytes(content)
    return (grid.cv_results_["mean_test_score"].tobytes(),)


def saved_files(folder: Path) -> list[Saved]:
    """Write a file of each kind, with everything in it that a file can have."""
    labels, gaps = np.where(X[:, 0] > 9, "high", "low"), X.copy()
    gaps[::7, 1] = np.nan
    fitted = {
        "map": IGTM(**SMALL, solver="em").fit(X),
        "axes": IGTM(**SMALL | {"scale": "standard"}, missing="median", n_components=2).fit(gaps),
        "stream": IGTM(**SMALL, noise="diagonal").partial_fit(X[:30]).partial_fit(X[30:]),
        "counts": IGTM(**SMALL | SOLVERS["poisson"]).fit(X),
        "classifier": IGTMClassifier(**SMALL, prior={"high": 0.5, "low": 0.5}).fit(X, labels),
        "regressor": IGTMRegressor(**SMALL).fit(X, X[:, :2]),
    }
    found = []
    for name, estimator in fitted.items():
        estimator.save(folder / name)
        found.append(Saved(folder / name, use_map))
    for each in (landscape.density(fitted["map"], X), landscape.classes(fitted["map"], X, labels)):
        each.save(folder / each.kind)
        found.append(Saved(folder / each.kind, use_landscape))
    for name, parameters in SOLVERS.items():
        IGTM(**SMALL | parameters).fit(X, checkpoint=folder / f"checkpoint_{name}")
        found.append(Saved(folder / f"checkpoint_{name}", going_on(**parameters)))
    search(folder / "checkpoint_many", niter=4)
    return [*found, Saved(folder / "checkpoint_many", search)]


def outcome(file: Saved, content: bytes, *wanted: Any) -> str:
    """Say what comes of a file with other bytes; `wanted` is what may, nothing where that is not known."""
    name = file.path.name
    file.path.write_bytes(content)
    try:
        found = file.use(file.path)
    except (ValueError, OSError) as error:
        told = " ".join([str(error), *getattr(error, "__notes__", ())])
        # What is whole and yet of no use may be found by its use.
        return REFUSED if not wanted or str(file.path) in told else f"{name}: {error} names no file"
    except Exception as error:  # noqa: BLE001 - which is what is looked for
        return f"{name}: {type(error).__name__} {error}"
    return HARMLESS if not wanted or found in wanted else f"{name}: something is missing or other"


def every_bit(folder: Path, rng: np.random.Generator) -> Iterator[str]:
    """Flip every bit of a landscape of one node, and then every eleventh of a map of one."""
    igtm = IGTM(k=1, m=1, solver="em", niter=1, tol=0.0).fit(X[:, :1])
    igtm.save(folder / "map")
    landscape.density(igtm, X[:, :1]).save(folder / "density")
    for name, kind, every in (("density", npz_io.LANDSCAPE, 1), ("map", npz_io.MODEL, 11)):
        file = Saved(folder / name, functools.partial(bits_in, kind=kind))
        whole, wanted = file.path.read_bytes(), file.use(file.path)
        for bit in range(int(rng.integers(every)), 8 * len(whole), every):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            yield outcome(file, bytes(flipped), wanted)


def bits_in(path: Path, kind: str) -> tuple[bytes, ...]:
    """Return all that a file holds."""
    header, arrays = npz_io.read(path, kind)
    return json.dumps(header).encode(), *(array.tobytes() for _, array in sorted(arrays.items()))


def damaged_bytes(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Return a file that was cut, overwritten, or mixed with another one."""
    a, b = sorted(rng.integers(0, len(whole), 2).tolist())
    noise = rng.bytes(int(rng.integers(1, 64)))
    return [
        lambda: whole[:a],
        lambda: whole[a:],
        lambda: whole[:a] + whole[b:],
        lambda: whole[:a] + noise + whole[a:],
        lambda: whole[:a] + noise + whole[a + len(noise) :],
        lambda: whole[:a] + bytes(b - a) + whole[b:],
        lambda: whole[:b] + whole[a:],
        lambda: whole[:a] + other[a:],
        lambda: whole + noise,
    ][rng.integers(9)]()


def bytes_of_all(folder: Path, rng: np.random.Generator) -> Iterator[str]:
    """Damage files of every kind at random."""
    files = saved_files(folder)
    contents = [file.path.read_bytes() for file in files]
    wanted = [file.use(file.path) for file in files]
    while True:
        for file, whole, bits in zip(files, contents, wanted, strict=True):
            other = rng.integers(len(contents))
            damaged = damaged_bytes(whole, contents[other], rng)
            with quiet():
                yield outcome(file, damaged, bits, wanted[other])  # which may be all that is left
            file.path.write_bytes(whole)


def npz_members(content: bytes) -> dict[str, np.ndarray]:
    """Return what is in a file of ours, read by NumPy."""
    with np.load(io.BytesIO(content)) as members:
        return {name: members[name] for name in members}


def npz_header(content: bytes) -> dict[str, Any]:
    """Return its header."""
    return dict(json.loads(str(npz_members(content)["header"])))


def rewritten(folder: Path, kind: str, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Return a file of ours with these in it, all of them listed as they are."""
    own = {key: value for key, value in header.items() if key not in ("format", "format_version", "members")}
    npz_io.write(folder / "rewritten", kind, own, arrays)
    return (folder / "rewritten").read_bytes()


WRONG_VALUES = [None, True, -1, 0, 1e308, -1e308, 10**400, "", "transform", [], {}, [[1]], {"transform": 1}]


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value of nested dicts and lists."""
    yield path
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from paths_in(part, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return nested dicts with one value replaced, or one more."""
    if not path:
        return new
    return {**value, path[0]: changed(value.get(path[0]), path[1:], new)}


def headers(folder: Path, rng: np.random.Generator) -> Iterator[str]:
    """Give the header values that it cannot have, and more than it can have."""
    files = [file for file in saved_files(folder) if not file.path.name.startswith("checkpoint")]
    while True:
        for file in files:
            whole = file.path.read_bytes()
            header = npz_header(whole)
            arrays = npz_members(whole)
            del arrays["header"]
            ways = [way for way in paths_in(header) if way and way[0] not in ("format", "members")]
            way = ways[rng.integers(len(ways))]
            if rng.random() < 0.2:
                way = (*way[:-1], ["transform", "__class__", "_map", "model_"][rng.integers(4)])
            new = WRONG_VALUES[rng.integers(len(WRONG_VALUES))]
            kind = header["format"]
            with quiet():
                yield outcome(file, rewritten(folder, kind, changed(header, way, new), arrays))
            file.path.write_bytes(whole)


def wrong_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return something that cannot stand in for an array, or hardly."""
    flat = np.full(array.shape, [np.nan, np.inf, -1.0, 0.0, 1e308, 0.5][rng.integers(6)])
    some = array.copy()
    if array.dtype.kind == "f" and array.size:
        some.flat[rng.integers(array.size)] = [np.nan, -np.inf, 1e300][rng.integers(3)]
    return [
        lambda: flat,
        lambda: some,
        lambda: array[..., :-1] if array.ndim else np.zeros(2),
        lambda: array[None],
        lambda: np.zeros((0, 2**40)),
        lambda: np.zeros(0),
        lambda: np.array("words"),
        lambda: np.array(True),
        lambda: np.array(["a", "b"]),
        lambda: np.array(-7),
        lambda: np.array(1j),
    ][rng.integers(11)]()


def arrays_of_all(folder: Path, rng: np.random.Generator) -> Iterator[str]:
    """Put arrays of another shape, kind or meaning in the place of those of files of every kind."""
    files = saved_files(folder)
    while True:
        for file in files:
            whole = file.path.read_bytes()
            header, arrays = npz_header(whole), npz_members(whole)
            del arrays["header"]
            name = sorted(arrays)[rng.integers(len(arrays))]
            if rng.random() < 0.2:
                del arrays[name]
            else:
                arrays[name] = wrong_array(arrays[name], rng)
            with quiet():
                yield outcome(file, rewritten(folder, header["format"], header, arrays))
            file.path.write_bytes(whole)


def claims(folder: Path, _: np.random.Generator) -> Iterator[str]:
    """Give archives and arrays that claim to be far larger than the file, or hold what runs code."""
    IGTM(**SMALL, solver="em").fit(X).save(folder / "map")
    file, whole = Saved(folder / "map", use_map), (folder / "map").read_bytes()
    members = npz_members(whole)
    for content in hostile_archives(members):
        tracemalloc.start()
        said = outcome(file, content, b"")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        yield said if peak < ALLOWED + 20 * len(content) else f"{peak:,} bytes for {len(content):,}"


def hostile_archives(members: dict[str, np.ndarray]) -> Iterator[bytes]:
    """Yield such files."""
    descriptions = [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<U1099511627776', 'fortran_order': False, 'shape': (), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<f8', (1000000000,))], 'fortran_order': False, 'shape': (), }",
        "{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, ",
        "(" * 5000,
        "{'descr': __import__('os').getpid(), 'fortran_order': False, 'shape': (1,), }",
    ]
    for description in descriptions:
        yield archive(members, {"weights": npy(description) + bytes(8)})
    zeros = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (134217728,), }")
    yield archive(members, {"weights": zeros + bytes(2**27)}, zipfile.ZIP_DEFLATED)  # 128 MB in some kB
    yield archive(members, {}, zipfile.ZIP_BZIP2)
    yield archive(members, {}, zipfile.ZIP_LZMA)
    deep = json.dumps({"format": npz_io.MODEL})[:-1] + ', "fitted": ' + "[" * 100_000 + "]" * 100_000 + "}"
    for text in (deep, '{"format": NaN}', '{"format": -Infinity}', "[]", "1" * 10_000, "\ud800", "{}"):
        yield archive(members | {"header": np.array(text)}, {})
    yield b""
    yield b"PK\5\6" + bytes(18)


def npy(description: str) -> bytes:
    """Return the beginning of an NPY file with this in its header."""
    text = (description + " " * 16 + "\n").encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def archive(members: dict[str, np.ndarray], raw: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of these arrays, of which some are raw bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as file:
        for name, array in members.items():
            written = io.BytesIO()
            np.save(written, array, allow_pickle=False)
            file.writestr(f"{name}.npy", raw.get(name, written.getvalue()))
    return buffer.getvalue()


class quiet(warnings.catch_warnings):  # noqa: N801 - a context
    """Leave out what NumPy says of numbers that nobody would save."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")


ATTACKS = (
    Attack("every bit of a small landscape, and every eleventh of a small map, flipped", every_bit, 60.0),
    Attack("files of every kind, cut, overwritten or mixed at random", bytes_of_all, 10.0),
    Attack("archives and arrays that claim to be larger than they are, or run code", claims, 20.0),
    Attack("headers with values, attributes and parameters that cannot be", headers, 8.0),
    Attack("arrays of another shape, kind or meaning in files of every kind", arrays_of_all, 10.0),
)
