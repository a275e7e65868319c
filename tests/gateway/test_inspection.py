"""`check` names each thing on the machine that keeps the gateway from serving."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conf.loader import load
from conf.settings import Settings
from gateway import binding, demo_ca, inspection
from mail.errors import Unavailable


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    demo_ca.ensure(tmp_path / "tls", datetime.now(UTC))
    doors = ("relay_in", "submission", "submissions", "imap", "imaps", "portal")
    listen = "\n".join(f'{door} = ["127.0.0.1:{free_port()}"]' for door in doors)
    (tmp_path / "gateway.toml").write_text(
        f"""
[organisation]
name = "Example Health"
domains = ["example-health.test"]
support = "support@example-health.test"
hostname = "localhost"
[storage]
data_root = "data"
server_key = "server.key"
[tls]
certificate = "tls/server.pem"
key = "tls/server.key"
[relay_in]
networks = ["127.0.0.0/8"]
[listen]
{listen}
[[outbound.route]]
domains = ["*"]
relay = "localhost:25"
ca_file = "tls/ca.pem"
"""
    )
    return load(tmp_path / "gateway.toml")


def found(settings: Settings) -> dict[str, str]:
    return {fault.key: fault.reason for fault in inspection.faults(settings, "f")}


def test_a_good_machine_has_no_faults(settings: Settings) -> None:
    assert found(settings) == {}


def test_files_that_others_may_read(settings: Settings) -> None:
    settings.tls.key.chmod(0o644)
    settings.storage.server_key.write_bytes(bytes(32))
    settings.storage.server_key.chmod(0o640)
    settings.storage.data_root.mkdir()
    settings.storage.data_root.chmod(0o755)
    assert {key: reason[-9:] for key, reason in found(settings).items()} == {
        "tls.key": "chmod 600",
        "storage.server_key": "chmod 600",
        "storage.data_root": "chmod 700",
    }


def test_files_that_are_missing(settings: Settings) -> None:
    settings.tls.certificate.unlink()
    settings.outbound.route[0].ca_file.unlink()  # type: ignore[union-attr]
    faults = found(settings)
    assert set(faults) == {"tls.certificate", "outbound.route[0].ca_file"}
    assert all("No such file" in reason for reason in faults.values())


def test_a_certificate_that_is_none_or_not_of_the_key(settings: Settings, tmp_path: Path) -> None:
    other = demo_ca.ensure(tmp_path / "other", datetime.now(UTC))
    settings.tls.certificate.write_bytes(other.certificate.read_bytes())
    assert "not its key" in found(settings)["tls.certificate"]
    settings.tls.certificate.write_bytes(b"nonsense")
    assert "no PEM certificate" in found(settings)["tls.certificate"]


def test_a_data_root_that_is_a_file(settings: Settings) -> None:
    settings.storage.data_root.write_bytes(b"")
    assert found(settings)["storage.data_root"] == "is no directory"


def test_a_port_that_is_taken(settings: Settings) -> None:
    endpoint = settings.listen.imaps[0]
    with socket.socket() as other:
        other.bind((endpoint.host, endpoint.port))
        other.listen()
        assert found(settings) == {"listen.imaps": f"{endpoint}: another program has it."}
    assert found(settings) == {}  # and those that could be had were given back


def test_the_ports_of_a_running_gateway_are_its_own(settings: Settings) -> None:
    with binding.sole(settings.storage.data_root):
        sockets = binding.bind(settings.listen)
        assert found(settings) == {}
        with pytest.raises(Unavailable, match="Another gateway"), binding.sole(settings.storage.data_root):
            raise AssertionError("two on one data root")
        binding.close(sockets)
    with binding.sole(settings.storage.data_root):  # free again
        assert binding.running(settings.storage.data_root)
    assert not binding.running(settings.storage.data_root)
