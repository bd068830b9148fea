"""Labels, names and titles that mean something to a page, a picture or a terminal."""

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import zarr
from attacks.attack import HARMLESS, REFUSED, Attack
from helpers.hostile import ACTIVE, faults_of, text, texts

from dask_igtm import IGTM, IGTMClassifier, landscape, load, plot, report
from dask_igtm.cli.commands import main

X = np.random.default_rng(21).normal(size=(60, 3))
SMALL = {"k": 3, "m": 2, "niter": 2}
IN_A_PROCESS = 16  # charts that one process renders
NEVER_TYPED = dict.fromkeys(map(ord, "/\0\ud800"))  # what no name of a file can hold

# A renderer that cannot go on ends its process, and tells of no further chart.
RENDER = """
import json, sys, xml.dom.minidom
import vl_convert
for line in sys.stdin:
    xml.dom.minidom.parseString(vl_convert.vegalite_to_svg(json.loads(line)))
    assert vl_convert.vegalite_to_png(json.loads(line)).startswith(b"\\x89PNG")
    print("drawn", flush=True)
"""


def _labels(rng, count=4):
    return np.array(texts(rng, count), dtype=object)[np.arange(len(X)) % count]


def _names(rng):
    """Return names of columns, none of which ends in NUL, which is refused."""
    return [f"{name}." for name in texts(rng, X.shape[1])]


def _charts(rng):
    """Yield charts of every kind without end, with hostile texts wherever there can be one."""
    igtm = IGTM(**SMALL).fit(X)
    while True:
        labels, name, title = _labels(rng), text(rng), text(rng)
        frame = pd.DataFrame(X, columns=_names(rng))
        yield plot.projection(igtm, X, labels=labels, name=name, title=title, names_in_map=True)
        yield plot.projection(igtm, X, title=title, tooltip=frame.assign(**{name: labels}))
        yield plot.projection(igtm, X, labels=labels, name=name, title=title, max_points=5)
        yield plot.projection(igtm, X, y=pd.Series(X[:, 0], name=name), title=title)
        yield plot.landscape(landscape.classes(igtm, X, labels), name=name, title=title)
        yield plot.landscape(landscape.property(igtm, X, frame), name=name, title=title)
        yield plot.landscape(landscape.coverage(igtm, X, {f"{name}.": X[::2], f"{title}!": X}), title=title)
        yield plot.components(IGTM(**SMALL).fit(frame), title=title)
        yield plot.history(igtm, title=title)


def pictures(_folder, rng):
    charts = _charts(rng)
    while True:
        specs = [chart.to_dict() for chart in itertools.islice(charts, IN_A_PROCESS)]
        lines = "".join(json.dumps(spec) + "\n" for spec in specs)
        done = subprocess.run(
            [sys.executable, "-c", RENDER], input=lines, capture_output=True, text=True, check=False
        )
        drawn = done.stdout.count("drawn")
        for number, spec in enumerate(specs):
            if faults_of(spec):
                yield f"a page or a renderer would stumble over {faults_of(spec)[0]!r}"
            elif number >= drawn:
                yield f"no picture, and the process ended with {done.returncode}"
            else:
                yield HARMLESS


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *(name for name, _ in attrs)))


def _tags(path):
    tags = _Tags()
    tags.feed(path.read_text())
    return tags.found


def pages(folder, rng):
    path, plain = folder / "map.html", IGTM(**SMALL).fit(pd.DataFrame(X, columns=list("abc")))
    of_labels = pd.Series(np.array(list("wxyz"))[np.arange(len(X)) % 4], name="l")
    y = pd.Series(X[:, 0], name="y")
    report(plain, pd.DataFrame(X, columns=list("abc")), path, labels=of_labels, y=y, title="t")
    expected = _tags(path)
    while True:
        frame = pd.DataFrame(X, columns=_names(rng))
        igtm, labels = IGTM(**SMALL).fit(frame), pd.Series(_labels(rng), name=text(rng))
        report(igtm, frame, path, labels=labels, y=y.rename(f"{text(rng)}."), title=text(rng))
        yield HARMLESS if _tags(path) == expected else "a page has other tags than one of plain words"


def _told(arguments):
    """Return the exit code of a command, and all that it writes to terminals that know ASCII alone."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "ascii") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments, prog_name="dask-igtm")
        except SystemExit as ended:
            code = ended.code
    out.flush(), err.flush()
    return code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


def _commands(folder, rng):
    """Yield command lines without end, of files, columns and options with hostile names."""
    small = ("--k", "3", "--m", "2", "--niter", "2")
    for number in itertools.count():
        name = text(rng).translate(NEVER_TYPED)[:40]
        store, model = str(folder / f"{number}{name}.zarr"), str(folder / f"{number}{name}.npz")
        zarr.create_array(str(folder / f"{number}.zarr"), data=X, attributes={"columns": _names(rng)})
        os.rename(folder / f"{number}.zarr", store)
        yield ["info", store]
        yield ["fit", store, "-o", model, "--checkpoint", f"{model}.npz", *small]
        yield ["info", model]
        yield ["transform", model, store, "-o", f"{model}.csv", "--index", name]
        yield ["report", model, store, "-o", f"{model}.html"]
        yield ["info", f"{store}.npz"]
        yield ["fit", store, "-o", model, f"--{name}"]
        yield [name or "none"]
        table = folder / f"{number}.csv"
        pd.DataFrame(X, columns=["a", f"\x1b{number}", "\x9b"]).to_csv(table, index=False)
        yield ["estimate", str(table), "--columns", f"{name},a"]


def terminals(folder, rng):
    for arguments in _commands(folder, rng):
        try:
            code, out, err = _told(arguments)
        except Exception as error:  # noqa: BLE001 - none may come
            yield f"{arguments[0]} raises {type(error).__name__}"
            continue
        errors = [line for line in err.splitlines() if line.startswith("Error: ")]
        if ACTIVE.search(out + err):
            yield f"{arguments[0]} writes {ACTIVE.search(out + err)[0]!r}"
        elif code == 0:
            yield HARMLESS
        elif code in (1, 2) and len(errors) == 1 and err.splitlines()[-1] == errors[0] and not out:
            yield REFUSED
        else:
            yield f"{arguments[0]} ends with {code} and {len(errors)} lines"


def _back(rng, path):
    """Return functions that save texts, and return them and what came back."""
    labels, names = _labels(rng), texts(rng, X.shape[1])
    frame = pd.DataFrame(X, columns=names)

    def classes():
        fitted = IGTMClassifier(**SMALL).fit(X, labels)
        fitted.save(path)
        return fitted.classes_.tolist(), load(path).classes_.tolist()

    def columns():
        IGTM(**SMALL).fit(frame).save(path)
        return names, load(path).feature_names_in_.tolist()

    def values():
        found = landscape.classes(IGTM(**SMALL).fit(X), X, labels)
        found.save(path)
        return list(found.columns), list(landscape.load_landscape(path).columns)

    return classes, columns, values


def files(folder, rng):
    path = folder / "kept.npz"
    while True:
        for keep in _back(rng, path):
            try:
                before, after = keep()
            except (ValueError, TypeError) as error:
                yield REFUSED if "NUL" in str(error) else f"{keep.__name__}: {error}"
                continue
            yield HARMLESS if before == after else f"{keep.__name__} came back as others"


def quietly(tries):
    """Return an attack without the warnings of maps that are too small to be good."""

    def quiet(folder, rng):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield from tries(folder, rng)

    return quiet


ATTACKS = (
    Attack("hostile labels, names and titles in charts, drawn as SVG and PNG", quietly(pictures), 15),
    Attack("the same in reports", quietly(pages), 8),
    Attack("hostile names of files, columns and options on the command line", quietly(terminals), 8),
    Attack("hostile labels and names, saved and loaded", quietly(files), 5),
)
