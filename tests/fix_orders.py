"""What examples/ shows, in a namespace of its own: PostgreSQL with a replica, and two proxy pods.

For end-to-end tests of the data plane, which share it: `orders` puts it right before each test. The
databases stop and start within their pods, so a former writer comes back as the new one's replica.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from tests.e2e.ledger import Failure
from tests.fix_cluster import (
    ROOT,
    Cluster,
    Object,
    RefusedError,
    eventually,
    fresh_namespace,
    tool,
)
from tests.fix_shop import Shop

DATABASES = ("db-0", "db-1")
PROGRAMS = ("tests/raw_client.py", "tests/e2e/ledger.py")
# The example's script runs below a shell that can hold it back.
HELD = """
while :; do
  until [ ! -e /data/stopped ]; do sleep 0.1; done
  bash /scripts/run.sh & wait $!
done
"""
PASSWORD = "app-of-the-example"
TABLE = """create table if not exists ledger (
  run text, client int, number int,
  server text default current_setting('cluster_name'),
  at timestamptz default clock_timestamp())"""
APP_SESSIONS = "select count(*) from pg_stat_activity where usename = 'app'"
REPLICAS = 2


@dataclass(frozen=True)
class Kept:
    """The books of a finished run of the ledger, as the clients kept them."""

    run: str
    committed: dict[tuple[int, int], float]
    failures: list[Failure]
    idle: list[str]
    pinned: list[str]


class Writing:
    """A run of the ledger that goes on until `finish`."""

    def __init__(self, process: subprocess.Popen[str], run: str) -> None:
        self._process = process
        self._run = run
        assert process.stdout is not None
        line = process.stdout.readline()
        if line.strip() != "ready":
            process.kill()
            _, error = process.communicate()
            pytest.fail(f"the ledger did not begin: {line}{error}")

    def finish(self) -> Kept:
        output, error = self._process.communicate(timeout=120)
        if not output:
            pytest.fail(f"the ledger ended without its books: {error}")
        books = json.loads(output)
        return Kept(
            self._run,
            {(client, number): at for client, number, at in books["committed"]},
            [Failure(**one) for one in books["failures"]],
            books["idle"],
            books["pinned"],
        )


@dataclass
class Timing:
    """How many seconds things took."""

    ready: float = 0.0


@dataclass(frozen=True)
class Orders(Shop):
    """The proxy `orders`, its group `orders-db`, and the databases behind it."""

    timing: Timing = field(default_factory=Timing)

    # -- the databases ----------------------------------------------------------------------------

    def on(self, database: str, sql: str) -> str:
        """What a database itself answers, asked by its superuser."""
        words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "/tmp", "-U", "postgres"]
        return self.cluster.kubectl("exec", database, "--", *words, "-d", "shop", "-c", sql).strip()

    def stop(self, database: str, mode: str = "fast") -> None:
        halt = f"touch /data/stopped && pg_ctl -D /data/pgdata -m {mode} -w stop"
        self.cluster.kubectl("exec", database, "--", "bash", "-c", halt)

    def start(self, database: str) -> None:
        """It comes back as it was, or as a copy of the other one where that is primary now."""
        self.cluster.kubectl("exec", database, "--", "rm", "-f", "/data/stopped")
        eventually(lambda: self.role(database), f"{database} answers again")

    def role(self, database: str) -> str:
        """`primary`, `standby`, or nothing while it does not answer."""
        try:
            return {"f": "primary", "t": "standby"}[self.on(database, "select pg_is_in_recovery()")]
        except RefusedError:
            return ""

    def promote(self, database: str) -> None:
        assert self.on(database, "select pg_promote(true, 30)") == "t"

    def rejoin(self, database: str) -> None:
        """Make a former writer the new one's replica."""
        self.stop(database, "immediate")
        self.start(database)
        eventually(lambda: self.role(database) == "standby", f"{database} is a replica")

    # -- the election -----------------------------------------------------------------------------

    def elected(self) -> tuple[str, int]:
        seen = self.cluster.get("configmap", "orders-election")
        assert seen is not None
        return seen["data"]["writer"], int(seen["data"]["epoch"])

    def elect(self, database: str) -> int:
        """Name the writer; the epoch that says so."""
        epoch = self.elected()[1] + 1
        data = {"writer": database, "epoch": str(epoch)}
        self.cluster.patch("configmap", "orders-election", {"data": data})
        return epoch

    def others(self) -> tuple[str, str]:
        """The writer, and the one that is not."""
        writer = self.elected()[0]
        return writer, next(name for name in DATABASES if name != writer)

    # -- what the proxy says ----------------------------------------------------------------------

    def status(self) -> Object:
        seen = self.cluster.get("dbptg", "orders-db")
        assert seen is not None
        status: Object = seen["status"]
        return status

    def reports(self) -> dict[str, Object]:
        return {entry["pod"]: entry for entry in self.status().get("proxies", [])}

    def acknowledged(self, epoch: int) -> bool:
        reports = self.reports()
        return all(
            reports.get(pod, {}).get("acknowledged", {}).get("epoch") == epoch
            for pod in self.pods()
        )

    def health(self, database: str) -> tuple[str, str]:
        """State and reason of a target."""
        for target in self.status().get("targets", []):
            if target["name"] == database:
                health = target["targetHealth"]
                return health["state"], health.get("reason", "")
        return "", ""

    def serving(self, replicas: int = REPLICAS) -> bool:
        """Whether so many pods, and no others, are there and ready."""
        found = self.cluster.list("pods", "dbproxy.dev/proxy=orders")
        ready = [
            condition["status"] == "True"
            for pod in found
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "Ready"
        ]
        return len(found) == replicas and ready == [True] * replicas

    def becomes(self, database: str, state: str, reason: str) -> None:
        """Wait until a target's health is this."""
        try:
            eventually(lambda: self.health(database) == (state, reason), "", 120)
        except pytest.fail.Exception:
            pytest.fail(f"{database} is not {state}/{reason} but {self.status()}")

    def metrics(self, pod: str) -> str:
        path = f"/api/v1/namespaces/{self.name}/pods/{pod}:8080/proxy/metrics"
        return self.cluster.kubectl("get", "--raw", path)

    # -- the clients ------------------------------------------------------------------------------

    def in_client(self, *words: str, seconds: float = 90) -> str:
        return self.cluster.kubectl("exec", "client", "--", *words, seconds=seconds)

    def ask(self, sql: str, **environment: str) -> str:
        """What psql gets in the client's pod, whose environment says where and who."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]
        return self.in_client("env", *settings, *words).strip()

    def must_work(self, **login: str) -> None:
        assert self.ask("select 1", **login) == "1"

    def writes(self) -> bool:
        """Whether a write gets through now."""
        try:
            self.ask("insert into ledger (run) values ('a single row')")
        except RefusedError:
            return False
        return True

    @contextlib.contextmanager
    def running(self, *words: str, pod: str = "client") -> Iterator[subprocess.Popen[str]]:
        """A program in a pod, which reads what the test writes; it is ended at last."""
        where = ["--kubeconfig", str(self.cluster.kubeconfig), "-n", self.name]
        pipe = subprocess.PIPE
        command = [tool("kubectl"), *where, "exec", "-i", pod, "--", *words]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def writing(self, **order: Any) -> Iterator[Writing]:
        """Clients that write and keep books, from when each has committed."""
        run = uuid4().hex
        full = {"host": f"orders.{self.name}.svc", "password": PASSWORD, "run": run, **order}
        program = ["env", "PYTHONPATH=/programs", "python3", "-m", "tests.e2e.ledger"]
        with self.running(*program, json.dumps(full)) as process:
            yield Writing(process, run)

    def rows(self, kept: Kept, database: str) -> list[tuple[int, int]]:
        """What a run's clients wrote into this very database, not what was copied to it."""
        asked = f"select client, number from ledger where run = '{kept.run}'"
        lines = self.on(database, f"{asked} and server = '{database}'").splitlines()
        return [(int(client), int(number)) for client, number in (row.split("|") for row in lines)]

    # -- order ------------------------------------------------------------------------------------

    def put_right(self) -> None:
        """Whatever a test left behind: both databases up, one of them a replica, two pods ready."""
        writer, other = self.others()
        for database in (writer, other):
            if not self.role(database):
                self.start(database)
        if self.role(writer) == "standby":
            writer, other = other, writer
            self.elect(writer)
        if self.role(other) == "primary":
            self.rejoin(other)
        eventually(self.serving, "two proxy pods serve", 120)
        self.ready("dbproxy/orders", "dbptg/orders-db", "dbproxyendpoint/orders-readonly")
        eventually(
            lambda: all(self.health(name)[0] == "AVAILABLE" for name in DATABASES),
            "both targets are available",
        )
        eventually(self.reached, "the node knows the proxy's Service")


def example(namespace: str, name: str) -> list[Object]:
    """A manifest of examples/, moved to another namespace."""
    text = (ROOT / "examples" / name).read_text()
    text = text.replace("namespace: shop", f"namespace: {namespace}")
    return list(yaml.safe_load_all(text.replace(".shop.svc", f".{namespace}.svc")))


def databases(namespace: str) -> list[Object]:
    made = example(namespace, "20-postgresql.yaml")
    pod = next(one for one in made if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 1
    pod["containers"][0]["command"] = ["bash", "-c", HELD]
    return made


def programs() -> Object:
    data = {Path(path).name: (ROOT / path).read_text() for path in PROGRAMS}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "programs"},
        "data": data,
    }


def client(namespace: str) -> list[Object]:
    made = example(namespace, "50-client.yaml")
    spec = made[0]["spec"]
    items = [{"key": Path(path).name, "path": path} for path in PROGRAMS]
    spec["volumes"].append({"name": "programs", "configMap": {"name": "programs", "items": items}})
    spec["containers"][0]["volumeMounts"].append({"name": "programs", "mountPath": "/programs"})
    return [programs(), *made]


def open_orders(cluster: Cluster) -> Orders:
    orders = Orders(cluster)
    name = orders.name
    cluster.apply(*example(name, "10-secrets.yaml"), *databases(name))
    cluster.kubectl("rollout", "status", "statefulset/db", "--timeout=120s", seconds=130)
    eventually(lambda: orders.role("db-1") == "standby", "the replica follows")
    began = time.monotonic()
    cluster.apply(*example(name, "40-election.yaml"), *example(name, "30-dbproxy.yaml"))
    orders.ready("dbproxy/orders", "dbptg/orders-db", "dbproxyendpoint/orders-readonly")
    orders.timing.ready = time.monotonic() - began
    cluster.apply(*client(name))
    orders.ready("pod/client")
    eventually(orders.reached, "the node knows the proxy's Service")
    orders.ask(TABLE)
    orders.in_client("pgbench", "--initialize", "--quiet")
    return orders


@pytest.fixture(scope="session")
def opened_orders(operator: Cluster) -> Iterator[Orders]:
    with fresh_namespace(operator, "dp") as fresh:
        yield open_orders(fresh)


@pytest.fixture
def orders(opened_orders: Orders) -> Orders:
    opened_orders.put_right()
    return opened_orders
