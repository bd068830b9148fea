"""Rights over files, which root does not heed: a thread of root's that does, as a user's would."""

import contextlib
import ctypes
import os

VERSION = 0x20080522  # of the calls below, for which see capabilities(7)
OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def give_up():
    """Let this thread, and those that it starts, heed the rights over files; return how it was before."""
    libc, header, before = ctypes.CDLL(None, use_errno=True), _Header(VERSION, 0), (_Data * 2)()
    if libc.capget(ctypes.byref(header), before):
        raise OSError(ctypes.get_errno(), "capget")
    now = (_Data * 2).from_buffer_copy(before)
    now[0].effective &= ~OVERRIDES
    _set(now)
    return before


def _set(data):
    libc, header = ctypes.CDLL(None, use_errno=True), _Header(VERSION, 0)
    if libc.capset(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), "capset")


@contextlib.contextmanager
def rights(path, mode):
    """Give something other rights, which this thread heeds meanwhile."""
    kept, before = os.stat(path).st_mode, give_up()
    os.chmod(path, mode)
    try:
        yield
    finally:
        os.chmod(path, kept)
        _set(before)
