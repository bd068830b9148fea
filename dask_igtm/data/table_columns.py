"""Which columns of a file are taken: those of numbers, or those that are chosen; some are ids of the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dask_igtm.data.plain_text import escaped, listed
from dask_igtm.data.user_warnings import warn

SHOWN = 8  # names in a message


@dataclass(frozen=True)
class Choice:
    """What is asked of a file.

    Attributes
    ----------
    columns : sequence of str
        To take, in this order; empty for all that hold numbers.
    drop : sequence of str
        To leave out of these.
    index : sequence of str
        Ids of the rows, which are no columns of X unless they are chosen as such.
    of_fit : sequence of str
        Columns of a fit: where no others are chosen, and the file has them all as numbers, they are taken.
    """

    columns: Sequence[str] = ()
    drop: Sequence[str] = ()
    index: Sequence[str] = ()
    of_fit: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether columns are called by their names."""
        return bool(self.columns or self.drop or self.index)


ALL = Choice()


def check_distinct(names: Sequence[str], who: str) -> None:
    """Raise ValueError if two columns of `who` have the same name."""
    twice = sorted(name for name, often in Counter(names).items() if often > 1)
    if twice:
        raise ValueError(f"{who} has several columns {listed(twice, SHOWN)}; give each another name.")


def chosen_columns(there: Mapping[Any, bool], choice: Choice, source: str) -> list[Any]:
    """Return the names of the columns that make X, and warn of those that hold no numbers and are set aside.

    Parameters
    ----------
    there : dict of name to bool
        The columns of a file in their order, and whether each holds numbers.
    choice : Choice
    source : str
        The file, for messages.

    Raises
    ------
    ValueError
        If a name is not there or asked for twice, both `columns` and `drop` are given, a column that was
        chosen holds no numbers, or none is left.
    """
    columns, drop, index, of_fit = choice.columns, choice.drop, choice.index, choice.of_fit
    if columns and drop:
        raise ValueError(
            f"columns={listed(columns, SHOWN)} and drop={listed(drop, SHOWN)} are given; give one of them."
        )
    for names in (columns, drop, index):
        check_distinct(names, "The choice")
    absent = [name for name in (*columns, *drop, *index) if name not in there]
    if absent:
        raise ValueError(f"{source!r} has no column {listed(absent, SHOWN)}; it has {listed(there, SHOWN)}.")
    words = [name for name, holds_numbers in there.items() if not holds_numbers]
    refused = [name for name in columns if name in words]
    if refused:
        numbers = [name for name in there if name not in words]
        raise ValueError(
            f"{source!r} has columns that are no numbers: {listed(refused, SHOWN)}; choose others, with "
            f"--columns {','.join(map(escaped, numbers))}"
        )
    if columns:
        return list(columns)
    if of_fit and all(there.get(name) for name in of_fit):
        return list(of_fit)
    left = [name for name in there if name not in (*drop, *index)]
    taken = [name for name in left if name not in words]
    if not taken:
        raise ValueError(f"{source!r} has no column of numbers; it has {listed(there, SHOWN)}.")
    if len(taken) < len(left):
        set_aside = [name for name in left if name in words]
        warn(
            f"{source!r} has columns that are no numbers: {listed(set_aside, SHOWN)}; "
            "they are left out. One that is an id of the rows is kept by --index (index=), and --drop "
            "(drop=) leaves one out without a word."
        )
    return taken


def check_same_columns(
    path: str, taken: Sequence[Any], first: Mapping[Any, bool], there: Mapping[Any, bool], *, everything: bool
) -> None:
    """Raise ValueError unless a file has the columns that are taken, of numbers where those of the first are.

    Parameters
    ----------
    path : str
        The file, for messages.
    taken : sequence of str
    first, there : dict of name to bool
        The columns of the first file and of this one, and whether each holds numbers.
    everything : bool
        Whether all columns of the first file are taken, so that it may have no others.
    """
    absent = [str(name) for name in taken if name not in there]
    more = [str(name) for name in there if name not in first] if everything else []
    if absent or more:
        lacks = f"lacks {listed(absent, SHOWN)}" if absent else ""
        has = f"has {listed(more, SHOWN)} besides" if more else ""
        raise ValueError(
            f"{path!r} has other columns than the first file: it {' and '.join(filter(None, (lacks, has)))}; "
            "choose what all files have, with --columns A,B,..."
        )
    words = [str(name) for name in taken if first[name] and not there[name]]
    if words:
        numbers = ",".join(escaped(name) for name, holds_numbers in there.items() if holds_numbers)
        raise ValueError(
            f"{path!r} has columns that are no numbers: {listed(words, SHOWN)}; choose others, with "
            f"--columns {numbers}"
        )
