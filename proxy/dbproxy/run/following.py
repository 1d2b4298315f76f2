"""What an agent follows: its configuration, and the election that this names.

The mounted files come first; they name the objects that are watched at the API server from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dbproxy.decide.planner import election_name
from dbproxy.envelope import Envelope
from dbproxy.facts import Election, Source
from dbproxy.run.options import Options
from dbproxy.settings import Config, Credentials, Settings
from dbproxy.tasks import Tasks
from dbproxy.watch.config import ConfigWatch
from dbproxy.watch.credentials import CredentialsWatch
from dbproxy.watch.election import ElectionWatch, reread_every


@dataclass(frozen=True)
class Heard:
    """Who is told what. `envelope`: of settings in a format that is not known. `election_read`:
    that the election is known to be as it was told last."""

    settings: Callable[[Settings], None]
    envelope: Callable[[Envelope], None]
    settings_problem: Callable[[Source, str], None]
    credentials: Callable[[Credentials], None]
    credentials_problem: Callable[[Source, str], None]
    election: Callable[[Election], None]
    election_read: Callable[[], None]


class Following:
    """The watches; each is begun once it is known what to watch."""

    def __init__(self, options: Options, heard: Heard, tasks: Tasks) -> None:
        self._options = options
        self._heard = heard
        self._tasks = tasks
        self._settings = ConfigWatch(heard.settings, heard.settings_problem, heard.envelope)
        self._credentials = CredentialsWatch(heard.credentials, heard.credentials_problem)
        self._election = ElectionWatch(heard.election, heard.election_read)
        self._election_task: asyncio.Task[None] | None = None
        self._followed: str | None = None
        self._objects = ""

    @property
    def election_read_at(self) -> float:
        return self._election.read_at

    def doubt_election(self) -> None:
        """SQL doubts the writer: read it again at once."""
        self._election.doubt()

    def begin(self) -> None:
        directory = self._options.config_dir
        self._tasks.spawn(self._settings.follow_files(directory), "settings file")
        self._tasks.spawn(self._credentials.follow_files(directory), "credentials files")

    def follow_objects(self, namespace: str, proxy: str) -> None:
        """Watch that proxy's configuration at the API server; once."""
        kube = self._options.kube
        if kube is None or self._objects:
            return
        self._objects = name = f"{proxy}-config"
        watches = {
            "settings": self._settings.follow_api(kube, namespace, name),
            "credentials": self._credentials.follow_api(kube, namespace, name),
        }
        for kind, watch in watches.items():
            self._tasks.spawn(watch, f"watch {kind}")

    def follow_election(self, config: Config) -> None:
        """Watch the election that the configuration names, and no other."""
        group = config.settings.target_group
        name = election_name(group)
        if name != self._followed:
            self._followed = name
            self._change_election(config.settings.proxy.namespace, name)
        self._election.reread = reread_every(group)

    def _change_election(self, namespace: str, name: str | None) -> None:
        if self._election_task is not None:
            self._election_task.cancel()
            self._election_task = None
        if name is None:
            return
        self._election = ElectionWatch(self._heard.election, self._heard.election_read)
        kube, directory = self._options.kube, self._options.election_dir
        if directory is not None:
            work = self._election.follow_files(directory)
        elif kube is not None:
            work = self._election.follow_api(kube, namespace, name)
        else:
            told = "outside Kubernetes writerElection needs --election-dir"
            self._heard.election(Election("NOT_FOUND", message=told))
            return
        self._election_task = self._tasks.spawn(work, "election")
