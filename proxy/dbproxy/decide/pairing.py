"""Which settings go with which credentials; pure, fed by the watchers through the agent.

Never a lower revision, never settings without the credentials that they need. Several sources
(files, API server) may show the same revision at different times: the first of it counts. From
files alone, as a developer edits them, a change counts at an equal revision too.
"""

from __future__ import annotations

from dbproxy.settings import Config, Credentials, Settings, pair_faults


class Pairing:
    """The newest settings and credentials, and the newest pair of them that is complete."""

    def __init__(self, *, accept_equal: bool) -> None:
        self._accept_equal = accept_equal
        self._settings: list[Settings] = []
        self._credentials: Credentials | None = None
        self._settings_problem = ""
        self._credentials_problem = ""

    @property
    def problem(self) -> str:
        """Why the newest configuration is not the one that is served, if so."""
        told = [self._settings_problem, self._credentials_problem]
        if self._settings and self._credentials is None:
            told.append("there are no credentials yet")
        elif self._settings and self._credentials is not None:
            told += [str(fault) for fault in pair_faults(self._settings[-1], self._credentials)]
        return "; ".join(text for text in told if text)

    def learn_settings(self, settings: Settings) -> bool:
        """Whether these are news."""
        newest = self._settings[-1] if self._settings else None
        if newest is not None and not self._newer(settings.revision, newest.revision):
            return False
        # Older ones are of use only until newer ones have their credentials.
        served = self.newest()
        self._settings = [served.settings, settings] if served else [settings]
        return True

    def learn_credentials(self, credentials: Credentials) -> bool:
        """Whether these are news."""
        newest = self._credentials
        if newest is not None and not self._newer(credentials.revision, newest.revision):
            return False
        self._credentials = credentials
        return True

    def settings_problem(self, problem: str) -> None:
        self._settings_problem = problem

    def credentials_problem(self, problem: str) -> None:
        self._credentials_problem = problem

    def newest(self) -> Config | None:
        """The pair to serve."""
        if self._credentials is None:
            return None
        for settings in reversed(self._settings):
            if not pair_faults(settings, self._credentials):
                return Config(settings, self._credentials)
        return None

    def _newer(self, revision: int, than: int) -> bool:
        return revision >= than if self._accept_equal else revision > than
