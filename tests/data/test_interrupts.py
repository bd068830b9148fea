"""Ctrl-C waits for what must not be cut, is never lost, and is heeded where it may be."""

import signal
import threading

import pytest

from dask_igtm.data.interrupts import heeding, uninterrupted


@pytest.fixture(autouse=True)
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def interrupted(done, blocks):
    """Do something with each block, while Ctrl-C comes."""
    for block in blocks:
        signal.raise_signal(signal.SIGINT)
        done.append(block)


def test_it_waits_for_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted(), uninterrupted():
        interrupted(done, range(3))
    assert done == [0, 1, 2]


def test_it_comes_after_an_error_too():
    with pytest.raises(KeyboardInterrupt) as caught, uninterrupted():
        interrupted(None, [0])  # which has no `append`
    assert isinstance(caught.value.__context__, AttributeError)


def test_it_is_heeded_while_a_block_is_made():
    def blocks():
        yield 1
        signal.raise_signal(signal.SIGINT)
        made.append("on")

    made, used = [], []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        used.extend(heeding(blocks()))
    assert (made, used) == ([], [1])


def test_what_came_while_a_block_was_used_is_heeded_before_the_next():
    used = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupted(used, heeding(iter(range(5))))
    assert used == [0]


def test_blocks_are_all_yielded_without_it():
    assert list(heeding(iter([None, 0, 1]))) == [None, 0, 1]
    with uninterrupted():
        assert list(heeding(iter([None, 0, 1]))) == [None, 0, 1]


def test_other_threads_are_not_interrupted_anyway():
    def work():
        with uninterrupted():
            seen.extend(heeding(iter([1, 2])))

    seen = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [1, 2]
