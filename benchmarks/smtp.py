"""A load of SMTP or LMTP deliveries over several connections, each waiting for its 250."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

from benchmarks.servers import Server


def deliver(server: Server, messages: Sequence[bytes], connections: int = 1) -> float:
    """Deliver them all; the seconds from the first byte to the last 250."""
    lines = [_Line(server) for _ in range(connections)]
    gate = threading.Barrier(connections + 1)
    faults: list[BaseException] = []

    def work(line: _Line, share: Sequence[bytes]) -> None:
        gate.wait()
        try:
            for message in share:
                line.send(server.recipient, message)
        except BaseException as fault:
            faults.append(fault)

    threads = [
        threading.Thread(target=work, args=(line, messages[index::connections]))
        for index, line in enumerate(lines)
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - start
    for line in lines:
        line.close()
    if faults:
        raise faults[0]
    return taken


class _Line:
    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(server.ingest, timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._expect(b"220")
        self._say(server.hello + b" bench.test", b"250")
        if server.tls_by_starttls:
            assert server.ingest_context is not None
            self._say(b"STARTTLS", b"220")
            self._socket = server.ingest_context.wrap_socket(self._socket, server_hostname="localhost")
            self._say(server.hello + b" bench.test", b"250")

    def send(self, recipient: str, message: bytes) -> None:
        self._say(b"MAIL FROM:<claims@example-health.test>", b"250")
        self._say(b"RCPT TO:<%s>" % recipient.encode(), b"250")
        self._say(b"DATA", b"354")
        self._socket.sendall(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        self._expect(b"250")

    def close(self) -> None:
        self._say(b"QUIT", b"221")
        self._socket.close()

    def _say(self, text: bytes, code: bytes) -> None:
        self._socket.sendall(text + b"\r\n")
        self._expect(code)

    def _expect(self, code: bytes) -> None:
        while True:
            while b"\n" not in self._buffer:
                chunk = self._socket.recv(65536)
                if not chunk:
                    raise EOFError("the server closed the connection")
                self._buffer += chunk
            line, _, self._buffer = self._buffer.partition(b"\n")
            if line[3:4] != b"-":
                assert line.startswith(code), line
                return
