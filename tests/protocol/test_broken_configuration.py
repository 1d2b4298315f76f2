"""Configuration that can't be read, or is gone: clients at work notice nothing, and it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.certificates import make_authority
from tests.fix_proxy import Proxy
from tests.servers import wait_until


def other_key(directory: Path, tmp_path: Path) -> None:
    (directory / "tls.key").write_bytes(make_authority(tmp_path).key.read_bytes())


BROKEN: dict[str, Callable[[Path, Path], object]] = {
    "settings that are cut off": lambda directory, _: (directory / "settings.json").write_text("{"),
    "settings of a later format": lambda directory, _: (directory / "settings.json").write_text(
        '{"formatVersion": 99}'
    ),
    "credentials that are no JSON": lambda directory, _: (
        directory / "credentials.json"
    ).write_text("x"),
    "the key of another certificate": other_key,
    "a certificate without its key": lambda directory, _: (directory / "tls.key").unlink(),
    "a CA that is none": lambda directory, _: (directory / "ca.crt").write_text("x"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_clients_run_through(proxy: Proxy, tmp_path: Path, case: str) -> None:
    with proxy.connect() as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
        BROKEN[case](proxy.config_dir, tmp_path)
        wait_until(lambda: proxy.metric("dbproxy_config_problem") == 1, "it is told")
        assert session.execute("SELECT 2").fetchone() == (2,)
        with proxy.connect() as fresh:
            assert fresh.execute("SELECT 3").fetchone() == (3,)
        proxy.write_credentials()
        proxy.write_settings()
        wait_until(lambda: proxy.metric("dbproxy_config_problem") == 0, "it is over")
        proxy.wait_config()
        assert session.execute("SELECT 4").fetchone() == (4,)


def test_clients_run_through_a_directory_that_was_emptied(proxy: Proxy) -> None:
    with proxy.connect() as session:
        for file in proxy.config_dir.iterdir():
            file.unlink()
        assert session.execute("SELECT 1").fetchone() == (1,)
        with proxy.connect() as fresh:
            assert fresh.execute("SELECT 2").fetchone() == (2,)
        proxy.write_credentials()
        proxy.write_settings()
        proxy.wait_config()
        assert session.execute("SELECT 3").fetchone() == (3,)
