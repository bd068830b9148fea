"""What is worked out of a value is worked out once, and forgotten with the value."""

import gc
import pickle
import threading
import weakref

import pytest

from dask_igtm.model.remember import remembered


class Value:
    """Something told by its identity."""


class Found:
    """Something that can be watched."""


def watched():
    """Return a remembered function, and the list of what it was called with."""
    calls = []

    @remembered
    def work(value, *arguments):
        calls.append(arguments)
        return Found()

    return work, calls


def test_it_is_worked_out_once_for_each_value_and_argument():
    work, calls = watched()
    one, other = Value(), Value()
    assert work(one) is work(one)
    assert work(one, 1) is work(one, 1)
    assert (
        len({id(found) for found in (work(one), work(one, 1), work(one, 2), work(other), work(other, 1))})
        == 5
    )
    assert calls == [(), (1,), (2,), (), (1,)]


def test_functions_do_not_mix_what_they_remember():
    (one, _), (other, calls) = watched(), watched()
    value = Value()
    assert one(value) is not other(value)
    assert calls == [()]


def test_nothing_keeps_a_value_alive_and_what_was_found_goes_with_it():
    work, _ = watched()
    value = Value()
    there, found = weakref.ref(value), weakref.ref(work(value, 1))
    gc.collect()
    assert found() is work(value, 1)
    del value
    gc.collect()
    assert there() is None
    assert found() is None


def test_threads_wait_for_the_one_that_works():
    calls, started = [], threading.Barrier(8)

    @remembered
    def work(value):
        calls.append(value)
        paused.wait(0.05)  # so that others come meanwhile
        return Found()

    paused, value, found = threading.Event(), Value(), []

    def ask():
        started.wait()
        found.append(work(value))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_an_error_is_not_remembered():
    calls = []

    @remembered
    def work(value):
        calls.append(value)
        if len(calls) == 1:
            raise OSError("once")
        return 7

    value = Value()
    with pytest.raises(OSError, match="once"):
        work(value)
    assert work(value) == 7


def test_a_pickle_of_the_value_does_not_carry_what_was_found():
    work, calls = watched()
    value = Value()
    before = pickle.dumps(value)
    work(value)
    assert pickle.dumps(value) == before
    work(pickle.loads(before))
    assert len(calls) == 2
