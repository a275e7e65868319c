"""A bad file is refused with every fault named: file, key, reason."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from conf.loader import BadConfig, load
from conf.settings import Settings

GOOD = """
[organisation]
name = "Example Health"
domains = ["example-health.test"]
support = "support@example-health.test"
hostname = "inbox.example-health.test"
[storage]
data_root = "data"
server_key = "keys/server.key"
[tls]
certificate = "tls/chain.pem"
key = "tls/key.pem"
[relay_in]
networks = ["127.0.0.0/8", "::1"]
"""


EXCEPTION = """
[[attachments.exception]]
who = "acme.test"
max_count = 3
max_total_mb = 9
until = """


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "gateway.toml"
    path.write_text(text, "utf-8")
    return load(path)


def faults(tmp_path: Path, text: str) -> dict[str, str]:
    with pytest.raises(BadConfig) as caught:
        read(tmp_path, text)
    assert all(fault.file == str(tmp_path / "gateway.toml") for fault in caught.value.faults)
    return {fault.key: fault.reason for fault in caught.value.faults}


def test_a_small_file_is_enough_and_the_rest_are_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert settings.retention.days == 60
    assert (settings.attachments.max_count, settings.attachments.max_total_mb) == (10, 50)
    assert settings.relay_in.require_starttls is True
    assert "gmail.com" in settings.neighbours.public_providers


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).storage.data_root == tmp_path / "data"


def test_networks_are_read_whole_and_alone(tmp_path: Path) -> None:
    assert [str(each) for each in read(tmp_path, GOOD).relay_in.networks] == ["127.0.0.0/8", "::1/128"]


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('name = "Example Health"', "name = 7").replace("[relay_in]", "[relayin]")
    found = faults(tmp_path, text + "[retention]\ndays = 0\n[attachments]\nmax_totla_mb = 9\n")
    assert found["organisation.name"] == "must be text, not 7"
    assert "did you mean `relay_in`" in found["relayin"]
    assert found["relay_in.networks"] == "must be set"
    assert found["retention.days"] == "must be from 1 to 3660, not 0"
    assert "did you mean `max_total_mb`" in found["attachments.max_totla_mb"]


@pytest.mark.parametrize(
    ("extra", "key", "reason"),
    [
        ('[listen]\nimaps = ["127.0.0.1"]', "listen.imaps[0]", "port"),
        ('[listen]\nimaps = ["127.0.0.1:0"]', "listen.imaps[0]", "port"),
        ('[listen]\nimaps = ["127.0.0.1:65536"]', "listen.imaps[0]", "port"),
        ('[listen]\nimaps = ["::1:993"]', "listen.imaps[0]", "[brackets]"),
        ('[listen]\nimaps = "127.0.0.1:993"', "listen.imaps", "must be a list"),
        ('[listen]\nimap = ["127.0.0.1:9"]\nimaps = ["127.0.0.1:9"]', "listen.imaps[0]", "taken by"),
        (
            '[[outbound.route]]\ndomains = ["a_b"]\nrelay = "h:25"',
            "outbound.route[0].domains[0]",
            "no domain",
        ),
        (
            '[[outbound.route]]\ndomains = ["a"]\nrelay = "h:25"\ntls = "maybe"',
            "outbound.route[0].tls",
            "one of",
        ),
        ('[[outbound.route]]\ndomains = ["*"]', "outbound.route[0].relay", "must be set"),
        ("outbound = 7\n", "outbound", "must be a table"),
        ("[attachments]\nmax_count = true", "attachments.max_count", "whole number"),
        ("[attachments]\nmax_total_mb = 500", "smtp.max_message_mb", "in base64"),
        (
            EXCEPTION + '"soon"',
            "attachments.exception[0].until",
            "a day",
        ),
        (
            EXCEPTION + "2027-01-01T00:00:00",
            "attachments.exception[0].until",
            "without a time",
        ),
        ('[[retention.exception]]\nwho = "a b@c"\ndays = 1', "retention.exception[0].who", "neither"),
        ("[retention]\nfolder_days = { outbox = 3 }", "retention.folder_days.outbox", "one of"),
        ("[retention]\nfolder_days = { junk = 0 }", "retention.folder_days.junk", "from 1"),
        ('[retention]\nfolder_days = { junk = "x" }', "retention.folder_days.junk", "whole number"),
        ("[retention]\nfolder_days = 3", "retention.folder_days", "must be a table"),
        (
            '[[neighbours.group]]\nname = "x"\nmembers = ["nobody"]',
            "neighbours.group[0].members[0]",
            "no e-mail",
        ),
        ('[neighbours]\npublic_providers = ["x..y"]', "neighbours.public_providers[0]", "no domain"),
        ('[log]\nlevel = "loud"', "log.level", "one of"),
        ("[imap]\nidle_minutes = 5", "imap.idle_minutes", "from 30"),
    ],
)
def test_each_fault_names_its_key_and_reason(tmp_path: Path, extra: str, key: str, reason: str) -> None:
    text = extra + GOOD if extra.startswith("outbound =") else GOOD + extra
    assert reason in faults(tmp_path, text)[key]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"Example Health"', '" "', "organisation.name"),
        ('["example-health.test"]', "[]", "organisation.domains"),
        ('["example-health.test"]', '["Ex ample"]', "organisation.domains[0]"),
        ('"support@example-health.test"', '"support"', "organisation.support"),
        ('"inbox.example-health.test"', '"in box"', "organisation.hostname"),
        ('"keys/server.key"', '"data/server.key"', "storage.server_key"),
        ('["127.0.0.0/8", "::1"]', '["127.0.0.1/8"]', "relay_in.networks[0]"),
    ],
)
def test_values_that_only_make_sense_together_are_judged(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    assert key in faults(tmp_path, GOOD.replace(old, new))


def test_a_file_that_is_missing_or_no_toml_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read"):
        load(tmp_path / "none.toml")
    assert "is not TOML" in faults(tmp_path, "a = = b")[""]
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9'")
    with pytest.raises(BadConfig, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def test_exceptions_are_read_with_their_end(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + EXCEPTION + "2027-01-31")
    assert settings.attachments.exception[0].until == date(2027, 1, 31)
