"""The transport as the session sees it: the seam between the sans-IO core and the socket.

Apart so that a test can be one. `shell.Connection` is the real one.
"""

from __future__ import annotations

from typing import Protocol


class Wire(Protocol):
    """The transport as the session sees it."""

    @property
    def secure(self) -> bool:
        """Whether TLS is on."""
        ...

    @property
    def can_start_tls(self) -> bool:
        """Whether STARTTLS is on offer."""
        ...

    @property
    def peer(self) -> str:
        """The client's IP address."""
        ...

    def write(self, data: bytes) -> None:
        """Send; never blocks."""
        ...

    async def drained(self) -> None:
        """Wait until the peer has taken enough; ConnectionError when it is gone."""
        ...

    def start_tls(self) -> None:
        """What is written after this, and what comes, is inside TLS."""
        ...

    def pause(self) -> None:
        """Stop reading: more waits than should."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...
