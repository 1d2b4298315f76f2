"""The settings of this pod: from the mounted file at the start, from the API server as they change.

An object that is deleted, forbidden or unreachable emits nothing: what was learnt before stays. A
fault is told with its source, and only a text of that source that is right ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dbproxy.envelope import Envelope, UnknownFormatError
from dbproxy.errors import ConfigError
from dbproxy.facts import Source
from dbproxy.logs import Log
from dbproxy.settings import SETTINGS_FILE, Settings, parse_settings
from dbproxy.watch.files import follow

if TYPE_CHECKING:
    from dbproxy.kube import Kube

log = Log(__name__)


class ConfigWatch:
    """Emits `Settings`, and the faults of those that can't be parsed ("" when they are right); of
    those in a format that is not known, what every format says."""

    def __init__(
        self,
        on_settings: Callable[[Settings], None],
        on_problem: Callable[[Source, str], None],
        on_envelope: Callable[[Envelope], None],
    ) -> None:
        self._on_settings = on_settings
        self._on_problem = on_problem
        self._on_envelope = on_envelope
        self._last: dict[Source, bytes] = {}

    async def follow_files(self, directory: Path) -> None:
        async for files in follow(directory, (SETTINGS_FILE,)):
            if SETTINGS_FILE in files:
                self._learn(files[SETTINGS_FILE], "file")

    async def follow_api(self, kube: Kube, namespace: str, name: str) -> None:
        from dbproxy.kube import Seen

        async for seen in kube.watch("configmaps", namespace, name):
            if not isinstance(seen, Seen) or seen.value is None:
                continue
            text = (seen.value.get("data") or {}).get(SETTINGS_FILE)
            if text is None:
                self._on_problem("api", f"{SETTINGS_FILE}: is missing in the ConfigMap")
                self._last.pop("api", None)
            else:
                self._learn(text.encode(), "api")

    def _learn(self, text: bytes, source: Source) -> None:
        if text == self._last.get(source):
            return
        self._last[source] = text
        try:
            settings = parse_settings(text)
        except ConfigError as error:
            log.error("settings_refused", source=source, faults=[str(f) for f in error.faults])
            self._on_problem(source, str(error))
            if isinstance(error, UnknownFormatError) and error.envelope is not None:
                self._on_envelope(error.envelope)
            return
        self._on_problem(source, "")
        self._on_settings(settings)
