"""The one TLS context for every door.

Apart so that no door can be weaker than another. RFC 8996 (nothing below 1.2), RFC 9325.
Strangers' handshakes are OpenSSL's business; there is nothing of ours to parse.
"""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For asyncio's doors; ssl.SSLError when the two files do not fit together."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A renegotiation or compression would let a peer make us work, or guess at what is inside.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(certificate, key)
    return context
