"""Each setting reaches the room that obeys it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from conf.loader import load
from conf.settings import Settings
from gateway import terms
from mail.address import Address
from policy.admission import Relation, relation
from policy.retention import DAY
from smtp_out.routes import Route, Tls

ANN, BOB = Address.parse("ann@gmail.com"), Address.parse("bob@gmail.com")

TEXT = """
[organisation]
name = "Example Health"
domains = ["Example-Health.test", "bücher.test"]
support = "help@example-health.test"
hostname = "Inbox.example-health.test"
[storage]
data_root = "data"
server_key = "server.key"
[tls]
certificate = "c.pem"
key = "k.pem"
[relay_in]
networks = ["127.0.0.0/8"]
[listen]
imaps = ["127.0.0.1:1993"]
imap = []
[[outbound.route]]
domains = ["Example-Health.test"]
relay = "mx.example-health.test:2525"
tls = "encrypt"
[[outbound.route]]
domains = ["*", "example-health.test"]
relay = "smart.test:25"
ca_file = "ca.pem"
[[outbound.route]]
domains = ["*"]
relay = "never.test:25"
[attachments]
max_count = 3
max_total_mb = 7
[[attachments.exception]]
who = "Ann@GMAIL.com"
max_count = 9
max_total_mb = 20
until = 2027-01-31
[retention]
days = 50
folder_days = { junk = 5 }
[[retention.exception]]
who = "gmail.com"
days = 20
[[retention.exception]]
who = "ann@gmail.com"
folder = "sent"
days = 10
[[neighbours.group]]
name = "the two"
members = ["ANN@gmail.com", "bob@gmail.com"]
[throttle]
per_pair = 4
per_account = 5
per_address = 6
window_minutes = 2
[imap]
idle_minutes = 45
max_message_mb = 60
connections = 70
connections_per_address = 8
[smtp]
max_message_mb = 61
max_recipients = 200
idle_seconds = 90
connections = 71
connections_per_address = 9
in_flight_mb = 128
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "gateway.toml").write_text(TEXT, "utf-8")
    return load(tmp_path / "gateway.toml")


def test_identity_and_domains_are_canonical(settings: Settings) -> None:
    identity = terms.identity(settings)
    assert (identity.hostname, identity.contact) == (
        "inbox.example-health.test",
        "help@example-health.test",
    )
    assert terms.admission_rules(settings).organisation == {"example-health.test", "xn--bcher-kva.test"}


def test_neighbours_at_a_public_provider_need_a_group(settings: Settings) -> None:
    rules = terms.admission_rules(settings)
    assert relation(ANN, BOB, rules) is Relation.COLLEAGUE
    assert relation(ANN, Address.parse("eve@gmail.com"), rules) is Relation.STRANGER
    assert rules.contact == "help@example-health.test"


def test_an_attachment_exception_holds_through_its_last_day(settings: Settings) -> None:
    rules = terms.attachment_rules(settings)
    last = int(datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC).timestamp())
    assert (rules.general.count, rules.general.octets) == (3, 7 * 1_048_576)
    assert rules.allowance(ANN, BOB, last).count == rules.allowance(BOB, ANN, last).count == 9
    assert rules.allowance(ANN, BOB, last + 1) == rules.general


def test_retention_by_account_domain_and_kind(settings: Settings) -> None:
    rules = terms.retention_rules(settings)
    carl = Address.parse("carl@acme.test")
    assert rules.expires(carl, "inbox", 0) == 50 * DAY
    assert rules.expires(carl, "junk", 0) == 5 * DAY
    assert rules.expires(BOB, "inbox", 0) == 20 * DAY
    assert rules.expires(ANN, "sent", 0) == 10 * DAY


def test_the_first_route_that_names_a_domain_is_taken(settings: Settings) -> None:
    routes = terms.routes(settings)
    assert routes.to("example-health.test") == Route("mx.example-health.test", 2525, Tls.ENCRYPT, "")
    ca = str(settings.storage.data_root.parent / "ca.pem")
    assert routes.to("anywhere.test") == Route("smart.test", 25, Tls.VERIFY, ca)


def test_bounds(settings: Settings) -> None:
    limits = terms.throttle(settings)
    assert (limits.per_pair, limits.per_account, limits.per_peer, limits.window) == (4, 5, 6, 120)
    imap = terms.imap_limits(settings)
    assert (imap.idle_seconds, imap.after_login.append) == (45 * 60, 60 << 20)
    assert (imap.connections, imap.connections_per_peer) == (70, 8)
    smtp = terms.smtp_limits(settings)
    assert (smtp.message_octets, smtp.recipients, smtp.idle_seconds) == (61 << 20, 200, 90)
    assert (smtp.connections, smtp.connections_per_peer, smtp.octets_in_flight) == (71, 9, 128 << 20)


def test_the_portal_names_the_ports_that_are_open(settings: Settings) -> None:
    pages = terms.portal(settings)
    assert (pages.imaps.host, pages.imaps.port) == ("Inbox.example-health.test", 1993)
    assert pages.imap.port == 143 and pages.days == 50
    assert (pages.max_attachments, pages.max_megabytes) == (3, 7)
