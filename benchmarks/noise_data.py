"""The rows on which kinds of noise are compared: bits, counts and columns, real ones and simulated ones."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer

FEW = 300  # rows of the tiny ones
COMMON_SCAFFOLD = 20  # molecules
TINY_MODULES = ("asyncio", "email", "logging", "tkinter", "turtle")
COMMON_MODULE, LONG_TEXT = 40, 5  # docstrings, and words


class Rows(NamedTuple):
    """Rows of a kind, and a label of each, "" where it has none worth comparing."""

    name: str
    X: Any
    labels: np.ndarray


class Simulated(NamedTuple):
    """Rows of which all is known: shares of counts, on a grid of positions too, or variances of noise."""

    X: np.ndarray
    truth: np.ndarray
    grid: np.ndarray


def installed(*packages: str) -> bool:
    """Say whether all these are there; what needs them is left out by name elsewhere."""
    return {found.name for found in importlib.metadata.distributions()}.issuperset(packages)


def frequent(labels: list[str], least: int) -> np.ndarray:
    """Return labels, "" for those that fewer rows have."""
    names, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.where(counts >= least, names, "")[which]


def digits(*, tiny: bool) -> Rows:
    """Images of 8 x 8, black where a pixel is above the middle grey."""
    X, digit = load_digits(return_X_y=True)
    X, digit = (X[:FEW], digit[:FEW]) if tiny else (X, digit)
    return Rows("digits", (X > 7.5).astype(float), digit.astype(str))


def molecules(n_rows: int, *, tiny: bool) -> Rows:
    """Morgan bits of molecules of MOSES, and their Murcko scaffolds where twenty have the same."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from fingerprints import FINGERPRINTS, N_BITS, read_smiles
    from rdkit.Chem import MolFromSmiles
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    found = [MolFromSmiles(text) for text in read_smiles(FEW if tiny else n_rows)]
    bits = [np.array(FINGERPRINTS.GetFingerprint(one).GetOnBits()) for one in found]
    starts = np.cumsum([0, *map(len, bits)])
    X = sparse.csr_array((np.ones(starts[-1]), np.concatenate(bits), starts), shape=(len(bits), N_BITS))
    scaffolds = [MurckoScaffoldSmiles(mol=one) for one in found]
    return Rows("molecules", X, frequent(scaffolds, 2 if tiny else COMMON_SCAFFOLD))


def docstrings(*, tiny: bool) -> Rows:
    """Words in the docstrings of Python's own library, and the module of each."""
    modules, texts = zip(*_docstrings(tiny), strict=True)
    module = frequent(list(modules), COMMON_MODULE)
    texts = [text for text, name in zip(texts, module, strict=True) if name]
    counts = CountVectorizer(min_df=5, max_df=0.5, stop_words="english", dtype=float).fit_transform(texts)
    X, module = sparse.csr_array(counts), module[module != ""]
    long = np.flatnonzero(X.sum(axis=1) >= LONG_TEXT)[:: 3 if tiny else 1]
    return Rows("docstrings", X[long], frequent(module[long].tolist(), 3))


def _docstrings(tiny: bool) -> Iterator[tuple[str, str]]:
    library = Path(sysconfig.get_path("stdlib"))
    for module in TINY_MODULES if tiny else sorted(sys.stdlib_module_names):
        for file in (library / f"{module}.py", *sorted((library / module).rglob("*.py"))):
            if not file.exists() or {"test", "tests"} & set(file.parts):
                continue
            try:
                nodes = list(ast.walk(ast.parse(file.read_bytes())))
            except SyntaxError:  # files on which parsers are tried
                continue
            kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            texts = (ast.get_docstring(node) for node in nodes if isinstance(node, kinds))
            yield from ((module, text) for text in texts if text)


def cells(*, tiny: bool) -> Rows:
    """Count 765 genes in the blood cells that come with scanpy, which keeps logarithms of them, and types.

    These are ln(1 + 10^4 count / n_counts), where n_counts adds up all genes of a cell.
    """
    import scanpy

    found = scanpy.datasets.pbmc68k_reduced()
    per_cell = found.obs["n_counts"].to_numpy(float)[:, None] / 1e4
    counts = np.expm1(found.raw.X.toarray().astype(float)) * per_cell
    whole = np.rint(counts)
    print(f"\nCounts of cells are whole numbers but for {np.abs(counts - whole).max():.3f} at most.")
    every = slice(None, None, 3 if tiny else 1)
    return Rows("cells", whole[every], found.obs["bulk_labels"].to_numpy().astype(str)[every])


def simulated_counts(n_rows: int, n_columns: int, seed: int) -> Simulated:
    """Draw counts whose shares bend over a square, in libraries of log-normal sizes.

    Positions are uniform; the truth is the share of each column there, and the grid that of 64 x 64 others.
    """
    rng = np.random.default_rng(seed)
    level, slope = rng.normal(size=n_columns), rng.normal(size=(2, n_columns))
    phase = rng.uniform(0, 2 * np.pi, size=n_columns)

    def shares(place: np.ndarray) -> np.ndarray:
        bent = np.sin(place @ slope + phase) + 0.5 * np.cos(2.0 * place @ slope[::-1])
        rates = np.exp(level + place @ slope + bent)
        return rates / rates.sum(axis=1, keepdims=True)

    side = np.linspace(-1, 1, 64)
    grid = shares(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    truth = shares(rng.uniform(-1, 1, size=(n_rows, 2)))
    sizes = np.exp(rng.normal(np.log(200), 0.7, size=(n_rows, 1)))
    return Simulated(rng.poisson(sizes * truth).astype(float), truth, grid)


def unlike_columns(n_rows: int, n_columns: int, seed: int) -> Simulated:
    """Bend a sheet through columns whose noise, the truth, grows from a hundredth to 1 in variance."""
    rng = np.random.default_rng(seed)
    slope, phase = rng.normal(size=(2, n_columns)), rng.uniform(0, 2 * np.pi, size=n_columns)
    place = rng.uniform(-1, 1, size=(n_rows, 2))
    sheet = place @ slope + np.sin(place @ slope[::-1] + phase)
    variance = np.geomspace(0.01, 1.0, n_columns)
    return Simulated(sheet + rng.normal(size=sheet.shape) * np.sqrt(variance), variance, sheet)


def passes_of(noise: str, n_rows: int, dtype: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Return rows of a noise on which passes are timed, 100 columns of four axes, and what a fit is told."""
    rng = np.random.default_rng(0)
    X = np.empty((n_rows, 100), dtype)
    axes = 0.6 * rng.normal(size=(4, 100))
    for start in range(0, n_rows, 50_000):  # so that the whole stands once in memory
        part = X[start : start + 50_000]
        sheet = rng.normal(size=(len(part), 4)) @ axes
        match noise.partition(",")[0]:
            case "bernoulli":
                part[:] = rng.random(sheet.shape) < 1 / (1 + np.exp(1 - sheet))
            case "poisson":
                part[:] = rng.poisson(np.exp(0.5 * sheet - 0.5))
            case _:
                part[:] = sheet + rng.normal(size=sheet.shape)
    name, _, exposed = noise.partition(",")
    return X, {"noise": name} | ({"exposure": "total"} if exposed else {})
