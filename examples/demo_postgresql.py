"""PostgreSQL in the demo: pgbench is the load, and a promoted standby the new writer."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.cluster.node.console import StepError, note, step

from .asking import elect, elected, in_client, kubectl
from .databases import CLIENTS, HERE, SECONDS, Database, Flip, Told, after
from .pause import longest_pause

TPCB = ["--client", str(CLIENTS), "--jobs", "2", "--time", str(SECONDS), "--no-vacuum"]


class PostgreSQL(Database):
    title = "PostgreSQL"
    shell = "psql"
    load = "pgbench"
    arguments = " ".join(TPCB)

    @property
    def manifests(self) -> list[Path]:
        return [HERE]

    def use(self) -> None:
        with step("psql through the proxy's Service, TLS verified"):
            asked = "select current_user, inet_server_port(), pg_is_in_recovery() as read_only"
            print(in_client("psql", "--command", asked))
        with step("Filling pgbench's tables through the proxy"):
            in_client("pgbench", "--initialize", "--quiet", "--scale", "2")

    def start_load(self) -> list[str]:
        in_client("sh", "-c", "rm -f /tmp/bench.*")
        logged = ["--log", "--log-prefix=/tmp/bench", "--failures-detailed", "--max-tries=10"]
        return ["pgbench", *TPCB, *logged]

    def flip(self) -> Flip:
        old, new = elected()
        began = time.time()
        # A pod that is deleted shuts PostgreSQL down, which first sends the replica all it wrote.
        kubectl("delete", "pod", old, "--wait=true", "--timeout=60s")
        note(f"{old} is gone, {new} gets promoted")
        promote = "select pg_promote(true, 30)"
        kubectl("exec", new, "--", "psql", "-XAtq", "-h", "/tmp", "-U", "postgres", "-c", promote)
        elect(new)
        return Flip(began, time.time())

    def told(self, flip: Flip, output: str) -> Told:
        pause = longest_pause(in_client("sh", "-c", "cat /tmp/bench.*"), flip.began)
        summary = f"""{count(output, "processed")} transactions went through.
{count(output, "retried")} surely did not commit: their clients were told so (40001), stayed
connected, and pgbench tried them again.
{output.count("committed is unknown")} clients waited for the answer to a COMMIT: they were told
that its outcome is unknown (08007), and pgbench gave them up.

No transaction ended for {pause.seconds:.2f} s. Shutting the old writer down, promoting the new one
and naming it in the ConfigMap took the demo {flip.seconds:.2f} s; the first transaction came
{after(pause, flip):.2f} s after that."""
        return Told(output, summary)


def count(report: str, what: str) -> int:
    """A number of pgbench's report: of transactions processed, or retried."""
    found = re.search(rf"number of transactions (?:actually )?{what}: (\d+)", report)
    if not found:
        raise StepError(f"pgbench did not finish:\n{report}")
    return int(found.group(1))
