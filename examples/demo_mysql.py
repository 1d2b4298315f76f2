"""MySQL and MariaDB in the demo: `mysql_load.py` is the load, and the replica the new writer.

Neither sends a replica all it wrote before it ends. So the election comes first: the proxies let go
of the old writer and hold what clients ask. Then it is closed to writes (which transactions that
wait for each other's rows could hold up for a minute), and the replica promoted once it has all.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.cluster.node.console import StepError, note, step

from .asking import elect, elected, in_client, kubectl
from .databases import CLIENTS, HERE, SECONDS, Database, Flip, Told, after
from .pause import longest_of

LOAD = HERE / "mysql_load.py"
SERVER = ("mysql", "--socket=/tmp/mysql.sock", "--user=root", "--batch", "--skip-column-names")


class MySQL(Database):
    title = "MySQL"
    shell = "mysql"
    load = "mysql_load.py"
    arguments = f"--clients {CLIENTS} --seconds {SECONDS}"
    fence = "SET GLOBAL super_read_only = 1"
    written = "SELECT REPLACE(@@global.gtid_executed, '\\n', '')"
    await_written = "SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', 30)"

    @property
    def manifests(self) -> list[Path]:
        return [HERE / "mysql"]

    def use(self) -> None:
        with step("mysql through the proxy's Service, TLS verified"):
            asked = "SELECT current_user(), @@hostname, @@global.read_only, @@version"
            print(in_client("mysql", "--table", "--execute", asked))
        with step("Making the load's tables through the proxy"):
            in_client("python3", "-c", LOAD.read_text(), "fill")

    def start_load(self) -> list[str]:
        return ["python3", "-c", LOAD.read_text(), "run", *self.arguments.split()]

    def flip(self) -> Flip:
        old, new = elected()
        began = time.time()
        elect(new)
        on(old, self.fence)
        written = on(old, self.written)
        if on(new, self.await_written.format(written)) != "0":
            raise StepError(f"{new} does not get what {old} wrote: {written}")
        note(f"{old} takes no writes any more, {new} has them all and gets promoted")
        kubectl("exec", new, "--", "sh", "/scripts/promote.sh")
        flip = Flip(began, time.time())
        # It comes back empty, and follows the new one.
        kubectl("delete", "pod", old, "--wait=true", "--timeout=60s")
        return flip

    def told(self, flip: Flip, output: str) -> Told:
        try:
            found = json.loads(output.splitlines()[-1])
        except (ValueError, IndexError) as error:
            raise StepError(f"the load did not finish:\n{output}") from error
        pause = longest_of(found["moments"], flip.began)
        if found["lost"] or found["twice"] or found["undone"]:
            raise StepError(f"the database has not what clients were told: {output}")
        report = "\n".join(f"{key}: {found[key]}" for key in found if key != "moments")
        summary = f"""{found["acknowledged"]} transactions were acknowledged; the database has each
of them, once.
{found["retried"]} surely did not commit: their clients were told so (1213), stayed connected,
and tried them again.
{found["unknown"]} clients waited for the answer to a COMMIT: they were told that its outcome is
unknown, and connected again; {found["unknown_but_there"]} of these the database has.
{found["reconnected"] - found["unknown"]} others were closed, and connected again.

No transaction ended for {pause.seconds:.2f} s. Naming the new writer in the ConfigMap, closing
the old one and promoting the new one took the demo {flip.seconds:.2f} s; the first transaction came
{after(pause, flip):.2f} s after that."""
        return Told(report, summary)


class MariaDB(MySQL):
    title = "MariaDB"
    fence = "SET GLOBAL read_only = 1"
    written = "SELECT @@global.gtid_binlog_pos"
    await_written = "SELECT MASTER_GTID_WAIT('{}', 30)"

    @property
    def manifests(self) -> list[Path]:
        """Its own database and proxy; the rest is as for MySQL."""
        own = [HERE / "mariadb" / name for name in ("20-mariadb.yaml", "30-dbproxy.yaml")]
        common = ("00-namespace", "10-secrets", "40-election", "50-client")
        return own + [HERE / "mysql" / f"{name}.yaml" for name in common]


def on(pod: str, statement: str) -> str:
    """What the server in a pod answers to its superuser."""
    return kubectl("exec", pod, "--", *SERVER, "--execute", statement).strip()
