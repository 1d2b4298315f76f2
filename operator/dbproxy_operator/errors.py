"""What can go wrong, by whose fault; every room may import this one.

`Problem` is the user's (or the world's) and becomes a condition, never a hot loop. Anything that is
raised is ours or the API server's: it is logged, counted and retried with back-off.
"""

from dataclasses import dataclass


class SpecError(Exception):
    """The resource says something that its CRD should have refused; the text says where."""


class LeaseLostError(Exception):
    """Another operator may be working now: this process must end at once."""


class StartupError(Exception):
    """The operator can't work here; the text tells what to do about it."""


@dataclass(frozen=True)
class Problem:
    """A fact that keeps an object from being Ready, in the words that the user will read.

    `contradiction`: time alone can't heal it, so it is Stalled at once. Otherwise it is a reference
    that may yet appear: Reconciling first, Stalled after a while.
    """

    reason: str
    message: str
    contradiction: bool = False
