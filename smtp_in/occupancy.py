"""How much of this process a door's peers hold: connections, and octets of messages in flight.

Apart because it is shared by all conversations of a process, where each of them knows only itself.
Anyone who can connect moves these numbers; a bound on each conversation alone would still let a
thousand of them take all memory (security row 29).
"""

from __future__ import annotations

from collections import Counter

from smtp_in.limits import Limits
from smtp_in.replies import Reply

_FULL = Reply(421, "4.3.2", "Too many connections, please try again later.", closing=True)
_TOO_MANY_FROM_PEER = Reply(
    421, "4.7.0", "Too many connections from your address, please try again later.", closing=True
)


class Occupancy:
    """Counts and their bounds. Doors of one process may share one, to share the bounds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: Counter[str] = Counter()
        self.octets = 0

    @property
    def connections(self) -> int:
        """Open connections."""
        return self._peers.total()

    def enter(self, peer: str) -> Reply | None:
        """Count a connection in, whatever the answer; a reply means that it must end."""
        self._peers[peer] += 1
        if self._peers[peer] > self._limits.connections_per_peer:
            return _TOO_MANY_FROM_PEER
        if self.connections > self._limits.connections:
            return _FULL
        return None

    def leave(self, peer: str) -> None:
        """Count it out; once for each `enter`."""
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    def fits(self, octets: int) -> bool:
        """Whether so many more octets would be granted now."""
        return self.octets + octets <= self._limits.octets_in_flight

    def take(self, octets: int) -> bool:
        """Reserve octets for a message in flight; False, and nothing reserved, when too many."""
        if not self.fits(octets):
            return False
        self.octets += octets
        return True

    def give_back(self, octets: int) -> None:
        """End a reservation."""
        self.octets -= octets
