"""The main job, start to finish, on the local cluster: `make demo`.

Installs the operator, applies the manifests beside this file, uses the proxy from a pod, fails the
database over while pgbench writes, and prints what a person wants to see. It begins from a fresh
namespace each time, so it may run again, also after a crash. Only the standard library is used.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.node import binaries, console, images, paths
from tests.cluster.node.console import Command, StepError, note, run, step

from .pause import Pause, longest_pause

HERE = Path(__file__).parent
NAMESPACE = "shop"
SYSTEM = "dbproxy-system"
CLIENTS = 8
SECONDS = 20
FLIP_AFTER = 5
# A client that is never answered would keep pgbench waiting for ever.
LIMIT = ["timeout", "--kill-after=5", str(SECONDS + 45)]
TPCB = ["--client", str(CLIENTS), "--jobs", "2", "--time", str(SECONDS), "--no-vacuum"]


@dataclass(frozen=True)
class Flip:
    """When each step of the failover happened, in seconds of the Unix clock."""

    began: float
    promoted: float
    announced: float


def main() -> None:
    install()
    apply_example()
    use_it()
    flip, pause, report = fail_over()
    tell(flip, pause, report)


def kubectl(*words: str | Path, stdin: str | None = None) -> str:
    return run(command(*words), stdin=stdin)


def command(*words: str | Path) -> Command:
    chosen: Command = ["--kubeconfig", paths.KUBECONFIG, "--namespace", NAMESPACE]
    return [binaries.find("kubectl"), *chosen, *words]


def show(*words: str) -> None:
    print(f"\n$ kubectl {' '.join(words)}", flush=True)
    print(kubectl(*words), end="", flush=True)


def in_client(*words: str) -> str:
    return kubectl("exec", "client", "--", *words)


def install() -> None:
    with step("Installing the operator with helm"):
        release: Command = [binaries.find("helm"), "upgrade", "--install", "dbproxy"]
        release += [paths.CHECKOUT / "helm" / "dbproxy", "--namespace", SYSTEM]
        release += ["--create-namespace", "--kubeconfig", paths.KUBECONFIG]
        release += ["--wait", "--timeout", "180s"]
        for program, value in (("operator", "image"), ("proxy", "proxyImage")):
            release += ["--set", f"{value}.repository=localhost/dbproxy-{program}"]
            release += ["--set", f"{value}.tag=dev"]
        # The tag stays while the image changes; so it is this that starts a new operator then.
        release += ["--set-string", f"podAnnotations.demo/image={images.identity('operator')}"]
        run(release)


def apply_example() -> None:
    if kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "--output=name"):
        with step(f"Removing the namespace {NAMESPACE} of an earlier demo"):
            # A namespace waits half of its longest grace period before it looks again; so the pods
            # that have a long one go first.
            kubectl("delete", "dbproxy", "--all", "--wait", "--timeout=60s")
            kubectl("wait", "--for=delete", "pod", "-l", "dbproxy.dev/proxy", "--timeout=120s")
            kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=180s")
    with step("Applying examples/: PostgreSQL with a replica, Secrets, the three resources"):
        kubectl("apply", "--filename", HERE)
    with step("Waiting for the database"):
        kubectl("rollout", "status", "statefulset/db", "--timeout=180s")
    with step("Waiting for Ready (kubectl wait)"):
        for thing in ("dbproxy/orders", "dbproxytargetgroup/orders-db"):
            kubectl("wait", "--for=condition=Ready", thing, "--timeout=120s")
        kubectl("wait", "--for=condition=Ready", "dbproxyendpoint/orders-readonly")
        kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")


def use_it() -> None:
    with step("psql through the proxy's Service, TLS verified"):
        asked = "select current_user, inet_server_port(), pg_is_in_recovery() as read_only"
        print(in_client("psql", "--command", asked))
    with step("Filling pgbench's tables through the proxy"):
        in_client("pgbench", "--initialize", "--quiet", "--scale", "2")


def fail_over() -> tuple[Flip, Pause, str]:
    """Flips the writer in the middle of a pgbench run; what pgbench said comes back."""
    with step(f"pgbench with {CLIENTS} clients for {SECONDS} s; the database fails over meanwhile"):
        in_client("sh", "-c", "rm -f /tmp/bench.*")
        logged = ["--log", "--log-prefix=/tmp/bench", "--failures-detailed", "--max-tries=10"]
        bench = subprocess.Popen(
            [
                str(word)
                for word in command("exec", "client", "--", *LIMIT, "pgbench", *TPCB, *logged)
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            time.sleep(FLIP_AFTER)
            flip = flip_writer()
            report, _ = bench.communicate()
        finally:
            bench.kill()
        if bench.returncode == 124:
            raise StepError(f"pgbench ran into its time limit: a client got no answer\n{report}")
        log = in_client("sh", "-c", "cat /tmp/bench.*")
    try:
        return flip, longest_pause(log, flip.began), report
    except ValueError as error:
        raise StepError(
            f"{error}: the failover outlasted pgbench's {SECONDS} s\n{report}"
        ) from error


def flip_writer() -> Flip:
    election = json.loads(kubectl("get", "configmap", "orders-election", "--output=json"))["data"]
    old = election["writer"]
    new = {"db-0": "db-1", "db-1": "db-0"}[old]
    began = time.time()
    # A pod that is deleted shuts its PostgreSQL down, which first sends the replica all it wrote.
    kubectl("delete", "pod", old, "--wait=true", "--timeout=60s")
    note(f"{old} is gone, {new} gets promoted")
    promote = "select pg_promote(true, 30)"
    kubectl("exec", new, "--", "psql", "-XAtq", "-h", "/tmp", "-U", "postgres", "-c", promote)
    promoted = time.time()
    data = {"writer": new, "epoch": str(int(election["epoch"]) + 1)}
    patch = json.dumps({"data": data})
    kubectl("patch", "configmap", "orders-election", "--type=merge", "--patch", patch)
    note(f"orders-election now says writer={data['writer']}, epoch={data['epoch']}")
    return Flip(began, promoted, time.time())


def count(report: str, what: str) -> int:
    """A number of pgbench's report: of transactions processed, or retried."""
    found = re.search(rf"number of transactions (?:actually )?{what}: (\d+)", report)
    if not found:
        raise StepError(f"pgbench did not finish:\n{report}")
    return int(found.group(1))


def tell(flip: Flip, pause: Pause, report: str) -> None:
    kubectl("wait", "--for=condition=Ready", "pod/db-0", "pod/db-1", "--timeout=60s")
    for condition in ("TargetsAvailable", "Ready"):
        kubectl("wait", f"--for=condition={condition}", "dbptg/orders-db", "--timeout=60s")
    show("get", "dbproxy,dbproxytargetgroup,dbproxyendpoint")
    show("get", "pods,services")
    columns = "TARGETS:.status.targets[*].name,ROLES:.status.targets[*].role"
    columns += ",HEALTH:.status.targets[*].targetHealth.state"
    show("get", "dbproxytargetgroup", "orders-db", f"--output=custom-columns={columns}")
    print(f"\n$ pgbench {' '.join(TPCB)}    # {CLIENTS} clients, one failover")
    print(report.strip())
    after = max(0.0, pause.ended - flip.announced)
    print(
        f"""
{count(report, "processed")} transactions went through.
{count(report, "retried")} surely did not commit: their clients were told so (40001), stayed
connected, and pgbench tried them again.
{report.count("committed is unknown")} clients waited for the answer to a COMMIT: they were told
that its outcome is unknown (08007), and pgbench gave them up.

No transaction ended for {pause.seconds:.2f} s. Shutting the old writer down and promoting the new
one took the demo {flip.promoted - flip.began:.2f} s; the first transaction came {after:.2f} s after
the ConfigMap had named the new writer.

Go on with:
  export KUBECONFIG={paths.KUBECONFIG}
  {binaries.find("kubectl")} -n {NAMESPACE} get dbproxy
  {binaries.find("kubectl")} -n {NAMESPACE} exec -it client -- psql
  make demo-down"""
    )


if __name__ == "__main__":
    sys.exit(console.ends_well(main))
