"""The demo's sink as a supervised process.

Apart because `gateway.sink` also runs alone, and knows nothing of supervisors. Any local
program can send bytes to it; it is the other side, not the gateway.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from gateway import logs, sink
from gateway.child import Child


async def _serve(child: Child) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    child.attend(loop, ended.set)
    wiring = child.wiring
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(wiring["certificate"], wiring["key"])
    settings = sink.Settings(
        Path(wiring["maildir"]), wiring["domain"], frozenset(wiring["accept"]), tls=tls
    )
    server = await sink.start(settings, port=wiring["port"])
    child.ready()
    await ended.wait()
    server.close()


if __name__ == "__main__":
    this = Child.begin()
    logs.configure("info", Path(this.wiring["log"]), this.name)
    asyncio.run(_serve(this))
