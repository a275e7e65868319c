"""BINARY[...]: the octets that a part stands for, its transfer encoding undone (RFC 3516).

Apart from sections, which are octets as they lie in the message. The messages are hostile:
broken base64 is mended as for searching (`mail.transfer`), an encoding that nobody knows is refused.

    fetch-att =/ "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary
    section-binary = "[" [section-part] "]"
"""

from __future__ import annotations

from dataclasses import dataclass

from imap_out import sections
from imap_out.grammar import Arguments, bad
from imap_out.sections import Section, Spec
from mail import structure, transfer
from mail.errors import Reason, Refusal

_KNOWN = frozenset({b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable"})


@dataclass(frozen=True, slots=True)
class Binary:
    """`sized`: how many octets it is, not the octets. Without a path it is the whole message."""

    section: Section
    sized: bool = False

    @property
    def needs_parts(self) -> bool:
        """Whether the part tree is needed to find it."""
        return bool(self.section.path)

    def of(self, content: bytes, root: structure.Part | None) -> bytes | None:
        """The octets, or the number in digits; None when there is no such part.

        Refusal(UNKNOWN_ENCODING): RFC 3516 section 4.3, the octets must not be sent undecoded.
        """
        octets = self._octets(content, root)
        if self.sized:  # a number has no NIL: what is not there has no octet
            return b"%d" % len(octets or b"")
        return None if octets is None else self.section.cut(octets)

    def _octets(self, content: bytes, root: structure.Part | None) -> bytes | None:
        if root is None or not self.section.path:
            return content
        part = structure.find(root, self.section.path)
        if part is None:
            return None
        # RFC 2045 section 6.4: multipart and message are never encoded, whatever the header says.
        encoding = None if part.is_multipart or part.message is not None else part.encoding
        if encoding is not None and encoding.lower() not in _KNOWN:
            raise Refusal(Reason.UNKNOWN_ENCODING, "A part has a transfer encoding that is not known.")
        return transfer.decoded(content[slice(*part.body)], encoding)


def parse(arguments: Arguments, *, sized: bool = False) -> Binary:
    """Behind `BINARY`, `BINARY.PEEK` or `BINARY.SIZE`, from the bracket on."""
    section = sections.parse(arguments)
    if section.spec is not Spec.ALL or (sized and section.partial):
        raise bad("BINARY takes a part number alone.")
    return Binary(section, sized)
