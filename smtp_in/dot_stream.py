"""A message out of DATA's stream of octets, sans-IO: dot-stuffing undone, bounds kept, smuggling refused.

Apart because this is where SMTP smuggling lives or dies (CVE-2023-51764/5/6, aiosmtpd
CVE-2024-27305): the end is CRLF "." CRLF and nothing else, and content with a bare CR, a bare LF or
a NUL is refused after its end, with the stream in step. Nothing is normalised into a second
meaning. Anyone who may send a message sends bytes here.

RFC 5321 sections 4.1.1.4 (the end), 4.5.2 (transparency), 2.3.8 (lines). Works on whole chunks with
`bytes` methods: a line at a time in Python would take seconds for 50 MB.
"""

from __future__ import annotations

from mail.errors import Reason, Refusal
from policy.attachments import declared_too_large
from smtp_in.limits import Limits
from smtp_in.occupancy import Occupancy

_END = b"\r\n.\r\n"
_PREFIXES = tuple(_END[:n] for n in range(len(_END) - 1, 0, -1))


class DotStream:
    """Feed until the end has come, then ask for the content. Always `release` it afterwards."""

    def __init__(self, limits: Limits, occupancy: Occupancy, contact: str) -> None:
        self._limits = limits
        self._occupancy = occupancy
        self._contact = contact
        self._blocks: list[bytes] = []
        # The CRLF of the DATA command stands before the first line, so that "." alone ends an
        # empty message and a first line's dot is unstuffed like any other.
        self._carry = b"\r\n"
        self._header: bytearray | None = bytearray()
        self._first = True
        self._reserved = 0
        self._fault: Refusal | None = None
        self.octets = 0
        """Octets of content seen so far, kept or not."""

    @property
    def endless(self) -> bool:
        """So far beyond the limit that waiting for the end is no longer worth it."""
        return self.octets > 4 * self._limits.message_octets

    def feed(self, data: bytes) -> bytes | None:
        """None for "need more"; otherwise the octets behind the end, which are commands."""
        data = self._carry + data
        end = data.find(_END)
        if end >= 0:
            self._take(data[: end + 2])
            self._check_fields()
            return data[end + len(_END) :]
        # Hold back what may be the beginning of the end; so no CRLF is ever split either.
        self._carry = next((p for p in _PREFIXES if data.endswith(p)), b"")
        self._take(data[: len(data) - len(self._carry)])
        return None

    def content(self) -> bytes:
        """Hand the message over, once; Refusal when it may not pass. Call after the end."""
        declared_too_large(self.octets, self._limits.message_octets, self._contact).enforce()
        if self._fault is not None:
            raise self._fault
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)

    def release(self) -> None:
        """Drop what is held and give the reservation back; idempotent."""
        self._blocks = []
        self._occupancy.give_back(self._reserved)
        self._reserved = 0

    def _take(self, block: bytes) -> None:
        if not block:
            return
        if self._fault is None and self._smuggles(block):
            self._refuse(
                Reason.BAD_MESSAGE, "The message has a line end that is not CRLF, or a NUL character."
            )
        if self._header is not None and self._fault is None:
            self._watch_header(block)
        plain = block.replace(b"\r\n.", b"\r\n")
        if self._first:
            plain = plain[2:]
            self._first = False
        self.octets += len(plain)
        if self.octets > self._limits.message_octets:
            self.release()  # and go on counting, so that the refusal can say by how much
        elif self._fault is None:
            if self._occupancy.take(len(plain)):
                self._reserved += len(plain)
                self._blocks.append(plain)
            else:
                self._refuse(Reason.LIMIT, "Too much mail is arriving at once, please try again later.")

    @staticmethod
    def _smuggles(block: bytes) -> bool:
        pairs = block.count(b"\r\n")
        return block.count(b"\r") != pairs or block.count(b"\n") != pairs or b"\0" in block

    def _watch_header(self, block: bytes) -> None:
        """Find the header's end while it is small; a 10 MB header line is not kept (row 8)."""
        header = self._header
        assert header is not None
        start = max(0, len(header) - 3)
        header += block[: self._limits.header_octets + 1]
        end = header.find(b"\r\n\r\n", start)
        if end >= 0:
            del header[end + 2 :]
            self._check_fields()
        elif len(header) > self._limits.header_octets:
            self._header = None
            limit = self._limits.header_octets
            self._refuse(Reason.TOO_LARGE, f"The header of the message has more than {limit} octets.")

    def _check_fields(self) -> None:
        if self._header is None:
            return
        folded = self._header.count(b"\r\n ") + self._header.count(b"\r\n\t")
        fields = self._header.count(b"\r\n") - 1 - folded
        self._header = None
        if fields > self._limits.header_fields:
            limit = self._limits.header_fields
            self._refuse(Reason.TOO_LARGE, f"The message has {fields} header fields, more than {limit}.")

    def _refuse(self, reason: Reason, words: str) -> None:
        """Keep the first fault; the rest of the message is read and thrown away."""
        self._fault = self._fault or Refusal(reason, words)
        self.release()
