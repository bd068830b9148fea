"""The documents are true: their blocks run in order, and say what stands below them."""

import contextlib
import doctest
import io
import logging
import os
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import dask_igtm
from dask_igtm import landscape, plot
from dask_igtm.cli.commands import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/index.md",
    "docs/tutorial.md",
    "docs/howto.md",
    "docs/cells.md",
    "docs/fingerprints.md",
    "docs/noise.md",
    "docs/ugtm.md",
]
ONLY_READ = ["CONTRIBUTING.md", "docs/gallery.md", "examples/README.md", "examples/moses/README.md"]
# Comments in the line above a block: code that needs what is not here, and figures that hang on the machine.
NOT_RUN, FIGURES_VARY = "<!-- not run", "<!-- figures vary"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(#[^)]*)?\)")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]\d+)?|inf")
NEEDED = ["altair", "anndata", "vl_convert", "pandas", "polars", "xarray"]


def blocks(document):
    """What a reader is to run: language, text, the output that follows, and whether its figures vary."""
    text = (ROOT / document).read_text()
    found = list(FENCE.finditer(text))
    for block, after in zip(found, [*found[1:], None], strict=True):
        if NOT_RUN in text[: block.start()].rstrip("\n").rpartition("\n")[2]:
            continue
        between = text[block.end() : after.start()].strip() if after else ""
        follows = after and after[1] == "text" and (not between or between.startswith(FIGURES_VARY))
        yield block[1], block[2], after[2] if follows else "", bool(between)


def python(code, names):
    """Run a block and return what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        exec(code, names)
    return said.getvalue()


def shell(commands):
    """Run those commands of a block that are ours or Python's, and return what they say."""
    said = ""
    for command in commands.replace("\\\n", " ").splitlines():
        words = shlex.split(command)
        if words[:2] == ["python", "-c"]:
            said += python(words[2], {})
        elif words[0] == "dask-igtm":
            result = CliRunner().invoke(main, words[1:])
            assert result.exit_code == 0, result.output
            said += result.stdout
    return said


def alike(expected, found, figures_vary):
    """Whether two texts agree but for blanks, what dots leave out, and 3 % of each figure."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    plain = [NUMBER.sub("0", text) for text in (expected, found)]
    if not doctest.OutputChecker().check_output(*plain, flags):
        return False
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (expected, found)]
    return figures_vary or numbers[1] == pytest.approx(numbers[0], rel=0.03, abs=0.002)


@pytest.fixture
def levels():
    """Take back what a document sets of our loggers."""
    loggers = [logging.getLogger(name) for name in ("dask_igtm", "dask_igtm.progress")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_runs(document, tmp_path, monkeypatch):
    for package in NEEDED:
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "document"}
    for language, text, expected, figures_vary in blocks(document):
        if language == "python":
            said = python(compile(text, document, "exec"), names)
        elif language == "sh":
            said = shell(text)
        else:
            continue
        assert not expected or alike(expected, said, figures_vary), f"{text}\nsays\n{said}"


@pytest.mark.parametrize("document", [*DOCUMENTS, *ONLY_READ])
def test_links_lead_somewhere(document):
    folder = (ROOT / document).parent
    for target, _ in LINK.findall((ROOT / document).read_text()):
        assert re.match(r"https?://", target) or os.path.exists(folder / target), target


def test_the_reference_has_every_public_name():
    tl = pytest.importorskip("dask_igtm.tl")
    text = (ROOT / "docs/reference.md").read_text()
    named = {match[1] for match in re.finditer(r"auto\w+:: dask_igtm\.(\S+)", text)} | {"landscape"}
    rooms = {
        f"{room.__name__.partition('.')[2]}.{name}" for room in (landscape, plot, tl) for name in room.__all__
    }
    assert rooms | {"report", *dask_igtm.__all__} <= named
    assert set(re.findall(r"{help} (\w+)", text)) == set(main.commands)
