"""MySQL behind a proxy of the cluster: the three resources, a client, a new writer, a new password.

In this order: each test goes on with what the one before has left.
"""

import pytest
from tests.fix_cluster import RefusedError, eventually
from tests.fix_mysql_orders import PASSWORD, MySQLOrders

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("mysql-orders")]
ROWS = "SELECT GROUP_CONCAT(note ORDER BY id) FROM notes"


def test_the_resources_tell_what_they_front(mysql_orders: MySQLOrders) -> None:
    cluster = mysql_orders.cluster
    proxy = cluster.get("dbproxy", "orders")
    service = cluster.get("service", "orders")
    assert proxy is not None
    assert service is not None
    assert proxy["spec"]["engineFamily"] == "MYSQL"
    (port,) = service["spec"]["ports"]
    assert (port["port"], port["appProtocol"]) == (3306, "mysql")
    roles = {one["name"]: one["role"] for one in mysql_orders.status()["targets"]}
    assert roles == {"db-0": "READ_WRITE", "db-1": "READ_ONLY"}


def test_a_client_writes_to_the_writer_and_reads_from_the_replica(
    mysql_orders: MySQLOrders,
) -> None:
    mysql_orders.ask("CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, note TEXT)")
    mysql_orders.ask("INSERT INTO notes (note) VALUES ('first')")
    assert mysql_orders.ask("SELECT @@hostname, note FROM notes") == "db-0\tfirst"
    readers = {"MYSQL_HOST": "orders-readonly"}
    eventually(
        lambda: mysql_orders.ask("SELECT @@hostname, note FROM notes", **readers) == "db-1\tfirst",
        "the replica has it",
    )
    with pytest.raises(RefusedError, match="ERROR 1290"):
        mysql_orders.ask("INSERT INTO notes (note) VALUES ('astray')", **readers)
    for pod in mysql_orders.pods():
        lines = mysql_orders.metrics(pod).splitlines()
        ours = [line for line in lines if line.startswith("dbproxy_")]
        assert [line for line in ours if 'engine="mysql"' not in line] == []


def test_writes_go_to_the_new_writer_and_nothing_is_lost(mysql_orders: MySQLOrders) -> None:
    new = mysql_orders.switch()
    epoch = mysql_orders.elected()[1]
    eventually(lambda: mysql_orders.acknowledged(epoch), "both pods acknowledge the epoch")
    mysql_orders.ask("INSERT INTO notes (note) VALUES ('second')")
    assert mysql_orders.ask(f"SELECT @@hostname, ({ROWS})") == f"{new}\tfirst,second"
    assert mysql_orders.on(new, ROWS) == "first,second"


def test_a_rotated_password_counts_at_once_and_the_old_one_for_a_while(
    mysql_orders: MySQLOrders,
) -> None:
    writer = mysql_orders.elected()[0]
    mysql_orders.on(writer, "ALTER USER app IDENTIFIED BY 'another'")
    change = {"stringData": {"password": "another"}}
    mysql_orders.cluster.patch("secret", "orders-app", change)

    def new_works() -> bool:
        try:
            return mysql_orders.ask(ROWS, MYSQL_PWD="another") == "first,second"
        except RefusedError:
            return False

    eventually(new_works, "the new password is accepted")
    assert mysql_orders.ask(ROWS, MYSQL_PWD=PASSWORD) == "first,second"
    with pytest.raises(RefusedError, match="ERROR 1045"):
        mysql_orders.ask(ROWS, MYSQL_PWD="neither")
