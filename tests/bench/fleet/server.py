"""The API servers on loopback, for one run each: a real one with its etcd, and one in memory."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.cluster.node import binaries, paths

Object = dict[str, Any]
PATIENCE = 120.0
# What is started ends with us, also when we are killed.
WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
CRD_FOLDER = paths.CHECKOUT / "crds"
CRDS = {path.stem: path.read_bytes() for path in CRD_FOLDER.glob("*.yaml")}


class ServerError(Exception):
    """The API server does not come up, or refuses what the bench needs; the text says why."""


class Server(ABC):
    """Context manager; `home` is a folder of its own that the caller removes."""

    title: ClassVar[str]

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home
        self.token = secrets.token_hex(16)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = f"https://127.0.0.1:{free_port()}"
        self.kubeconfig = home / "kubeconfig"

    def __enter__(self) -> Self:
        self._write_kubeconfig()
        self._start_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def session(self) -> aiohttp.ClientSession:
        """Authorized, without limit on connections; paths are relative."""
        return aiohttp.ClientSession(
            self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            connector=aiohttp.TCPConnector(ssl=False, limit=64),
            timeout=aiohttp.ClientTimeout(total=None, connect=30),
            read_bufsize=4 * 1024 * 1024,
        )

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Waits until it serves, the three custom resources too."""
        deadline = time.monotonic() + PATIENCE
        while not await _answers(session, "/readyz"):
            if any(process.poll() is not None for process in self._processes):
                raise ServerError(f"it ended: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerError(f"it is not ready: {self.last_words()}")
            await asyncio.sleep(0.2)
        await self._install(session)
        for plural in CRDS:
            while not await _answers(session, f"/apis/dbproxy.dev/v1alpha1/{plural}"):
                if time.monotonic() > deadline:
                    raise ServerError(f"{plural} are not served")
                await asyncio.sleep(0.2)

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(process.pid) for process in self._processes)

    def last_words(self) -> str:
        logs = sorted(self._home.glob("*.log"))
        return "\n".join(line for log in logs for line in log.read_text().splitlines()[-5:])

    @abstractmethod
    def _start_all(self) -> None: ...

    @abstractmethod
    async def _install(self, session: aiohttp.ClientSession) -> None:
        """Makes it serve the custom resources."""

    def _start(self, program: Path, *arguments: str) -> None:
        with (self._home / f"{program.name}.log").open("wb") as log:
            command = [*WITH_US, str(program), *arguments]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self._processes.append(process)

    def _write_kubeconfig(self) -> None:
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bench", "cluster": cluster}],
            "users": [{"name": "bench", "user": {"token": self.token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "current-context": "bench",
        }
        self.kubeconfig.write_text(json.dumps(document))


class MemoryServer(Server):
    """Keeps all in memory and costs little: what is slow beside it is the operator."""

    title = "API server in memory"

    def _start_all(self) -> None:
        address = self.url.removeprefix("https://")
        self._start(binaries.memory_server(), "-address", address, "-crds", str(CRD_FOLDER))

    async def _install(self, session: aiohttp.ClientSession) -> None:
        """It was started with them."""


class ApiServer(Server):
    """A real kube-apiserver with its etcd."""

    title = "real API server"

    def _start_all(self) -> None:
        etcd = f"http://127.0.0.1:{free_port()}"
        (self._home / "tokens.csv").write_text(f"{self.token},bench,bench,system:masters\n")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self._home / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self._start(paths.BINARIES / "etcd", *self._etcd(etcd))
        self._start(paths.BINARIES / "kube-apiserver", *self._apiserver(etcd))

    async def _install(self, session: aiohttp.ClientSession) -> None:
        for plural, text in CRDS.items():
            url = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.dbproxy.dev"
            await send(session, "PATCH", url, text, manager="bench")

    def _etcd(self, url: str) -> list[str]:
        return [
            f"--data-dir={self._home}/etcd",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
            "--log-level=warn",
            "--unsafe-no-fsync",
        ]

    def _apiserver(self, etcd: str) -> list[str]:
        return [
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.url.rpartition(':')[2]}",
            f"--cert-dir={self._home}/certs",
            f"--token-auth-file={self._home}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self._home}/sa.key",
            f"--service-account-key-file={self._home}/sa.key",
            # It wants an account in each namespace, which a controller would make.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        ]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def send(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    body: object = None,
    *,
    manager: str = "",
) -> Object:
    """One call; with a `manager` an apply by force. ServerError unless it is a success."""
    params = {"fieldManager": manager, "force": "true"} if manager else {}
    kind = "application/json"
    if method == "PATCH":
        kind = "application/apply-patch+yaml" if manager else "application/merge-patch+json"
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    async with session.request(
        method, url, params=params, data=data, headers={"Content-Type": kind}
    ) as response:
        text = await response.text()
        if response.status >= 300:
            raise ServerError(f"{method} {url}: {response.status}: {text[:500]}")
        return dict(json.loads(text))


async def watched(
    session: aiohttp.ClientSession, url: str, label_selector: str = ""
) -> AsyncGenerator[Object, None]:
    """What there is, and each change of it; its deletions don't matter here."""
    params = {"labelSelector": label_selector, "watch": "1", "timeoutSeconds": "86400"}
    async with session.get(url, params=params) as response:
        if response.status != 200:
            raise ServerError(f"{url}: {response.status}: {await response.text()}")
        async for line in response.content:
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise ServerError(str(event["object"].get("message")))
            if event["type"] in ("ADDED", "MODIFIED"):
                yield event["object"]


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False
