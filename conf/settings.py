"""Every setting there is: its type, its default, what it is for and why it is so.

Apart because the loader, the generated `conf/gateway.example.toml`, `secure-inbox check` and
the rooms' wiring must agree on one list. Only the sysadmin's own file reaches these types, by
way of `conf.loader`. A field without a default must be set. All times are in the unit that the
name ends in; sizes in MB of 1,048,576 octets.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from conf.values import Endpoint, Network

FOLDER_KINDS = ("inbox", "sent", "drafts", "trash", "junk", "archive", "other")


def setting(
    prose: str,
    why: str,
    default: Any = MISSING,
    *,
    example: Any = MISSING,
    least: int | None = None,
    most: int | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field that carries its own documentation; without a default it must be set."""
    about = {
        "prose": prose,
        "why": why,
        "example": default if example is MISSING else example,
        "least": least,
        "most": most,
        "choices": choices,
    }
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=about)
    return field(default=default, metadata=about)


def section(kind: type, prose: str) -> Any:
    """A table of its own; left out, it is made of its defaults if each field has one."""
    return field(default_factory=kind, metadata={"prose": prose})


def required_section(prose: str) -> Any:
    """A table that must be there, because some of its fields must be set."""
    return field(metadata={"prose": prose})


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """Whose gateway this is."""

    name: str = setting(
        "The organisation's name, as people read it.",
        "Notices, bounces and the portal speak in its name.",
        example="Example Health",
    )
    domains: tuple[str, ...] = setting(
        "The organisation's own mail domains.",
        "Members may always write to these, and only these.",
        example=("example-health.test",),
    )
    support: str = setting(
        "An address that a member can ask for help.",
        "Every refusal that a person may want lifted names it.",
        example="support@example-health.test",
    )
    hostname: str = setting(
        "This gateway's own name in the DNS.",
        "It greets with this name, and the certificate must carry it.",
        example="inbox.example-health.test",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where things lie."""

    data_root: Path = setting(
        "The directory that holds all mail, accounts, queue and audit log; every file in it is sealed.",
        "One directory to back up and to watch.",
        example="/var/lib/secure-inbox",
    )
    server_key: Path = setting(
        "The file with the server's own key: 32 random octets, mode 0600, made at the first start.",
        "It opens the account list, queue and audit log, so it must never lie inside data_root, where a "
        "backup of the one would carry the other. Keep a copy of it apart: without it nobody can log in.",
        example="/etc/secure-inbox/server.key",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What the gateway proves itself with."""

    certificate: Path = setting(
        "The certificate chain, PEM, the server's own certificate first.",
        "Nothing is ever served without TLS 1.2 or later.",
        example="/etc/secure-inbox/tls/fullchain.pem",
    )
    key: Path = setting(
        "Its private key, PEM, without a pass phrase, mode 0600.",
        "The gateway starts without a person at hand.",
        example="/etc/secure-inbox/tls/key.pem",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Addresses and ports. An empty list closes that door."""

    relay_in: tuple[Endpoint, ...] = setting(
        "Where the organisation's mail server hands us mail (SMTP, STARTTLS).",
        "Give it an address that only the organisation's network reaches.",
        (Endpoint("0.0.0.0", 25),),
    )
    submission: tuple[Endpoint, ...] = setting(
        "Members' clients send here (STARTTLS).",
        "RFC 6409's port; older clients look here first.",
        (Endpoint("0.0.0.0", 587),),
    )
    submissions: tuple[Endpoint, ...] = setting(
        "Members' clients send here (TLS from the first octet).",
        "RFC 8314 prefers it: no clear octet to tamper with.",
        (Endpoint("0.0.0.0", 465),),
    )
    imap: tuple[Endpoint, ...] = setting(
        "Members' clients read here (STARTTLS).",
        "Some clients know nothing else.",
        (Endpoint("0.0.0.0", 143),),
    )
    imaps: tuple[Endpoint, ...] = setting(
        "Members' clients read here (TLS from the first octet).",
        "RFC 8314 prefers it.",
        (Endpoint("0.0.0.0", 993),),
    )
    portal: tuple[Endpoint, ...] = setting(
        "Members' browsers, and clients that configure themselves (HTTPS).",
        "Help pages and automatic configuration are there.",
        (Endpoint("0.0.0.0", 443),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayIn:
    """The door for the organisation's own mail server."""

    networks: tuple[Network, ...] = setting(
        "Networks whose machines may hand us mail.",
        "Anyone else is turned away at the greeting: whoever may write here may write to every member.",
        example=(Network.parse("192.0.2.0/24"),),
    )
    require_starttls: bool = setting(
        "Refuse mail that comes in the clear.",
        "The word of it would be readable on the way in.",
        True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where mail for some domains goes out."""

    domains: tuple[str, ...] = setting(
        'Domains that take this route; "*" stands for every other.',
        "The first route that names the domain is taken.",
        example=("example-health.test",),
    )
    relay: Endpoint = setting(
        "The server that takes the mail: name or address, and port.",
        "No MX record is asked: mail inside the organisation must not depend on the public DNS.",
        example=Endpoint("mail.example-health.test", 25),
    )
    tls: str = setting(
        "How: `verify` (a certificate for that name from a known authority), `encrypt` (always, any "
        "certificate), `may` (when offered), `none`.",
        "A word of the mail must not cross the network in the clear; loosen it only inside one machine.",
        "verify",
        choices=("verify", "encrypt", "may", "none"),
    )
    ca_file: Path | None = setting(
        "The authorities that `verify` believes, PEM.",
        "Left out, the system's own; an organisation may have one of its own.",
        None,
        example="/etc/secure-inbox/tls/organisation-ca.pem",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """Mail that leaves: members' messages to the organisation."""

    route: tuple[Route, ...] = setting(
        "Each a table of its own, [[outbound.route]].",
        "Mail for a domain without a route comes back to its sender.",
        (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentException:
    """Somebody may send or receive more, until a day."""

    who: str = setting(
        "An address, or a domain; it counts for the sender and for the recipient.",
        "Whom the business need belongs to.",
        example="ann@acme.test",
    )
    max_count: int = setting(
        "Attachments that they may send at once.", "See [attachments].", example=25, least=0, most=1000
    )
    max_total_mb: int = setting(
        "Their decoded size together, in MB.", "See [attachments].", example=55, least=0, most=1024
    )
    until: date = setting(
        "The last day on which it holds.",
        "An exception without an end is a new rule that nobody decided.",
        example=date(2027, 1, 31),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachments:
    """What a member may attach."""

    max_count: int = setting(
        "Attachments in one message.", "What members were promised.", 10, least=0, most=1000
    )
    max_total_mb: int = setting(
        "Their size together, in MB of decoded octets.",
        "What members were promised; decoded, because that is the size which a person sees.",
        50,
        least=0,
        most=1024,
    )
    exception: tuple[AttachmentException, ...] = setting(
        "Each a table of its own, [[attachments.exception]].", "Business needs, each with its end.", ()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionException:
    """Other days for a domain or an account."""

    who: str = setting(
        "An address, or a domain.", "An address goes before its domain.", example="acme.test"
    )
    days: int = setting(
        "Days until their mail expires.", "See [retention].", example=30, least=1, most=3660
    )
    folder: str = setting(
        "Only this kind of folder; see folder_days.",
        "Left out, every kind.",
        "",
        example="inbox",
        choices=("", *FOLDER_KINDS),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """When mail disappears."""

    days: int = setting(
        "Days after which a message expires, counted from its arrival here.",
        "What members were promised. Moving or copying a message does not extend its life.",
        60,
        least=1,
        most=3660,
    )
    folder_days: dict[str, int] = setting(
        "Other days for a kind of folder: inbox, sent, drafts, trash, junk, archive, other. The folder "
        "that a message first comes into counts.",
        "Nothing differs unless you say so.",
        {},
        example={"junk": 30},
        least=1,
        most=3660,
        choices=FOLDER_KINDS,
    )
    tick_minutes: int = setting(
        "How often expired files are removed.",
        "An expired message cannot be read in any case; this is how long its sealed file may outlive it.",
        15,
        least=1,
        most=1440,
    )
    exception: tuple[RetentionException, ...] = setting(
        "Each a table of its own, [[retention.exception]].", "Some partners agreed on something else.", ()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Members at a public provider who belong together."""

    name: str = setting(
        "What the group is called.", "For people who read this file.", example="Dr. Miller's surgery"
    )
    members: tuple[str, ...] = setting(
        "Their addresses.",
        "In a reply or forward they may write to each other.",
        example=("miller@gmail.com", "reception@gmail.com"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Which members count as colleagues of each other."""

    public_providers: tuple[str, ...] = setting(
        "Domains that strangers share.",
        "Two members at gmail.com are not colleagues: neither may learn of, or write to, the other.",
        (
            "aol.com", "bluewin.ch", "comcast.net", "fastmail.com", "free.fr", "gmail.com", "gmx.at",
            "gmx.ch", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hey.com", "hotmail.com",
            "icloud.com", "live.com", "mac.com", "mail.com", "mail.ru", "me.com", "msn.com",
            "orange.fr", "outlook.com", "proton.me", "protonmail.com", "qq.com", "rocketmail.com",
            "t-online.de", "verizon.net", "web.de", "yahoo.co.uk", "yahoo.com", "yandex.ru",
            "ymail.com", "zoho.com",
        ),
    )  # fmt: skip
    group: tuple[Group, ...] = setting(
        "Each a table of its own, [[neighbours.group]].",
        "At a public provider only a group says who belongs together.",
        (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """How often one may guess."""

    per_pair: int = setting(
        "Wrong passwords for one account from one address within the window before it must wait.",
        "A person mistypes a few times; a guesser needs thousands, and shuts out only himself.",
        10,
        least=1,
        most=1000,
    )
    per_account: int = setting(
        "Wrong passwords for one account from all addresses together.",
        "Many guessers together must be slow too, but must not lock the owner out for a slip.",
        30,
        least=1,
        most=10_000,
    )
    per_address: int = setting(
        "Wrong passwords from one address for all accounts together.",
        "An office behind one address has many people.",
        30,
        least=1,
        most=10_000,
    )
    window_minutes: int = setting(
        "The window; nobody waits longer than this.",
        "Long enough to make guessing hopeless, short enough for a person to wait.",
        15,
        least=1,
        most=1440,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Imap:
    """Bounds of the reading door."""

    idle_minutes: int = setting(
        "A connection that is silent for so long is closed.",
        "RFC 9051 section 5.4 asks for at least 30.",
        30,
        least=30,
        most=1440,
    )
    max_message_mb: int = setting(
        "The largest message that a client may file (APPEND), in MB.",
        "50 MB of attachments are some 70 MB in base64.",
        80,
        least=1,
        most=1024,
    )
    connections: int = setting(
        "Open connections of one worker; more are turned away.",
        "Each takes some memory; this bounds it.",
        10_000,
        least=1,
        most=1_000_000,
    )
    connections_per_address: int = setting(
        "Open connections from one address to one worker.",
        "Clients open about five each; an office behind one address has many.",
        50,
        least=1,
        most=100_000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """Bounds of the two doors for incoming mail."""

    max_message_mb: int = setting(
        "The largest message, as it travels, in MB.",
        "50 MB of attachments are some 70 MB in base64. Announced as SIZE.",
        80,
        least=1,
        most=1024,
    )
    max_recipients: int = setting(
        "Recipients of one message.",
        "RFC 5321 section 4.5.3.1.8 asks for at least 100.",
        100,
        least=100,
        most=10_000,
    )
    idle_seconds: int = setting(
        "A connection that is silent for so long is closed.",
        "RFC 5321 section 4.5.3.2.7 asks for five minutes.",
        300,
        least=60,
        most=3600,
    )
    connections: int = setting(
        "Open connections of one door and worker; more are turned away.",
        "Each takes some memory; this bounds it.",
        1000,
        least=1,
        most=1_000_000,
    )
    connections_per_address: int = setting(
        "Open connections from one address to one door and worker.",
        "The organisation's own server opens several at once.",
        50,
        least=1,
        most=100_000,
    )
    in_flight_mb: int = setting(
        "Messages that one worker receives and stores at the same time, in MB together.",
        "Memory is bounded by it; who comes too many is told to try again (452).",
        512,
        least=64,
        most=65_536,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """How the work is shared."""

    workers: int = setting(
        "Processes that serve clients; 0 means one for each processor.",
        "One loop uses one processor.",
        0,
        least=0,
        most=256,
    )
    parallel_passwords: int = setting(
        "Passwords that one worker checks at the same time; more wait their turn.",
        "Each takes 19 MiB and a processor for some 30 ms: a burst of guesses must not take the machine.",
        2,
        least=1,
        most=64,
    )
    drain_seconds: int = setting(
        "How long open sessions may finish their command when a worker ends.",
        "A message half way in should make it.",
        10,
        least=1,
        most=600,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The operational log: JSON lines, by default to standard error. It holds no content and no address."""

    level: str = setting(
        "The least that is worth a line.",
        "`info` has a line for each start, end, refusal and fault.",
        "info",
        choices=("debug", "info", "warning", "error"),
    )
    file: Path | None = setting(
        "A file to write to instead of standard error.",
        "Under systemd the journal keeps standard error and needs no rotation.",
        None,
        example="/var/log/secure-inbox.log",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file."""

    organisation: Organisation = required_section("Whose gateway this is.")
    storage: Storage = required_section("Where things lie.")
    tls: Tls = required_section("What the gateway proves itself with.")
    listen: Listen = section(Listen, 'Addresses and ports, "address:port"; an empty list closes that door.')
    relay_in: RelayIn = required_section("The door for the organisation's own mail server.")
    outbound: Outbound = section(Outbound, "Mail that leaves: members' messages to the organisation.")
    attachments: Attachments = section(Attachments, "What a member may attach.")
    retention: Retention = section(Retention, "When mail disappears.")
    neighbours: Neighbours = section(
        Neighbours, "Which members count as colleagues of each other when they reply or forward."
    )
    throttle: Throttle = section(Throttle, "How often one may guess a password.")
    imap: Imap = section(Imap, "Bounds of the reading door.")
    smtp: Smtp = section(Smtp, "Bounds of the two doors for incoming mail.")
    processes: Processes = section(Processes, "How the work is shared.")
    log: Log = section(Log, "The operational log: JSON lines; it holds no content and no address.")
