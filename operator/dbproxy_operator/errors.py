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


# How long what may yet come is waited for, unless the problem says otherwise.
PATIENCE = 60.0
_NAMED = 5


@dataclass(frozen=True)
class Problem:
    """A fact that keeps an object from being Ready, in the words that the user will read.

    `contradiction`: time alone can't heal it, so it is Stalled at once. Anything else may yet come:
    Reconciling first, Stalled after `patience` seconds. `waits_for`: the pods or objects that are
    waited for. `unwatched`: what ends it wakes nobody, so it is looked at again now and then.
    """

    reason: str
    message: str
    contradiction: bool = False
    patience: float = PATIENCE
    waits_for: tuple[str, ...] = ()
    unwatched: bool = False

    @property
    def told(self) -> str:
        """The message with the names, a few of them if they are many."""
        if not self.waits_for:
            return self.message
        shown = ", ".join(self.waits_for[:_NAMED])
        more = len(self.waits_for) - _NAMED
        return f"{self.message}: {shown}" + (f" and {more} more" if more > 0 else "")
