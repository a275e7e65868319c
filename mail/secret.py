"""A value that must never be printed.

Apart because passwords, account secrets and derived keys pass through every room, and a
`repr` in a log line or a traceback is the commonest way by which such a value reaches a
disk. Whoever needs the bytes has to say so by name.
"""

from __future__ import annotations

import hmac


class Secret:
    """Bytes that print as `Secret(redacted)`; compared in constant time, not picklable."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves. Every call site is a place to review."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a Secret is not a key for a dict or a set")

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return "Secret(redacted)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: that would be a readable copy")
