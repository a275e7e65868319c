"""Every collected message says the same through us as through Dovecot, or the table says why."""

from __future__ import annotations

from collections.abc import Iterator

from imap_out import rendering
from mail import structure
from tests.corpus.collect import Sample, samples
from tests.corpus.differences import DIFFERENCES
from tests.corpus.reading import Reading, Tree, numbers, tree
from tests.peers.dovecot import dovecot

# Dovecot writes the default of RFC 2045 5.2 in lower case also where the message says "Text".
DEFAULTS = {b"text", b"plain", b"us-ascii"}


def described(content: bytes) -> dict[bytes, Tree]:
    """All that FETCH tells of a message, from the bytes alone."""
    root = structure.unpack(structure.pack(structure.parse(content)))
    header = content[slice(*root.header)]
    shown = {
        b"RFC822.SIZE": b"%d" % len(content),
        b"ENVELOPE": tree(rendering.envelope(header))[0],
        b"BODY": tree(rendering.body(content, root, extended=False))[0],
        b"BODYSTRUCTURE": tree(rendering.body(content, root, extended=True))[0],
        b"BODY[HEADER]": header,
    }
    for name, part in numbers(root):
        number = name.encode()
        assert structure.find(root, [int(digits) for digits in name.split(".")]) == part
        shown[b"BODY[%b]" % number] = content[slice(*part.body)]
        shown[b"BODY[%b.MIME]" % number] = content[slice(*part.header)]
    return shown


def folded(value: Tree) -> Tree:
    if isinstance(value, list):
        return [folded(item) for item in value]
    return value.lower() if value is not None and value.lower() in DEFAULTS else value


def differing(
    sample: Sample, ours: dict[bytes, Tree], theirs: dict[bytes, Tree]
) -> Iterator[tuple[str, str]]:
    for name, value in ours.items():
        if folded(value) != folded(theirs[name]):
            yield sample.short, name.decode()


def test_agrees_with_dovecot() -> None:
    found: set[tuple[str, str]] = set()
    with dovecot(users={"ann": "secret"}) as peer:
        reading = Reading(peer.host, peer.imap, "ann", "secret")
        try:
            reading.append([sample.content for sample in samples()])
            for number, sample in enumerate(samples(), 1):
                ours = described(sample.content)
                items = b" ".join(name.replace(b"BODY[", b"BODY.PEEK[") for name in ours)
                found.update(differing(sample, ours, reading.fetch(number, items)))
        finally:
            reading.close()
    explained = {(file, field) for table in DIFFERENCES.values() for file, field in table}
    assert sorted(found - explained) == [], "unexplained"
    assert sorted(explained - found) == [], "explained, but they do not occur"
