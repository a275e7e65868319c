"""Counting wrong passwords, so that guessing is slow everywhere at once.

Apart because the same counters serve every process and every protocol: they live in the
accounts database. Anyone can cause rows here, but each costs them one Argon2 run, and rows
die with the window. Addresses are counted by pseudonym, so the tables name nobody.

Three scopes: (account, peer), account, peer. The pair's limit is the lowest, so a guesser
shuts out himself, not the owner at another address; many guessers together can slow an
account down, but only at peers from which its owner has not logged in of late: else whoever
guesses once in each wait would keep the owner out for ever (lock-out of a victim).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from keys.wrapping import pseudonym
from mail.errors import Reason, Refusal
from mail.secret import Secret
from store.sealed_db import Connection

TABLE = """
CREATE TABLE failures (scope TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX failures_by_scope ON failures (scope, at);
CREATE INDEX failures_by_age ON failures (at);
CREATE TABLE known_pairs (scope TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Wrong passwords within `window` seconds before waiting begins; then `first_wait` seconds
    since the last one, doubled with each further one, never more than `window`."""

    window: int = 900
    per_pair: int = 10
    per_account: int = 30  # from all peers together: a botnet's spray on one member
    per_peer: int = 30  # on all accounts together: one address's spray, above an office's typing errors
    first_wait: int = 30
    known: int = 30 * 86_400  # seconds for which a peer that the account logged in from is known


class Throttle:
    """The counters of one database. Every method is one short transaction; times are seconds."""

    def __init__(self, db: Connection, key: Secret, limits: Limits) -> None:
        self._db = db
        self._key = key
        self._limits = limits

    def allowed(self, account_key: str, peer: str, now: int) -> None:
        """Refusal(THROTTLED) while any of the three scopes has to wait, at a known peer only the
        pair's; the same for accounts that do not exist (the key is whatever name was given)."""
        scopes = self._scopes(account_key, peer)
        if self._is_known(scopes[0][0], now):
            scopes = scopes[:1]
        for scope, limit in scopes:
            wait = self._wait(scope, limit, now)
            if wait > 0:
                raise Refusal(Reason.THROTTLED, f"Too many wrong passwords. Try again in {_spoken(wait)}.")

    def failed(self, account_key: str, peer: str, now: int) -> None:
        """Count one wrong password.

        Refusal(THROTTLED), and no count, when the limit was reached since `allowed`; see `succeeded`.
        """
        with self._db.transaction():
            self.allowed(account_key, peer, now)
            self._db.change("DELETE FROM failures WHERE at <= ?", (now - self._limits.window,))
            for scope, _limit in self._scopes(account_key, peer):
                self._db.change("INSERT INTO failures (scope, at) VALUES (?, ?)", (scope, now))

    def succeeded(self, account_key: str, peer: str, now: int) -> None:
        """Forget the pair's failures, know the peer. The other two scopes stay: else an own
        account would be a way to guess for ever at others'.

        Refusal(THROTTLED) when the limit was reached since `allowed`: of a hundred guesses
        sent at the same moment only the first few may learn anything, right or wrong.
        """
        with self._db.transaction():
            self.allowed(account_key, peer, now)
            pair = self._scopes(account_key, peer)[0][0]
            self._db.change("DELETE FROM failures WHERE scope = ?", (pair,))
            self._db.change("DELETE FROM known_pairs WHERE at <= ?", (now - self._limits.known,))
            self._db.change("INSERT OR REPLACE INTO known_pairs (scope, at) VALUES (?, ?)", (pair, now))

    def _is_known(self, pair: str, now: int) -> bool:
        since = now - self._limits.known
        return bool(self._db.execute("SELECT 1 FROM known_pairs WHERE scope = ? AND at > ?", (pair, since)))

    def _wait(self, scope: str, limit: int, now: int) -> int:
        since = now - self._limits.window
        rows = self._db.execute(
            "SELECT at FROM failures WHERE scope = ? AND at > ? ORDER BY at", (scope, since)
        )
        if len(rows) < limit:
            return 0
        last = int(rows[-1][0])
        doubled = self._limits.first_wait << min(len(rows) - limit, 20)
        return last + min(doubled, self._limits.window) - now

    def _scopes(self, account_key: str, peer: str) -> tuple[tuple[str, int], ...]:
        near = _network(peer)
        return (
            (pseudonym(self._key, f"pair {near} {account_key}"), self._limits.per_pair),
            (pseudonym(self._key, f"account {account_key}"), self._limits.per_account),
            (pseudonym(self._key, f"peer {near}"), self._limits.per_peer),
        )


def _network(peer: str) -> str:
    """IPv6 by /64, which is what one customer has; IPv4 mapped into IPv6 is that IPv4 address."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _spoken(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
