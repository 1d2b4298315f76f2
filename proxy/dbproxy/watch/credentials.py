"""The Secret of this pod: users, monitor and certificates; sources and silence as in `config`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbproxy.errors import ConfigError
from dbproxy.facts import Source
from dbproxy.logs import Log
from dbproxy.settings import CREDENTIALS_FILE, SECRET_FILES, Credentials, parse_credentials
from dbproxy.watch.files import follow

if TYPE_CHECKING:
    from dbproxy.kube import Kube

log = Log(__name__)


class CredentialsWatch:
    """Emits `Credentials`, and the faults of those that can't be parsed ("" when right)."""

    def __init__(
        self,
        on_credentials: Callable[[Credentials], None],
        on_problem: Callable[[Source, str], None],
    ) -> None:
        self._on_credentials = on_credentials
        self._on_problem = on_problem
        self._last: dict[Source, dict[str, bytes]] = {}

    async def follow_files(self, directory: Path) -> None:
        async for files in follow(directory, SECRET_FILES):
            if CREDENTIALS_FILE in files:
                self._learn(files, "file")

    async def follow_api(self, kube: Kube, namespace: str, name: str) -> None:
        from dbproxy.kube import Seen

        async for seen in kube.watch("secrets", namespace, name):
            if isinstance(seen, Seen) and seen.value is not None:
                self._learn(decode_secret(seen.value), "api")

    def _learn(self, files: dict[str, bytes], source: Source) -> None:
        if files == self._last.get(source):
            return
        self._last[source] = files
        try:
            credentials = parse_credentials(files)
        except ConfigError as error:
            log.error("credentials_refused", source=source, faults=[str(f) for f in error.faults])
            self._on_problem(source, str(error))
            return
        self._on_problem(source, "")
        self._on_credentials(credentials)


def decode_secret(secret: dict[str, Any]) -> dict[str, bytes]:
    """The keys of a Secret that matter here; one that isn't base64 is left out."""
    files = {}
    for name, text in (secret.get("data") or {}).items():
        if name in SECRET_FILES:
            try:
                files[name] = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue
    return files
