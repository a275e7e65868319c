"""The ways into an account: its secret, wrapped once for each password that opens it.

Apart because more ways are coming (app passwords, recovery codes, escrow) and all are the
same thing: a row that holds the account secret under a key made from something a person
knows. Passwords come from anyone; rows are ours, in the sealed accounts database.

All wraps of an account share its salt, so that any number of app passwords costs one
Argon2id run. Cost parameters travel with each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from keys import passwords
from keys.passwords import Cost
from keys.wrapping import WrongKey, unwrap, wrap
from mail.errors import Reason, Refusal
from mail.secret import Secret
from store import sealed_db

TABLE = """
CREATE TABLE wraps (
    wrap_id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    memory_kib INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    lanes INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX wraps_by_account ON wraps (account_id);
"""


class Kind(StrEnum):
    """What a wrap opens with; an account may have many of each."""

    PASSWORD = "password"  # noqa: S105
    APP_PASSWORD = "app password"  # noqa: S105
    RECOVERY = "recovery"
    ESCROW = "escrow"


LOGIN_KINDS = (Kind.PASSWORD, Kind.APP_PASSWORD)


@dataclass(frozen=True, slots=True)
class Wrap:
    """One row. `name` tells app passwords apart for the member."""

    account_id: str
    kind: Kind
    cost: Cost
    wrapped: bytes
    created: int
    name: str = ""


class Wraps:
    """The rows of all accounts. Making and opening cost one Argon2id run: use a thread."""

    def __init__(self, db: sealed_db.Connection, cost: Cost) -> None:
        self._db = db
        self._cost = cost
        self._no_salt = passwords.new_salt()

    def make(
        self, account_id: str, kind: Kind, *, salt: bytes, password: Secret, secret: Secret, now: int
    ) -> Wrap:
        """Wrap `secret`; nothing is written yet, so the slow work is outside of any transaction."""
        kek = passwords.kek(password, salt, self._cost)
        return Wrap(account_id, kind, self._cost, wrap(kek, secret, _bound_to(account_id, kind)), now)

    def insert(self, made: Wrap) -> None:
        """Durable on return, or with the transaction around it; Conflict without its account."""
        cost = made.cost
        self._db.change(
            "INSERT INTO wraps (account_id, kind, name, memory_kib, passes, lanes, wrapped, created)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (
                made.account_id,
                made.kind,
                made.name,
                cost.memory_kib,
                cost.passes,
                cost.lanes,
                made.wrapped,
                made.created,
            ),
        )

    def replace(self, made: Wrap) -> None:
        """Put it in the place of all wraps of that account and kind."""
        with self._db.transaction():
            self._db.change(
                "DELETE FROM wraps WHERE account_id = ? AND kind = ?", (made.account_id, made.kind)
            )
            self.insert(made)

    def open(self, account_id: str, salt: bytes, password: Secret, kinds: Sequence[Kind]) -> Secret:
        """The account secret; Refusal(LOGIN_FAILED) when no wrap of these kinds opens.

        A wrap of another cost than today's is made anew on the way.
        """
        rows = self._db.execute(
            "SELECT wrap_id, kind, memory_kib, passes, lanes, wrapped"
            " FROM wraps WHERE account_id = ? ORDER BY wrap_id",
            (account_id,),
        )
        keks: dict[Cost, Secret] = {}
        for wrap_id, kind, memory_kib, passes, lanes, wrapped in rows:
            if kind not in kinds:
                continue
            cost = Cost(memory_kib, passes, lanes)
            if cost not in keks:
                keks[cost] = passwords.kek(password, salt, cost)
            try:
                secret = unwrap(keks[cost], wrapped, _bound_to(account_id, Kind(kind)))
            except WrongKey:
                continue
            if cost != self._cost:
                fresh = self.make(
                    account_id, Kind(kind), salt=salt, password=password, secret=secret, now=0
                )
                self._renew(wrap_id, fresh)
            return secret
        if not keks:
            self.waste(password)
        raise login_failed()

    def waste(self, password: Secret) -> None:
        """The same work for nothing, where there is no account: how long an answer takes
        must not tell who exists."""
        passwords.kek(password, self._no_salt, self._cost)

    def _renew(self, wrap_id: int, fresh: Wrap) -> None:
        cost = fresh.cost
        self._db.change(
            "UPDATE wraps SET memory_kib = ?, passes = ?, lanes = ?, wrapped = ? WHERE wrap_id = ?",
            (cost.memory_kib, cost.passes, cost.lanes, fresh.wrapped, wrap_id),
        )


def login_failed() -> Refusal:
    """The one answer to unknown, locked and wrong."""
    return Refusal(Reason.LOGIN_FAILED, "The address or the password is wrong.")


def _bound_to(account_id: str, kind: Kind) -> str:
    return f"{account_id} {kind}"
