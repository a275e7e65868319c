"""Starting, dying, reloading, ending: whole gateways as processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.gateway import PROGRAM, Running, gateway, port_base
from tests.clients.site import Site, until
from tests.gateway.command import rows, run
from tests.gateway.test_roads import ODD, found, reading, send

pytestmark = pytest.mark.slow


def gone(pid: int) -> bool:
    """Ended, whether or not anybody has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def workers(running: Running) -> list[int]:
    """The pids of the worker processes."""
    pids = []
    for pid in running.processes():
        with contextlib.suppress(OSError):
            if b"gateway.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                pids.append(pid)
    return pids


def test_a_second_start_finds_everything_and_each_ends_cleanly(tmp_path: Path) -> None:
    data = tmp_path / ("deep" * 30)  # longer than a socket's name may be
    with gateway(data, examples=True) as running:
        until("the examples", lambda: found(running.site, "ann", "INBOX", "Welcome"))
        running.site.relay(["ann@acme.test"], ODD % (b"first life", b"first"))
        send(running.site, "ann", ["claims@example-health.test"], "from the first life")
        assert running.site.sunk_with("from the first life")
        processes = running.processes()
        assert len(processes) >= 5
    assert not (data / "demo.json").exists()
    assert all(gone(pid) for pid in processes)
    with gateway(data, examples=True) as running:
        assert len(found(running.site, "ann", "INBOX", "first life")) == 1
        assert len(found(running.site, "ann", "Sent", "from the first life")) == 1
        assert len(found(running.site, "ann", "INBOX", "Welcome")) == 1  # the examples come once


def test_a_killed_worker_is_replaced_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    with gateway(tmp_path / "data", examples=False) as running:
        site, acknowledged, stop = running.site, [], threading.Event()

        def pour() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                name = f"poured {number} end"
                try:
                    site.relay(["eve@other.test"], ODD % (name.encode(), b"p%d" % number))
                    acknowledged.append(name)
                except (OSError, smtplib.SMTPException):
                    continue

        pouring = threading.Thread(target=pour)
        pouring.start()
        for _ in range(3):
            time.sleep(0.5)
            before = workers(running)
            os.kill(before[0], signal.SIGKILL)
            until("a new worker", lambda old=before: len(set(workers(running)) - set(old)) == 1)
        stop.set()
        pouring.join()
        assert len(acknowledged) > 10
        with reading(site, "eve") as client:
            _, answer = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        subjects = [part[1].decode().strip().removeprefix("Subject: ") for part in answer if len(part) == 2]
        assert [name for name in acknowledged if subjects.count(name) != 1] == []


def test_sessions_of_both_workers_share_one_mailbox(tmp_path: Path) -> None:
    """With one worker stopped in its tracks, the other serves; woken, it knows what came."""
    with gateway(tmp_path / "data", examples=False) as running:
        site = running.site
        clients = [site.reader(site.account("ann")) for _ in range(6)]
        try:
            for client in clients:
                client.select("INBOX")
            site.relay(["ann@acme.test"], ODD % (b"seen by all", b"all"))
            for client in clients:
                assert client.noop()[0] == "OK"
                assert client.search(None, "SUBJECT", '"seen by all"')[1] == [b"1"]
            clients[0].store("1", "+FLAGS", "(\\Flagged)")
            for client in clients[1:]:
                client.noop()
                assert b"\\Flagged" in client.fetch("1", "(FLAGS)")[1][0]
        finally:
            for client in clients:
                client.logout()


def test_a_reload_drops_no_session_and_takes_the_new_settings(tmp_path: Path) -> None:
    with gateway(tmp_path / "data", examples=False) as running:
        site = running.site
        with site.reader(site.account("bob")) as client:
            client.select("INBOX")
            old = workers(running)
            text = site.config.read_text()
            site.config.write_text(text + "\n[attachments]\nmax_count = 0\n")
            running.process.send_signal(signal.SIGHUP)
            until("new workers", lambda: len(set(workers(running)) - set(old)) == 2)
            until("the old ones refuse", lambda: len(set(workers(running)) & set(old)) < 2)
            assert client.noop()[0] == "OK"
            site.relay(["bob@acme.test"], ODD % (b"after the reload", b"reload"))
            assert client.search(None, "SUBJECT", '"after the reload"')[1] == [b"1"]
            attachment = (
                "MIME-Version: 1.0\r\nContent-Type: application/pdf\r\n"
                "Content-Disposition: attachment; filename=a.pdf\r\n"
            )
            with pytest.raises(smtplib.SMTPDataError) as caught:
                send(site, "bob", ["claims@example-health.test"], "attached", header=attachment)
            assert b"1 more than the 0" in caught.value.smtp_error
        until("the last old worker's end", lambda: not set(workers(running)) & set(old))


def test_a_bad_file_is_refused_at_reload_and_everything_goes_on(tmp_path: Path) -> None:
    with gateway(tmp_path / "data", examples=False) as running:
        old = workers(running)
        running.site.config.write_text("nonsense = [")
        running.process.send_signal(signal.SIGHUP)
        log = running.site.directory / "log" / "gateway.log"
        until("a refusal in the log", lambda: "reload refused" in log.read_text())
        assert workers(running) == old
        running.site.relay(["ann@acme.test"], ODD % (b"goes on", b"on"))


def test_everything_ends_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with contextlib.suppress(AssertionError), gateway(data, examples=False) as running:
        processes = running.processes()
        running.process.kill()
    until("the end of all", lambda: all(gone(pid) for pid in processes))
    with gateway(data, examples=False) as running:  # what it left behind is no hindrance
        running.site.relay(["ann@acme.test"], ODD % (b"after the kill", b"kill"))
        assert len(found(running.site, "ann", "INBOX", "after the kill")) == 1


def test_what_waits_for_the_organisation_survives_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with gateway(data, examples=False) as running:
        for pid in running.processes():
            with contextlib.suppress(OSError):
                if b"demo_sink" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGSTOP)
                    stopped = pid
        send(running.site, "ann", ["claims@example-health.test"], "waits for long")
        [row] = rows(running.site.config, "queue", "list")
        assert row["recipient"] == "claims@example-health.test" and row["outcome"] == "waiting"
        os.kill(stopped, signal.SIGKILL)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
    with gateway(data, examples=False) as running:
        run(running.site.config, "queue", "flush")  # its next attempt may be a minute away
        assert running.site.sunk_with("waits for long")
        until("an empty queue", lambda: rows(running.site.config, "queue", "list") == [])


@pytest.fixture
def unnamed(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo without --dir; its temporary directories are made in tmp_path."""
    output = (tmp_path / "out").open("wb")
    process = subprocess.Popen(
        [str(PROGRAM), "demo", "--port-base", str(port_base()), "--no-examples"],
        stdout=output,
        stderr=output,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    output.close()


def test_ctrl_c_ends_it_and_what_was_not_named_is_gone(
    unnamed: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    [told] = until("demo.json", lambda: list(tmp_path.glob("secure-inbox-*/demo.json")), seconds=60)
    assert "Secure Inbox is ready" in (tmp_path / "out").read_text()
    assert told.parent.stat().st_mode & 0o077 == 0
    os.killpg(unnamed.pid, signal.SIGINT)
    assert unnamed.wait(30) == 0
    assert not list(tmp_path.glob("secure-inbox-*"))
    assert "Traceback" not in (tmp_path / "out").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_while_it_starts_it_leaves_nothing(
    unnamed: subprocess.Popen[bytes], tmp_path: Path, number: int
) -> None:
    until("its directory", lambda: list(tmp_path.glob("secure-inbox-*")), seconds=60)
    os.kill(unnamed.pid, number)
    assert unnamed.wait(30) == 0
    assert not list(tmp_path.glob("secure-inbox-*"))
    assert (tmp_path / "out").read_bytes() == b""


def test_serve_is_told_by_systemd_and_tells_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with gateway(data, examples=False):
        pass
    # A path below /tmp: a socket's name has 108 octets at most (unix(7)).
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(place / "notify"))
            systemd.settimeout(60)
            process = subprocess.Popen(
                [str(PROGRAM), "serve", "--config", str(data / "gateway.toml")],
                env=os.environ | {"NOTIFY_SOCKET": str(place / "notify")},
            )
            assert systemd.recv(100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"
            assert process.wait(30) == 0
    finally:
        shutil.rmtree(place)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    base = port_base()
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + 43))
        other.listen()
        done = subprocess.run(
            [str(PROGRAM), "demo", "--dir", str(tmp_path / "data"), "--port-base", str(base)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"listen.imap: 127.0.0.1:{base + 43}: another program has it." in done.stderr
    assert not (tmp_path / "data" / "demo.json").exists()


def test_the_private_parts_are_private(demo: Running, site: Site) -> None:
    for name in ("server.key", "tls/server.key", "tls/ca.key", "data/accounts.sqlite"):
        assert (site.directory / name).stat().st_mode & 0o077 == 0, name
    for directory in ("data", "log", "tls"):
        assert (site.directory / directory).stat().st_mode & 0o077 == 0, directory
