"""A right configuration is taken; every fault of a wrong one is named with its path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.agent_made import (
    CERTIFICATE,
    KEY,
    certificate,
    credentials_document,
    credentials_of,
    group_document,
    secret_files,
    settings_document,
    settings_of,
)

from dbproxy.__main__ import main
from dbproxy.errors import ConfigError
from dbproxy.families import METHODS, EngineFamily
from dbproxy.settings import (
    load_directory,
    pair_faults,
    parse_credentials,
    parse_settings,
    read_directory,
)


def settings_faults(document: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(json.dumps(document).encode())
    return [str(fault) for fault in caught.value.faults]


def secret_faults(files: dict[str, bytes]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_credentials(files)
    return [str(fault) for fault in caught.value.faults]


def write(directory: Path, settings: object, files: dict[str, bytes]) -> None:
    (directory / "settings.json").write_text(json.dumps(settings))
    for name, content in files.items():
        (directory / name).write_bytes(content)


def test_keys_of_later_versions_are_ignored() -> None:
    assert settings_of(fromTheFuture={"x": 1}).revision == 10


def test_an_unknown_format_version_is_refused_with_both_versions() -> None:
    faults = settings_faults(settings_document(formatVersion=2))
    assert faults == ["settings.json: formatVersion: is 2; this proxy reads 1"]


def test_a_missing_format_version_is_refused() -> None:
    document = settings_document()
    del document["formatVersion"]
    assert settings_faults(document) == [
        "settings.json: formatVersion: is None; this proxy reads 1"
    ]


def test_every_fault_is_named_with_its_path() -> None:
    targets = [{"name": "db-0", "host": "h", "port": 0}]
    document = settings_document(
        idleClientTimeout="soon", targetGroup=group_document(targets=targets)
    )
    paths = [fault.rpartition(": ")[0] for fault in settings_faults(document)]
    assert paths == [
        "settings.json: idleClientTimeout",
        "settings.json: targetGroup.targets[0].port",
    ]


def test_two_listeners_on_one_port_are_refused() -> None:
    listeners = [
        {"name": name, "port": 15432, "targetRole": "READ_WRITE"} for name in ("orders", "other")
    ]
    assert settings_faults(settings_document(listeners=listeners)) == [
        "settings.json: listeners[1].port: 15432 is there twice"
    ]


def test_numbers_that_nobody_could_outbid_are_refused() -> None:
    floor = {"target": "db-0", "uid": "u", "epoch": 10**15}
    document = settings_document(
        revision=2**53, secretRevision=2**53, targetGroup=group_document(writerFloor=floor)
    )
    paths = [fault.rpartition(": ")[0] for fault in settings_faults(document)]
    assert paths == [
        "settings.json: revision",
        "settings.json: secretRevision",
        "settings.json: targetGroup.writerFloor.epoch",
    ]
    assert secret_faults(secret_files(revision=2**53))[0].startswith("credentials.json: revision")


def test_what_is_not_json_is_told_without_quoting_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(b'{"password": "hunter2"')
    assert str(caught.value) == "settings.json: is not JSON (line 1)"


def test_json_that_nests_without_end_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(b"[" * 100_000)
    assert str(caught.value) == "settings.json: is not JSON (nesting)"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_words_around_a_certificate_may_be_in_any_language(encoding: str) -> None:
    words = "# Autorität Müller\n".encode(encoding)
    plain = secret_files() | {"ca.crt": CERTIFICATE + CERTIFICATE}
    files = plain | {name: words + plain[name] + words for name in ("tls.crt", "tls.key", "ca.crt")}
    assert parse_credentials(files) == parse_credentials(plain)


def test_a_certificate_with_a_foreign_letter_inside_is_refused() -> None:
    files = secret_files()
    spoilt = CERTIFICATE[:60] + "ü".encode() + CERTIFICATE[60:]
    for name, fault in (
        ("tls.crt", "tls.crt: with tls.key: not a certificate and key in PEM"),
        ("ca.crt", "ca.crt: holds no CA certificate in PEM"),
    ):
        assert secret_faults(files | {name: spoilt}) == [fault]


def test_missing_files_of_the_secret_are_all_named() -> None:
    assert secret_faults({}) == [
        "credentials.json: is missing",
        "tls.crt: is missing",
        "tls.key: is missing",
    ]


def test_a_key_of_another_certificate_is_refused() -> None:
    files = secret_files() | {"tls.key": certificate()[1]}
    assert secret_faults(files) == ["tls.key: is not the key of the certificate in tls.crt"]


def test_a_certificate_that_is_none_is_refused() -> None:
    files = secret_files() | {"tls.crt": b"nonsense"}
    assert secret_faults(files) == ["tls.crt: with tls.key: not a certificate and key in PEM"]


def test_a_short_fleet_secret_is_refused() -> None:
    assert secret_faults(secret_files(fleetSecret="c2hvcnQ=")) == [
        "credentials.json: fleetSecret: is shorter than 32 bytes"
    ]


def test_a_duplicate_user_is_refused() -> None:
    users = [{"name": "app", "password": "a"}, {"name": "app", "password": "b"}]
    assert secret_faults(secret_files(users=users)) == [
        "credentials.json: users[1].name: 'app' is there twice"
    ]


def test_no_fault_ever_holds_a_password() -> None:
    users = [{"name": "app", "password": "hunter2", "clientPasswordAuthType": "hunter2"}]
    assert "hunter2" not in "".join(secret_faults(secret_files(users=users)))


@pytest.mark.parametrize("family", METHODS)
def test_users_log_in_by_a_way_of_the_family(family: EngineFamily) -> None:
    settings = settings_of(engineFamily=family)
    assert pair_faults(settings, credentials_of()) == []
    for other, methods in METHODS.items():
        for auth_type in methods:
            user = {"name": "app", "password": "p", "clientPasswordAuthType": auth_type}
            faults = pair_faults(settings, credentials_of(users=[user]))
            assert [fault.path for fault in faults] == (
                [] if other == family else ["credentials.json: users[0].clientPasswordAuthType"]
            )


def test_connections_that_serve_all_databases_have_no_limit_for_one() -> None:
    limited = group_document(connectionPoolConfig={"maxConnectionsPerDatabase": 8})
    assert settings_of(targetGroup=limited).target_group is not None
    assert settings_faults(settings_document(engineFamily="MYSQL", targetGroup=limited)) == [
        "settings.json: targetGroup.connectionPoolConfig.maxConnectionsPerDatabase: "
        "is not for engineFamily MYSQL, where a connection serves all databases"
    ]


def test_verifying_targets_needs_a_ca() -> None:
    settings = settings_of(targetGroup=group_document(tls={"mode": "VERIFY_CA"}))
    faults = pair_faults(settings, credentials_of())
    assert [fault.path for fault in faults] == ["ca.crt"]
    trusting = parse_credentials(secret_files() | {"ca.crt": CERTIFICATE})
    assert pair_faults(settings, trusting) == []


def test_settings_need_the_credentials_of_their_revision() -> None:
    faults = pair_faults(settings_of(secretRevision=11), credentials_of(revision=10))
    assert [fault.path for fault in faults] == ["settings.json: secretRevision"]


def test_a_projected_volume_is_read_as_of_one_generation(tmp_path: Path) -> None:
    generation = tmp_path / "..2026"
    generation.mkdir()
    write(generation, settings_document(), secret_files())
    (tmp_path / "..data").symlink_to(generation.name)
    (tmp_path / "settings.json").write_text("of another generation")
    assert read_directory(tmp_path)["settings.json"] != b"of another generation"
    assert load_directory(tmp_path).settings.revision == 10


def test_check_says_every_fault_on_its_line_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, settings_document(engineFamily="DB2"), {"tls.crt": CERTIFICATE, "tls.key": KEY})
    monkeypatch.setattr("sys.argv", ["dbproxy", "--check", "--config-dir", str(tmp_path)])
    assert main() == 2
    assert capsys.readouterr().out.splitlines() == [
        "settings.json: engineFamily: Input should be 'POSTGRESQL' or 'MYSQL'",
        "credentials.json: is missing",
    ]


def test_check_of_a_right_configuration_is_silent_and_exits_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = secret_files() | {"credentials.json": json.dumps(credentials_document()).encode()}
    write(tmp_path, settings_document(), files)
    monkeypatch.setattr("sys.argv", ["dbproxy", "--check", "--config-dir", str(tmp_path)])
    assert main() == 0
    assert capsys.readouterr().out == ""
