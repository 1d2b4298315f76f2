"""The main job, start to finish, on the local cluster: `make demo`, or `make demo ENGINE=mysql`.

Installs the operator, applies the manifests beside this file, uses the proxy from a pod, fails the
database over while a load writes, and prints what a person wants to see. It begins from a fresh
namespace each time, so it may run again, also after a crash. Only the standard library is used.
"""

from __future__ import annotations

import os
import sys
import time

from tests.cluster.node import binaries, console, images, paths
from tests.cluster.node.console import Command, StepError, run, step

from .asking import NAMESPACE, begin_in_client, kubectl, show
from .databases import CLIENTS, FLIP_AFTER, LIMIT, SECONDS, Database, Told
from .demo_mysql import MariaDB, MySQL
from .demo_postgresql import PostgreSQL

SYSTEM = "dbproxy-system"
DATABASES: dict[str, type[Database]] = {
    "postgresql": PostgreSQL,
    "mysql": MySQL,
    "mariadb": MariaDB,
}


def main() -> None:
    engine = os.environ.get("ENGINE") or "postgresql"
    if engine not in DATABASES:
        raise StepError(f"no ENGINE {engine}: one of {' '.join(DATABASES)}")
    database = DATABASES[engine]()
    install()
    apply_example(database)
    database.use()
    tell(database, fail_over(database))


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


def apply_example(database: Database) -> None:
    if kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "--output=name"):
        with step(f"Removing the namespace {NAMESPACE} of an earlier demo"):
            # A namespace waits half of its longest grace period before it looks again; so the pods
            # that have a long one go first.
            kubectl("delete", "dbproxy", "--all", "--wait", "--timeout=60s")
            kubectl("wait", "--for=delete", "pod", "-l", "dbproxy.dev/proxy", "--timeout=120s")
            kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=180s")
    title = f"Applying examples/: {database.title} with a replica, Secrets, the three resources"
    with step(title):
        for path in sorted(database.manifests, key=lambda path: path.name):
            kubectl("apply", "--filename", path)
    with step("Waiting for the database"):
        kubectl("rollout", "status", "statefulset/db", "--timeout=300s")
    with step("Waiting for Ready (kubectl wait)"):
        for thing in ("dbproxy/orders", "dbproxytargetgroup/orders-db"):
            kubectl("wait", "--for=condition=Ready", thing, "--timeout=120s")
        kubectl("wait", "--for=condition=Ready", "dbproxyendpoint/orders-readonly")
        kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")


def fail_over(database: Database) -> Told:
    """Flips the writer in the middle of a run of the load; what it said comes back."""
    load = database.load
    with step(f"{load} with {CLIENTS} clients for {SECONDS} s; the database fails over meanwhile"):
        bench = begin_in_client(*LIMIT, *database.start_load())
        try:
            time.sleep(FLIP_AFTER)
            flip = database.flip()
            report, _ = bench.communicate()
        finally:
            bench.kill()
        if bench.returncode == 124:
            raise StepError(f"{load} ran into its time limit: a client got no answer\n{report}")
    try:
        return database.told(flip, report)
    except ValueError as error:
        raise StepError(
            f"{error}: the failover outlasted the {SECONDS} s of {load}\n{report}"
        ) from error


def tell(database: Database, told: Told) -> None:
    kubectl("wait", "--for=condition=Ready", "pod/db-0", "pod/db-1", "--timeout=120s")
    for condition in ("TargetsAvailable", "Ready"):
        kubectl("wait", f"--for=condition={condition}", "dbptg/orders-db", "--timeout=120s")
    show("get", "dbproxy,dbproxytargetgroup,dbproxyendpoint")
    show("get", "pods,services")
    columns = "TARGETS:.status.targets[*].name,ROLES:.status.targets[*].role"
    columns += ",HEALTH:.status.targets[*].targetHealth.state"
    show("get", "dbproxytargetgroup", "orders-db", f"--output=custom-columns={columns}")
    print(f"\n$ {database.load} {database.arguments}    # {CLIENTS} clients, one failover")
    print(told.report.strip())
    print(
        f"""
{told.summary}

Go on with:
  export KUBECONFIG={paths.KUBECONFIG}
  {binaries.find("kubectl")} -n {NAMESPACE} get dbproxy
  {binaries.find("kubectl")} -n {NAMESPACE} exec -it client -- {database.shell}
  make demo-down"""
    )


if __name__ == "__main__":
    sys.exit(console.ends_well(main))
