"""Which settings go with which credentials; pure, fed by the watchers through the agent.

Never a lower revision, never settings without the credentials that they need. Several sources
(files, API server) may show the same revision at different times: the first of it counts. From
files alone, as a developer edits them, a change counts at an equal revision too.

What can't be read leaves in force what was, and is a problem of the source that showed it: another
source with older text that is right doesn't end it. Settings that come before their credentials are
a problem only once they have waited for PATIENCE, since the two objects arrive one after the other.
"""

from __future__ import annotations

from dbproxy.facts import Problem, Source
from dbproxy.settings import Config, Credentials, Settings, pair_faults

# Seconds. The API server shows both objects within one, a mounted volume both at once.
PATIENCE = 10.0


class Pairing:
    """The newest settings and credentials, and the newest pair of them that is complete."""

    def __init__(self, *, accept_equal: bool) -> None:
        self._accept_equal = accept_equal
        self._settings: list[Settings] = []
        self._credentials: Credentials | None = None
        self._unreadable: dict[tuple[str, Source], str] = {}
        self._waiting_since: float | None = None

    def problem(self, now: float) -> Problem | None:
        """Why the newest configuration is not the one that is served, if so."""
        unreadable = sorted({text for text in self._unreadable.values() if text})
        if unreadable:
            return Problem("InvalidSettings", "; ".join(unreadable))
        if self._waiting_since is not None and now >= self._waiting_since + PATIENCE:
            return Problem("WaitingForCredentials", "; ".join(self._lacking()))
        return None

    def next_deadline(self, now: float) -> float | None:
        """When there will be a problem although nothing happens."""
        if self._waiting_since is None or now >= self._waiting_since + PATIENCE:
            return None
        return self._waiting_since + PATIENCE

    def learn_settings(self, settings: Settings, now: float) -> bool:
        """Whether these are news."""
        newest = self._settings[-1] if self._settings else None
        if newest is not None and not self._newer(settings.revision, newest.revision):
            return False
        # Older ones are of use only until newer ones have their credentials.
        served = self.newest()
        self._settings = [served.settings, settings] if served else [settings]
        self._note_waiting(now)
        return True

    def learn_credentials(self, credentials: Credentials, now: float) -> bool:
        """Whether these are news."""
        newest = self._credentials
        if newest is not None and not self._newer(credentials.revision, newest.revision):
            return False
        self._credentials = credentials
        self._note_waiting(now)
        return True

    def settings_problem(self, source: Source, problem: str) -> None:
        self._unreadable["settings", source] = problem

    def credentials_problem(self, source: Source, problem: str) -> None:
        self._unreadable["credentials", source] = problem

    def newest(self) -> Config | None:
        """The pair to serve."""
        if self._credentials is None:
            return None
        for settings in reversed(self._settings):
            if not pair_faults(settings, self._credentials):
                return Config(settings, self._credentials)
        return None

    def _lacking(self) -> list[str]:
        if not self._settings:
            return []
        if self._credentials is None:
            return ["there are no credentials yet"]
        return [str(fault) for fault in pair_faults(self._settings[-1], self._credentials)]

    def _note_waiting(self, now: float) -> None:
        if not self._lacking():
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now

    def _newer(self, revision: int, than: int) -> bool:
        return revision >= than if self._accept_equal else revision > than
