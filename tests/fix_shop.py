"""A DBProxy of a test's own, in a fresh namespace, in front of one PostgreSQL that all tests share.

For end-to-end tests of what the operator does. psql runs in the database's pod.
"""

import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.fix_cluster import (
    SYSTEM,
    Cluster,
    Object,
    RefusedError,
    eventually,
    fresh_namespace,
    tool,
)
from tests.resources import endpoint, group, proxy

DATABASE = "e2e-database"
HOST = f"db-0.db.{DATABASE}.svc"
MANIFEST = Path(__file__).resolve().parent / "e2e" / "database.yaml"
OPERATOR = "dbproxy-operator"


def basic_auth(name: str, user: str, password: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/basic-auth",
        "stringData": {"username": user, "password": password},
    }


def election(writer: str, epoch: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "orders-election"},
        "data": {"writer": writer, "epoch": epoch},
    }


def targets(*hosts: str) -> list[Object]:
    return [{"name": f"db-{number}", "host": host} for number, host in enumerate(hosts or (HOST,))]


@dataclass(frozen=True)
class Shop:
    """One namespace with a proxy `orders`, its group `orders-db` and whatever a test adds."""

    cluster: Cluster

    @property
    def name(self) -> str:
        return self.cluster.namespace

    def open(self, *, group_spec: dict[str, Any] | None = None, **proxy_spec: Any) -> None:
        """Apply the usual objects; wait until they are Ready, and their Service is reached."""
        pool = {"maxConnectionsPercent": 10, "connectionBorrowTimeout": 20}
        self.cluster.apply(
            basic_auth("app", "app", "app-1"),
            basic_auth("monitor", "monitor", "monitor-1"),
            proxy(**{"replicas": 1, "drainTimeout": 5} | proxy_spec),
            group(
                **{
                    "targets": targets(),
                    "monitorSecretRef": {"name": "monitor"},
                    "connectionPoolConfig": pool,
                }
                | (group_spec or {})
            ),
        )
        self.ready("dbproxy/orders", "dbproxytargetgroup/orders-db")
        eventually(self.reached, "the node knows the proxy's Service")

    def add_endpoint(self, **spec: Any) -> None:
        self.cluster.apply(endpoint(**spec))

    def ready(self, *what: str, seconds: int = 90) -> None:
        self.cluster.kubectl(
            *("wait", "--for=condition=Ready", f"--timeout={seconds}s", *what), seconds=seconds + 10
        )

    def condition(self, kind: str, name: str, wanted: str) -> Object:
        """A condition of an object; empty while it has none of that type."""
        seen = self.cluster.get(kind, name) or {}
        for condition in seen.get("status", {}).get("conditions", []):
            if condition["type"] == wanted:
                found: Object = condition
                return found
        return {}

    def expect(
        self, kind: str, name: str, wanted: str, status: str, reason: str, seconds: float = 90
    ) -> str:
        """Wait for a condition with this status and reason; its message."""

        def holds() -> Object | None:
            seen = self.condition(kind, name, wanted)
            return seen if (seen.get("status"), seen.get("reason")) == (status, reason) else None

        try:
            return str(eventually(holds, "", seconds)["message"])
        except pytest.fail.Exception:
            seen = self.condition(kind, name, wanted)
            pytest.fail(f"{kind} {name}: not {wanted}={status} for {reason} but {seen}")

    def heals(self, kind: str, name: str, reason: str) -> None:
        """Wait until a fault is no longer told."""

        def healed() -> bool:
            ready, stalled = (self.condition(kind, name, one) for one in ("Ready", "Stalled"))
            return bool(ready["reason"] != reason and stalled["status"] == "False")

        eventually(healed, f"{kind} {name} forgets {reason}")

    def events(self, name: str, reason: str) -> list[Object]:
        text = f"involvedObject.name={name},reason={reason}"
        found = self.cluster.kubectl("get", "events", "--field-selector", text, "-o", "name")
        return [{"name": line} for line in found.split()]

    def pods(self) -> dict[str, str]:
        """Name and UID of each living pod of the proxy."""
        found = self.cluster.list("pods", "dbproxy.dev/proxy=orders")
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def restarts(self) -> int:
        found = self.cluster.list("pods", "dbproxy.dev/proxy=orders")
        return sum(
            container["restartCount"]
            for pod in found
            for container in pod["status"].get("containerStatuses", [])
        )

    def psql(
        self,
        sql: str,
        *,
        user: str = "app",
        password: str = "app-1",
        service: str = "orders",
        seconds: float = 60,
    ) -> str:
        """The answer to a statement that goes through the proxy, as psql prints it bare."""
        return self.cluster.within(DATABASE).kubectl(
            *("exec", "db-0", "--", *self.psql_command(user, password, service), "-c", sql),
            seconds=seconds,
        )

    def psql_command(
        self,
        user: str = "app",
        password: str = "app-1",
        service: str = "orders",
        ca: str = "",
    ) -> list[str]:
        """`ca`: a file in the database's pod that the proxy's certificate is verified against."""
        host = f"{service}.{self.name}.svc"
        tls = ["PGSSLMODE=verify-full", f"PGSSLROOTCERT={ca}"] if ca else ["PGSSLMODE=require"]
        environment = [f"PGPASSWORD={password}", "PGCONNECT_TIMEOUT=10", *tls]
        options = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", host, "-U", user, "-d", "shop"]
        return ["env", *environment, "psql", *options]

    def reached(self) -> bool:
        """Whether the proxy itself answers at its Service, whatever it says.

        What else keeps psql away is the node's and passes: kube-proxy has not learnt of the
        Service yet, or CoreDNS has not, for seconds after the API server was away.
        """
        try:
            self.must_work()
        except RefusedError as refusal:
            return "FATAL:" in str(refusal)
        return True

    def must_work(self, **login: str) -> None:
        """A statement gets through now; RefusedError says why not."""
        assert self.psql("select 1", **login) == "1\n"  # type: ignore[arg-type]

    def works(self, **login: str) -> bool:
        """Whether a statement gets through now, for those who wait for it."""
        try:
            self.must_work(**login)
        except RefusedError:
            return False
        return True

    def session(self, **login: str) -> "Session":
        """A psql that stays connected, fed line by line."""
        command = [
            *(tool("kubectl"), "--kubeconfig", str(self.cluster.kubeconfig), "-n", DATABASE),
            *("exec", "-i", "db-0", "--", *self.psql_command(**login)),
        ]
        pipe = subprocess.PIPE
        return Session(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))

    @contextmanager
    def clients(self, **login: str) -> Iterator["Clients"]:
        """Clients at work, from when each has had an answer."""
        psql = shlex.join(self.psql_command(**login))
        tell = "2>&1 | sed -u s/^/"
        script = f"""
            (while sleep 0.2; do echo 'select 1;'; done) | {psql} {tell}'session '/ &
            (while :; do {psql} -c 'select 1' {tell}'new '/; sleep 0.1; done) &
            cat > /dev/null; kill 0
        """
        command = [
            *(tool("kubectl"), "--kubeconfig", str(self.cluster.kubeconfig), "-n", DATABASE),
            *("exec", "-i", "db-0", "--", "timeout", "280", "bash", "-c", script),
        ]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            clients = Clients(process)
            try:
                clients.must_go_on(1)
                yield clients
            finally:
                # They end when their input does.
                assert process.stdin is not None
                process.stdin.close()
                process.kill()
                clients.read_to_the_end()


class Session:
    """One client connection that a test holds open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, sql: str) -> str:
        """One line of answer; an ended psql answers with nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{sql};\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class Clients:
    """Two that work without a pause: one session, and a new one for each statement."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answers = {"session": 0, "new": 0}
        self._faults: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def read_to_the_end(self) -> None:
        """Of a process that is over: nobody reads any more from what is closed next."""
        self._reader.join(30)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, _, answer = line.strip().partition(" ")
            with self._changed:
                if kind in self._answers and answer == "1":
                    self._answers[kind] += 1
                else:
                    self._faults.append(line.strip())
                self._changed.notify_all()

    def must_go_on(self, answers: int = 5) -> None:
        """Both get so many more answers, and neither ever got an error."""
        with self._changed:
            enough = {kind: count + answers for kind, count in self._answers.items()}
            went_on = self._changed.wait_for(
                lambda: self._faults or all(self._answers[kind] >= enough[kind] for kind in enough),
                timeout=30,
            )
            assert self._faults == []
            assert went_on, f"no more answers: {self._answers}, wanted {enough}"


def on_database(cluster: Cluster, sql: str) -> str:
    """Ask the database itself, as its superuser."""
    return cluster.within(DATABASE).kubectl(
        *("exec", "db-0", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "shop", "-c", sql)
    )


def settles(ask: Callable[[], Any], what: str, quiet: float = 4, seconds: float = 30) -> None:
    """The answer comes to rest: it stays the same for a while, before a deadline."""
    last, since = ask(), time.monotonic()
    deadline = since + seconds
    while time.monotonic() - since < quiet:
        now = ask()
        if now != last:
            last, since = now, time.monotonic()
        if since > deadline:
            pytest.fail(f"{what} still changes after {seconds:.0f} s; now it is {now}")
        time.sleep(0.5)


def restart_operator(cluster: Cluster) -> None:
    """End the operator's pods at once, as a lost node would, and wait for new ones."""
    system = cluster.within(SYSTEM)
    selector = f"app.kubernetes.io/name={OPERATOR}"
    system.kubectl("delete", "pod", "-l", selector, "--force", "--grace-period=0")
    wait_for_operator(cluster)


def scale_operator(cluster: Cluster, replicas: int) -> None:
    system = cluster.within(SYSTEM)
    system.kubectl("scale", f"deployment/{OPERATOR}", f"--replicas={replicas}")
    if replicas:
        wait_for_operator(cluster)
    else:
        selector = f"app.kubernetes.io/name={OPERATOR}"
        eventually(lambda: not system.list("pods", selector), "the operator ends")


def wait_for_operator(cluster: Cluster) -> None:
    cluster.within(SYSTEM).kubectl(
        *("rollout", "status", f"deployment/{OPERATOR}", "--timeout=120s"), seconds=130
    )


@pytest.fixture(scope="session")
def database(chart: Cluster) -> None:
    chart.within(DATABASE).kubectl("apply", "--server-side", "-f", str(MANIFEST))
    chart.within(DATABASE).kubectl(
        *("rollout", "status", "statefulset/db", "--timeout=120s"), seconds=130
    )


@pytest.fixture(scope="session")
def operator(chart: Cluster) -> Cluster:
    """The namespace of an operator that works."""
    wait_for_operator(chart)
    return chart


@pytest.fixture
def shop(operator: Cluster, database: None) -> Iterator[Shop]:
    with fresh_namespace(operator) as fresh:
        yield Shop(fresh)
