"""Servers of any protocol that play a script to their clients: hostile bytes, for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from dbproxy.probe.engines.base import ProbeSpec

SECRET = "a-secret-password"


@dataclass
class Server:
    """Plays a script to each client, and keeps what it was told."""

    port: int = 0
    heard: bytearray = field(default_factory=bytearray)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def spec(self, mode: str) -> ProbeSpec:
        return ProbeSpec("db", "127.0.0.1", self.port, "monitor", (SECRET,), mode, None)


Play = Callable[[Server, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Play], Awaitable[Server]]


@contextlib.asynccontextmanager
async def scripted_servers() -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []
    clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def begin(play: Play) -> Server:
        server = Server()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server.connections += 1
            task = asyncio.current_task()
            assert task is not None
            clients[task] = writer
            try:
                await play(server, reader, writer)
                while data := await reader.read(4096):
                    server.heard += data
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                server.ended.set()
                writer.transport.abort()

        listening = await asyncio.start_server(client, "127.0.0.1", 0)
        servers.append(listening)
        server.port = listening.sockets[0].getsockname()[1]
        return server

    try:
        yield begin
    finally:
        for listening in servers:
            listening.close()
        for writer in clients.values():
            writer.transport.abort()
        await asyncio.gather(*clients)
