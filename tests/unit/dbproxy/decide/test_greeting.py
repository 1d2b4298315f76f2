from dbproxy.decide.greeting import lowest_version
from dbproxy.facts import ServerFacts


def server(greeting: str) -> ServerFacts:
    return ServerFacts(
        in_recovery=False, max_connections=1, reserved_connections=0, version=greeting
    )


def test_the_lowest_version_is_told_by_its_numbers_and_as_its_server_tells_it() -> None:
    for lowest, others in [
        ("8.0.31", ["8.0.100", "10.0.0"]),
        ("8.0.9-log", ["8.0.31"]),
        ("5.5.5-10.6.2-MariaDB-log", ["5.5.5-10.11.19-MariaDB", "11.4.2-MariaDB"]),
        ("5.7.44", ["5.5.5-10.11.19-MariaDB"]),
    ]:
        for versions in ([lowest, *others], [*others, lowest]):
            assert lowest_version(map(server, versions)) == lowest


def test_a_server_of_which_nothing_is_known_has_no_say() -> None:
    assert lowest_version([None, server(""), server("8.0.31")]) == "8.0.31"
    assert lowest_version([None, server("")]) is None
    assert lowest_version([]) is None
