"""The sysadmin's settings in the words of each room.

Apart because no room knows the configuration file and the file knows no room. Pure functions;
all values were judged by `conf.loader`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from conf import settings as conf
from conf.settings import Settings
from imap_out import limits as imap
from mail.address import Address, canonical_domain
from policy import admission, attachments, retention
from portal import settings as portal_settings
from smtp_in.limits import Identity
from smtp_in.limits import Limits as SmtpLimits
from smtp_out.routes import Route, Routes, Tls
from store.throttle import Limits as ThrottleLimits

MEBI = 1_048_576


def identity(settings: Settings) -> Identity:
    """How the SMTP doors introduce themselves."""
    mine = settings.organisation
    return Identity(canonical_domain(mine.hostname), mine.name, mine.support)


def admission_rules(settings: Settings) -> admission.Rules:
    """Who may write to whom."""
    return admission.Rules(
        frozenset(map(canonical_domain, settings.organisation.domains)),
        frozenset(map(canonical_domain, settings.neighbours.public_providers)),
        tuple(
            frozenset(Address.parse(member).key for member in group.members)
            for group in settings.neighbours.group
        ),
        settings.organisation.support,
    )


def attachment_rules(settings: Settings) -> attachments.Rules:
    """How much may be attached."""
    general = settings.attachments
    return attachments.Rules(
        attachments.Allowance(general.max_count, general.max_total_mb * MEBI),
        tuple(
            attachments.Exemption(
                _key(each.who),
                attachments.Allowance(each.max_count, each.max_total_mb * MEBI),
                # `until` is the last day on which it holds.
                int(datetime.combine(each.until + timedelta(days=1), time(), UTC).timestamp()),
            )
            for each in general.exception
        ),
        settings.organisation.support,
    )


def retention_rules(settings: Settings) -> retention.Rules:
    """When mail expires."""
    days = {(retention.EVERY, kind): number for kind, number in settings.retention.folder_days.items()}
    days |= {(_key(each.who), each.folder): each.days for each in settings.retention.exception}
    return retention.Rules(settings.retention.days, days)


def throttle(settings: Settings) -> ThrottleLimits:
    """How often one may guess."""
    given = settings.throttle
    return ThrottleLimits(
        window=given.window_minutes * 60,
        per_pair=given.per_pair,
        per_account=given.per_account,
        per_peer=given.per_address,
    )


def smtp_limits(settings: Settings) -> SmtpLimits:
    """The bounds of relay-in and submission."""
    given = settings.smtp
    return SmtpLimits(
        message_octets=given.max_message_mb * MEBI,
        recipients=given.max_recipients,
        idle_seconds=given.idle_seconds,
        connections=given.connections,
        connections_per_peer=given.connections_per_address,
        octets_in_flight=given.in_flight_mb * MEBI,
    )


def routes(settings: Settings) -> Routes:
    """Where mail goes out; the first route that names a domain is taken."""
    by_domain: dict[str, Route] = {}
    default: Route | None = None
    for each in settings.outbound.route:
        route = _route(each)
        for domain in each.domains:
            if domain != "*":
                by_domain.setdefault(canonical_domain(domain), route)
            elif default is None:
                default = route
    return Routes(default, by_domain)


def _route(given: conf.Route) -> Route:
    return Route(given.relay.host, given.relay.port, Tls(given.tls), str(given.ca_file or ""))


def _key(who: str) -> str:
    """An exception's `who` as policy compares it."""
    return Address.parse(who).key if "@" in who else canonical_domain(who)


def imap_limits(settings: Settings) -> imap.Limits:
    """The bounds of the reading door."""
    given = settings.imap
    append = given.max_message_mb * MEBI
    return imap.Limits(
        after_login=replace(
            imap.Limits().after_login,
            append=append,
            swallow=append + 8 * MEBI,  # an APPEND a little too large is answered, not hung up on
        ),
        idle_seconds=given.idle_minutes * 60,
        connections=given.connections,
        connections_per_peer=given.connections_per_address,
    )


def portal(settings: Settings) -> portal_settings.Settings:
    """What the help pages say; a door that is closed shows its standard port."""
    host = settings.organisation.hostname
    ports = {
        name: next((each.port for each in getattr(settings.listen, name)), standard)
        for name, standard in (("imaps", 993), ("imap", 143), ("submissions", 465), ("submission", 587))
    }
    return portal_settings.Settings(
        organisation=settings.organisation.name,
        support=settings.organisation.support,
        days=settings.retention.days,
        max_attachments=settings.attachments.max_count,
        max_megabytes=settings.attachments.max_total_mb,
        **{name: portal_settings.Endpoint(host, port) for name, port in ports.items()},
    )
