"""Clients and probes come by IPv4 and by IPv6, each in a network namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.fix_proxy import PACKAGE, Proxy, ProxyFactory
from tests.servers import HOST, free_port, wait_until

# Asks for TLS, then for the health; both ports must answer under that address.
PROBE = """
import socket, sys, urllib.request
host, port, http_port = sys.argv[1:]
with socket.create_connection((host, int(port)), 5) as client:
    client.sendall(bytes.fromhex("0000000804d2162f"))
    answer = client.recv(1).decode()
name = f"[{host}]" if ":" in host else host
with urllib.request.urlopen(f"http://{name}:{http_port}/healthz", timeout=5) as found:
    print(answer, found.status)
"""

Start = Callable[[str], int]


@pytest.fixture
def quiet(make_proxy: ProxyFactory) -> Proxy:
    """A proxy that isn't started, of a target that isn't there."""
    proxy = make_proxy(start=False)
    proxy.write_group(targets=[{"name": "db-0", "host": HOST, "port": free_port()}])
    return proxy


@pytest.fixture
def start_in_namespace(quiet: Proxy) -> Iterator[Start]:
    """Starts it, with the address that it has by default, in a namespace set up by that script."""
    with ExitStack() as stack:

        def start(script: str) -> int:
            command = quiet.command()
            at = command.index("--listen-address")
            del command[at : at + 2]
            process = subprocess.Popen(
                ["unshare", "--net", "sh", "-ec", f'{script}; exec "$@"', "sh", *command],
                env=os.environ | {"PYTHONPATH": str(PACKAGE)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process.pid

        yield start


def answers(proxy: Proxy, pid: int, host: str) -> bool:
    """Whether both ports answer under that address of the namespace."""
    asking = [sys.executable, "-c", PROBE, host, str(proxy.port), str(proxy.http_port)]
    asked = subprocess.run(
        ["nsenter", "--target", str(pid), "--net", *asking],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.split() == ["S", "200"]


def test_a_pod_that_has_only_ipv6_serves(quiet: Proxy, start_in_namespace: Start) -> None:
    pid = start_in_namespace("ip link set lo up; ip address delete 127.0.0.1/8 dev lo")
    wait_until(lambda: answers(quiet, pid, "::1"), "clients and probes come in by IPv6")
    assert not answers(quiet, pid, "127.0.0.1")


def test_a_pod_that_has_both_families_serves_both(quiet: Proxy, start_in_namespace: Start) -> None:
    pid = start_in_namespace("ip link set lo up")
    wait_until(lambda: answers(quiet, pid, "::1"), "clients and probes come in by IPv6")
    wait_until(lambda: answers(quiet, pid, "127.0.0.1"), "clients and probes come in by IPv4")


def test_a_pod_whose_ipv6_is_switched_off_serves_by_ipv4(
    quiet: Proxy, start_in_namespace: Start
) -> None:
    off = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up"
    pid = start_in_namespace(off)
    wait_until(lambda: answers(quiet, pid, "127.0.0.1"), "clients and probes come in by IPv4")
