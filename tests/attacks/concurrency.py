"""Workers that come and go, writers that share a place, and commands that are killed."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import zarr
from attacks.attack import HARMLESS, REFUSED, Attack
from helpers.churn import elastic, unsettled
from helpers.cluster import running
from helpers.cut import bits
from helpers.data import correlated
from helpers.killed import COMMANDS, GOES_ON, OUTPUTS, finish, kill, prepare

from dask_igtm import IGTM, IGTMSearch

X = correlated(300, 4)
WRITES = r"Another fit (writes|has written) to the checkpoint "


def estimator(**changed):
    return IGTM(**({"k": 4, "m": 3, "niter": 8, "tol": 0, "solver": "em"} | changed))


# Workers


def _stored(folder):
    path = str(folder / "x.zarr")
    zarr.create_array(path, data=correlated(96_000, 20), chunks=(1000, 20))
    return path


def _mapped(path, target):
    igtm = estimator(k=8).fit(path)
    group = igtm.project_to_zarr(path, target)
    return bits(igtm), [group[name][:].tobytes() for name in sorted(group.array_keys())]


def adaptive(folder, rng):
    path = _stored(folder)
    expected = _mapped(path, folder / "whole.zarr")
    with elastic():
        for number in range(3):
            same = _mapped(path, folder / f"{number}.zarr") == expected
            yield HARMLESS if same else "other bits on an adaptive cluster"


def culled(folder, rng):
    path = _stored(folder)
    expected = _mapped(path, folder / "whole.zarr")
    with running(folder, 0) as cluster, cluster.client() as client:
        for number in itertools.count():
            with unsettled(cluster, client, rng.uniform(0, 0.7)):
                same = _mapped(path, folder / f"{number}.zarr") == expected
            yield HARMLESS if same else "other bits where workers were killed"


# Writers


def _fit(path):
    return bits(estimator().fit(X, checkpoint=path))


def _other(path):
    return bits(estimator(regul=0.5).fit(X, checkpoint=path))


def _search(path):
    search = IGTMSearch(estimator(), {"regul": [0.1, 1.0]}, cv=2, refit=False)
    return search.fit(X, checkpoint=path).cv_results_["mean_test_score"].tobytes()


REFUSALS = re.compile(f"{WRITES}|belongs to (an)?other fit|is not a dask_igtm checkpoint")


def together(folder, rng):
    """Two calls with one checkpoint begin at once, where there are locks and where there are none."""
    alone = {call: call(folder / f"{call.__name__}.npz") for call in (_fit, _other, _search)}
    pairs = [*itertools.combinations_with_replacement(alone, 2)] * 3
    for number, pair in enumerate(pairs):
        for path in (folder / f"{number}.npz", f"memory://together/{number}.npz"):
            yield from _race(pair, path, alone)
    left = [name for name in os.listdir(folder) if not name.endswith(".npz")]
    yield f"{left} are left" if left else HARMLESS


def _race(pair, path, alone):
    begin = threading.Barrier(2)

    def one(call):
        begin.wait()
        try:
            return HARMLESS if call(path) == alone[call] else "other bits beside another fit"
        except ValueError as error:
            return REFUSED if REFUSALS.search(str(error)) else f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(one, pair))
    yield from found
    if HARMLESS not in found:
        yield f"none of {[call.__name__ for call in pair]} went on"
    yield from [HARMLESS] if any(_goes_on(call, path, alone) for call in pair) else ["a checkpoint of none"]


def _goes_on(call, path, alone):
    try:
        return call(path) == alone[call]
    except ValueError:
        return False


FITS = """
import sys
import numpy as np
from dask_igtm import IGTM
def tell(event):
    print(event.number, flush=True)
    sys.stdin.readline()
IGTM(k=4, m=3, niter=8, tol=0, solver="em").fit(np.load("x.npy"), checkpoint=sys.argv[1], callbacks=[tell])
"""


def stopped(folder, rng):
    """A fit is stopped at some moment, another comes; then it is killed, or woken."""
    np.save(folder / "x.npy", X)
    expected = bits(estimator().fit(X))
    for number in itertools.count():
        path = folder / f"{number}.npz"
        command = [sys.executable, "-c", FITS, path]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )
        process.stdin.write("\n" * int(rng.integers(5)))
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        outcome = "a fit took the checkpoint of another that was stopped"
        try:
            _fit(path)
        except ValueError as error:
            outcome = REFUSED if re.search(f"{WRITES}.*process {process.pid} on", str(error)) else str(error)
        process.send_signal(signal.SIGKILL if rng.random() < 0.5 else signal.SIGCONT)
        process.communicate()
        yield outcome
        yield HARMLESS if _fit(path) == expected else "other bits after a fit that was stopped"
        yield HARMLESS if not path.with_name(f"{path.name}.lock").exists() else "a lock is left"


# Commands


def killed(folder, rng):
    prepare(folder)
    for number, name in enumerate(COMMANDS):
        output = folder / OUTPUTS[name]
        expected = finish(name, folder)
        output.rename(folder / f"{number}")
        for sent in rng.permutation([signal.SIGKILL, signal.SIGINT]):
            kill(name, folder, int(sent), blocks=int(rng.integers(4, 16)))
            half = output.exists() and name not in GOES_ON
            yield f"something under the name of {name} that was killed" if half else HARMLESS
        same = finish(name, folder) == expected
        yield HARMLESS if same else f"other bits of {name} that was killed and done again"
        output.rename(folder / f"{number} again")


ATTACKS: tuple[Attack, ...] = (
    Attack("fits and projections on clusters that grow from no worker and shrink to none", adaptive, 15),
    Attack("workers killed while they start, as soon as they are there, and at work", culled, 10),
    Attack("two fits or searches that begin at once with one checkpoint", together, 15),
    Attack("a checkpoint of a fit that is stopped, then killed or woken", stopped, 8),
    Attack("commands killed at their work, and done again", killed, 15),
)
