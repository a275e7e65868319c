"""The members: who has an account, their certificate, and what opens their account secret.

Apart because every door asks it and nothing in it opens any mail: secrets lie here wrapped
(docs/design.md, Keys). Login names and passwords come from anyone. No path here may tell
an account that exists from one that does not: the same work, the same words (P3).

Calls that take a password cost one Argon2id (26 ms, GIL released): run them on a thread.
Times are seconds since the epoch.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from keys import keyring, passwords
from keys.passwords import Cost
from keys.wrapping import Label, derive, new_key, openpgp_passphrase
from mail.address import Address
from mail.errors import Reason, Refusal
from mail.secret import Secret
from store import sealed_db, throttle, wraps
from store.throttle import Limits, Throttle
from store.wraps import LOGIN_KINDS, Kind, Wrap, Wraps, login_failed

_SCHEMA = (
    """
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    address_key TEXT NOT NULL UNIQUE,
    local TEXT NOT NULL,
    domain TEXT NOT NULL,
    on_record TEXT NOT NULL,
    certificate BLOB NOT NULL,
    secret_key BLOB NOT NULL,
    status TEXT NOT NULL,
    hold INTEGER NOT NULL,
    created INTEGER NOT NULL,
    salt BLOB NOT NULL
) STRICT;
"""
    + wraps.TABLE
    + throttle.TABLE,
    "ALTER TABLE accounts ADD COLUMN password_no INTEGER NOT NULL DEFAULT 0;",
)
_SELECT = (
    "SELECT id, local, domain, on_record, certificate, secret_key, status, hold, created, password_no"
    " FROM accounts"
)
_INSERT = (
    "INSERT INTO accounts (id, local, domain, on_record, certificate, secret_key, status, hold, created,"
    " address_key, salt) VALUES (?,?,?,?,?,?,?,?,?,?,?)"
)


class Status(StrEnum):
    """Whether a member may log in and be delivered to."""

    ACTIVE = "active"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Account:
    """One member. `on_record` is where notices go, outside of the gateway."""

    id: str  # 32 hex digits, random: the only name of an account in logs and paths
    address: Address
    on_record: str
    certificate: bytes  # binary OpenPGP, every epoch
    secret_key: bytes  # protected with openpgp_passphrase(account secret)
    status: Status
    hold: bool
    created: int
    password_no: int = 0  # how often the password was changed: who logged in before is out


class Accounts:
    """The records in ROOT/accounts.sqlite, shared by all processes."""

    def __init__(
        self, root: Path, server_key: Secret, cost: Cost | None = None, limits: Limits | None = None
    ) -> None:
        """Opens or creates; Damaged for another server key, Unavailable when it cannot be opened."""
        self._db = sealed_db.open(root / "accounts.sqlite", derive(server_key, Label.ACCOUNTS), _SCHEMA)
        # A removed wrap must not stay readable (to the server key) in a free page.
        self._db.execute("PRAGMA secure_delete = ON")
        self._wraps = Wraps(self._db, cost or Cost())
        self.throttle = Throttle(self._db, derive(server_key, Label.PSEUDONYM), limits or Limits())

    def close(self) -> None:
        """Idempotent."""
        self._db.close()

    def add(self, address: Address, on_record: str, password: Secret, now: int) -> Account:
        """Make the account with its key pair. Refusal(WEAK_PASSWORD | ACCOUNT_EXISTS)."""
        passwords.check_strength(password)
        account_secret = new_key()
        pair = keyring.generate(str(address), openpgp_passphrase(account_secret))
        account_id, salt = secrets.token_hex(16), passwords.new_salt()
        account = Account(
            account_id, address, on_record, pair.certificate, pair.secret_key, Status.ACTIVE, False, now
        )
        way_in = self._wraps.make(
            account_id, Kind.PASSWORD, salt=salt, password=password, secret=account_secret, now=now
        )
        try:
            with self._db.transaction():
                self._db.change(_INSERT, (*_row(account), address.key, salt))
                self._wraps.insert(way_in)
        except sealed_db.Conflict:
            raise Refusal(Reason.ACCOUNT_EXISTS, "There is an account of that address already.") from None
        return account

    def find(self, address: Address) -> Account | None:
        """By address, whatever its letters' case; locked ones too."""
        rows = self._db.execute(_SELECT + " WHERE address_key = ?", (address.key,))
        return _account(rows[0]) if rows else None

    def get(self, account_id: str) -> Account:
        """By id; Refusal(NO_SUCH_ACCOUNT)."""
        rows = self._db.execute(_SELECT + " WHERE id = ?", (account_id,))
        if not rows:
            raise _no_such_account()
        return _account(rows[0])

    def all(self) -> Sequence[Account]:
        """Every account, by domain and local part."""
        rows = self._db.execute(_SELECT + " ORDER BY domain, local")
        return [_account(row) for row in rows]

    def set_status(self, account_id: str, status: Status) -> None:
        """Lock or unlock, for all processes at once; Refusal(NO_SUCH_ACCOUNT)."""
        self._set("UPDATE accounts SET status = ? WHERE id = ?", status, account_id)

    def set_hold(self, account_id: str, hold: bool) -> None:
        """Legal hold on or off; Refusal(NO_SUCH_ACCOUNT)."""
        self._set("UPDATE accounts SET hold = ? WHERE id = ?", hold, account_id)

    def held(self, account_id: str) -> bool:
        """Whether the account's mail may not be destroyed; for an unknown account, no."""
        return self._db.execute("SELECT hold FROM accounts WHERE id = ?", (account_id,)) == [(1,)]

    def admits(self, account: Account) -> bool:
        """Whether who has logged in to this may go on: it is there, not locked, and its password
        is the one of then. One indexed row, no password work."""
        now_there = self._db.execute(
            "SELECT 1 FROM accounts WHERE id = ? AND status = ? AND password_no = ?",
            (account.id, Status.ACTIVE, account.password_no),
        )
        return bool(now_there)

    def delete(self, account_id: str) -> None:
        """Forget the account and its wraps, in the write-ahead log too: without them its mail
        and keys are noise, wherever copies lie. Refusal(NO_SUCH_ACCOUNT)."""
        if not self._db.change("DELETE FROM accounts WHERE id = ?", (account_id,)):
            raise _no_such_account()
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def log_in(self, name: str, password: Secret, peer: str, now: int) -> tuple[Account, Secret]:
        """The whole of a login: throttle, open, count. `peer` is the client's IP address.

        Refusal(THROTTLED | LOGIN_FAILED), by work and words the same for unknown, locked and
        wrong; Unavailable. Returns the account and its account secret.
        """
        try:
            address = Address.parse(name)
        except Refusal:
            address = None
        key = address.key if address is not None else name
        self.throttle.allowed(key, peer, now)
        try:
            opened = self.open_secret_for(address, password)
        except Refusal:
            self.throttle.failed(key, peer, now)
            raise
        self.throttle.succeeded(key, peer, now)
        return opened

    def open_secret_for(self, address: Address | None, password: Secret) -> tuple[Account, Secret]:
        """As `open_secret`, by address. Unknown (or None) and locked accounts cost the same
        Argon2 run and get the same Refusal(LOGIN_FAILED): no oracle for who exists."""
        account = self.find(address) if address is not None else None
        if account is None:
            self._wraps.waste(password)
            raise login_failed()
        account_secret = self.open_secret(account, password)
        if account.status is not Status.ACTIVE:  # after the work, not before
            raise login_failed()
        return account, account_secret

    def open_secret(
        self, account: Account, password: Secret, kinds: Sequence[Kind] = LOGIN_KINDS
    ) -> Secret:
        """The account secret; Refusal(LOGIN_FAILED) when no wrap of these kinds opens.

        Does not look at the status: a sysadmin may need this for a locked account.
        """
        try:
            salt = self._salt(account.id)
        except Refusal:  # deleted a moment ago
            self._wraps.waste(password)
            raise login_failed() from None
        return self._wraps.open(account.id, salt, password, kinds)

    def change_password(self, account: Account, old: Secret, new: Secret, now: int) -> None:
        """Wrap the account secret anew; no mail and no key is touched. Whoever is logged in is not
        admitted any more: it may be for them that the password is changed.

        Refusal(WEAK_PASSWORD | LOGIN_FAILED). App passwords do not open this, and stay.
        """
        passwords.check_strength(new)
        account_secret = self.open_secret(account, old, (Kind.PASSWORD,))
        made = self._wrap(account.id, Kind.PASSWORD, new, account_secret, now)
        with self._db.transaction():
            self._wraps.replace(made)
            self._set("UPDATE accounts SET password_no = password_no + ? WHERE id = ?", 1, account.id)
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the old password's wrap is gone for good

    def add_app_password(
        self, account: Account, name: str, password: Secret, account_secret: Secret, now: int
    ) -> None:
        """One more password for one device, beside what is there."""
        made = self._wrap(account.id, Kind.APP_PASSWORD, password, account_secret, now)
        self._wraps.insert(replace(made, name=name))

    def _wrap(self, account_id: str, kind: Kind, password: Secret, secret: Secret, now: int) -> Wrap:
        salt = self._salt(account_id)
        return self._wraps.make(account_id, kind, salt=salt, password=password, secret=secret, now=now)

    def _salt(self, account_id: str) -> bytes:
        rows = self._db.execute("SELECT salt FROM accounts WHERE id = ?", (account_id,))
        if not rows:
            raise _no_such_account()
        return bytes(rows[0][0])

    def _set(self, sql: str, value: object, account_id: str) -> None:
        if not self._db.change(sql, (value, account_id)):
            raise _no_such_account()


def _row(account: Account) -> sealed_db.Row:
    """In the order of _INSERT."""
    return (
        account.id,
        account.address.local,
        account.address.domain,
        account.on_record,
        account.certificate,
        account.secret_key,
        account.status,
        account.hold,
        account.created,
    )


def _account(row: sealed_db.Row) -> Account:
    account_id, local, domain, on_record, certificate, secret_key, status, hold, created, password_no = row
    return Account(
        account_id,
        Address(local, domain),
        on_record,
        certificate,
        secret_key,
        Status(status),
        bool(hold),
        created,
        password_no,
    )


def _no_such_account() -> Refusal:
    return Refusal(Reason.NO_SUCH_ACCOUNT, "There is no account of that address.")
