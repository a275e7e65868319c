"""A whole day of mail with a canary in every place where a word can stand.

Apart from the tests because two of them live through it: one greps the disk afterwards, one
watches every write as it happens.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import re
import signal
import smtplib
import stat
import subprocess
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from tests.clients.gateway import PROGRAM, Running
from tests.clients.site import Account, Place, Site, until
from tests.clients.wire import Wire
from tests.privacy.canaries import Canaries

ORGANISATION = "example-health.test"


class Day:
    """Two members with canaries for names, and what happens to them."""

    def __init__(self, running: Running, canaries: Canaries) -> None:
        self.running = running
        self.site: Site = running.site
        self.canaries = canaries
        self.member = self._add("local part of a member")
        self.colleague = self._add("local part of a colleague")

    def _add(self, name: str) -> Account:
        account = Account(f"{self.canaries[name]}@company.test", self.canaries[f"password of {name}"])
        on_record = f"{self.canaries[f'on record of {name}']}@mail.test"
        command = [str(PROGRAM), "account", "add", account.address, "--on-record", on_record]
        command += ["--password-stdin", "--config", str(self.site.config)]
        password = f"{account.password}\n".encode()
        done = subprocess.run(command, input=password, check=False, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return account

    def letter(self, kind: str, sender: str, to: str, attachment: int = 3000) -> EmailMessage:
        """Canaries in every header and part."""
        canary = self.canaries
        message = EmailMessage(SMTP)
        message["From"] = f'"{canary[f"{kind} display name"]}" <{sender}>'
        message["To"] = f'"{canary[f"{kind} recipient name"]}" <{to}>'
        message["Cc"] = f"{canary[f'{kind} local part in Cc']}@{ORGANISATION}"
        message["Subject"] = (
            f"About {canary[f'{kind} subject']} — ümlaut {canary[f'{kind} encoded subject']}"
        )
        message["Message-ID"] = f"<{canary[f'{kind} Message-ID']}@{ORGANISATION}>"
        message["X-Reference"] = canary[f"{kind} header"]
        message.set_content(f"Dear all,\n\n{canary[f'{kind} body']} is here.\n")
        message.add_alternative(f"<p>{canary[f'{kind} HTML']}</p>", subtype="html")
        content = canary[f"{kind} attachment"].encode() + os.urandom(attachment)
        message.add_attachment(
            content,
            maintype="application",
            subtype="octet-stream",
            filename=f"{canary[f'{kind} file name']}.bin",
        )
        inner = EmailMessage(SMTP)
        inner["Subject"] = canary[f"{kind} inner subject"]
        inner.set_content(canary[f"{kind} inner body"])
        message.add_attachment(inner)
        return message

    def mail_in(self) -> None:
        """By relay-in: a small one, and one so large that a child process seals it."""
        small = self.letter(
            "received", f"{self.canaries['local part of a sender']}@{ORGANISATION}", self.member.address
        )
        self.site.relay(
            [self.member.address, self.colleague.address],
            bytes(small),
            sender=str(small["From"].addresses[0].addr_spec),
        )
        large = self.letter("large", f"claims@{ORGANISATION}", self.member.address, attachment=2_000_000)
        self.site.relay([self.member.address], bytes(large))

    def mail_out(self) -> None:
        """By submission: to the organisation, to a colleague as a reply, and to nobody."""
        sent = self.letter("sent", self.member.address, f"claims@{ORGANISATION}")
        self.submit(sent, f"claims@{ORGANISATION}")
        self.site.sunk_with(str(sent["Subject"]))
        reply = self.letter("reply", self.member.address, self.colleague.address)
        reply["In-Reply-To"] = f"<{self.canaries['received Message-ID']}@{ORGANISATION}>"
        self.submit(reply, self.colleague.address)
        nobody = f"{self.canaries['local part of nobody']}@{ORGANISATION}"
        self.submit(self.letter("bounced", self.member.address, nobody), nobody)
        with self.reader() as reader:
            until(
                "the bounce",
                lambda: _search(reader, "INBOX", "TEXT", self.canaries["local part of nobody"]),
            )

    def submit(self, message: EmailMessage, to: str) -> None:
        with self.site.submitter(self.member) as door:
            assert door.sendmail(self.member.address, [to], bytes(message)) == {}

    def reader(self) -> imaplib.IMAP4_SSL:
        return self.site.reader(self.member)

    def reading(self, reader: imaplib.IMAP4_SSL) -> None:
        """Everything a client does with a mailbox."""
        canary = self.canaries
        folder, renamed = f'"{canary["folder"]}"', f'"{canary["parent folder"]}/{canary["renamed folder"]}"'
        assert reader.create(folder)[0] == "OK"
        reader.subscribe(f'"{canary["folder subscribed to"]}"')
        draft = self.letter("draft", self.member.address, f"claims@{ORGANISATION}")
        assert (
            reader.append("Drafts", f"(\\Draft {canary['keyword in APPEND']})", None, bytes(draft))[0]
            == "OK"
        )
        large = self.letter(
            "large draft", self.member.address, f"claims@{ORGANISATION}", attachment=2_000_000
        )
        assert reader.append(folder, None, None, bytes(large))[0] == "OK"
        assert reader.select("INBOX")[0] == "OK"
        assert reader.search(None, "TEXT", canary["received body"])[1][0].split()
        assert not reader.search(None, "TEXT", canary["term searched for"])[1][0].split()
        assert not reader.search(None, "HEADER", canary["header searched for"], "x")[1][0].split()
        for answer in reader.fetch("1:*", "(FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1])")[1]:
            assert answer
        assert reader.store("1", "+FLAGS", f"({canary['keyword']} \\Flagged)")[0] == "OK"
        assert reader.copy("1:*", folder)[0] == "OK"
        assert reader.rename(folder, renamed)[0] == "OK"
        assert reader.uid("MOVE", "1", "Trash")[0] == "OK"
        assert reader.select(f'"{canary["unknown folder"]}"')[0] == "NO"
        reader.select("Trash")
        reader.store("1", "+FLAGS", "(\\Deleted)")
        reader.expunge()

    def nonsense(self) -> None:
        """What strangers say at the doors: none of it may be logged as it is."""
        canary, site = self.canaries, self.site
        for name, password in (
            (self.member.address, canary["wrong password"]),
            (f"{canary['unknown account']}@company.test", canary["password of an unknown account"]),
        ):
            with contextlib.suppress(imaplib.IMAP4.error):
                site.reader(Account(name, password)).logout()
            with smtplib.SMTP(site.submission.host, site.submission.port, timeout=30) as door:
                door.starttls(context=site.tls())
                with contextlib.suppress(smtplib.SMTPAuthenticationError):
                    door.login(name, password)
        with Wire(site.imaps, site.tls()) as wire:
            wire.line()
            for command in ("unknown IMAP command", "IMAP command with an argument"):
                assert wire.imap(f"{canary[command]} {canary['IMAP argument']}".encode()).startswith(
                    b"t BAD"
                )
            wire.imap(f'ID ("name" "{canary["client id"]}")'.encode())
        with Wire(site.relay_in) as wire:
            wire.reply()
            wire.smtp(f"EHLO {canary['EHLO']}.test".encode(), b"STARTTLS")
            wire.encrypt(site.tls())
            wire.smtp(f"EHLO {canary['EHLO']}.test".encode())
            wire.smtp(f"{canary['unknown SMTP command']}".encode())
            wire.smtp(f"MAIL FROM:<{canary['local part of a return path']}@x.test>".encode())
            wire.smtp(f"RCPT TO:<{canary['unknown recipient']}@company.test>".encode())
        with site.submitter(self.member) as door:
            door.mail(self.member.address)
            assert door.rcpt(f"{canary['recipient not permitted']}@elsewhere.test")[0] == 550
        other = self.letter("refused", self.member.address, self.colleague.address)
        with site.submitter(self.member) as door, contextlib.suppress(smtplib.SMTPDataError):
            door.sendmail(self.member.address, [self.colleague.address], bytes(other))

    def killed_in_data(self) -> None:
        """SIGKILL to the worker that holds the connection, in the middle of a message."""
        content = bytes(
            self.letter("killed half way", f"claims@{ORGANISATION}", self.member.address, 3_000_000)
        )
        with self._in_data() as (wire, pid):
            wire.send(content[: len(content) // 2])
            until("the octets taken", lambda: _unread(wire) == 0)
            os.kill(pid, signal.SIGKILL)
        self._recovers(pid)

    def killed_at_fsync(self, size: int) -> None:
        """SIGKILL when the worker is about to make its file durable."""
        content = bytes(
            self.letter(f"killed at fsync {size}", f"claims@{ORGANISATION}", self.member.address, size)
        )
        with self._in_data() as (wire, pid):
            command = ["strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
            command += ["-e", "inject=fsync,fdatasync:signal=KILL"]
            tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
            assert tracer.stderr
            said = tracer.stderr.readline()
            assert b"attached" in said, f"this test must be allowed to trace: {said.decode()}"
            wire.send(content + b"\r\n.\r\n")
            until("the worker's end", lambda: not _alive(pid))
            tracer.wait(20)
            tracer.stderr.close()
        self._recovers(pid)

    @contextlib.contextmanager
    def _in_data(self):  # type: ignore[no-untyped-def]
        with Wire(self.site.relay_in) as wire:
            wire.reply()
            wire.smtp(b"EHLO mx.test", b"STARTTLS")
            wire.encrypt(self.site.tls())
            to = f"RCPT TO:<{self.member.address}>".encode()
            assert wire.smtp(b"EHLO mx.test", b"MAIL FROM:<>", to, b"DATA").startswith(b"354")
            yield wire, _peer_process(wire, self.running.processes())

    def _recovers(self, gone: int) -> None:
        until("the worker's end", lambda: not _alive(gone))
        until("a new worker", lambda: len(self.running.processes()) >= 5 or None, seconds=20)
        with self.reader() as reader:
            assert reader.noop()[0] == "OK"


def _search(reader: imaplib.IMAP4, folder: str, *query: str) -> list[bytes]:
    reader.select(folder)
    return list(reader.search(None, *query)[1][0].split())


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _sockets() -> list[tuple[int, int, int, int]]:
    """(local port, remote port, octets the peer has not acknowledged, inode) of all IPv4 connections."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        (
            int(r[1].partition(":")[2], 16),
            int(r[2].partition(":")[2], 16),
            int(r[4].partition(":")[2], 16),
            int(r[9]),
        )
        for r in rows
    ]


def _unread(wire: Wire) -> int:
    """Octets of ours that the server's process has not read yet."""
    here, there = wire.ports()
    return sum(queued for local, remote, queued, _ in _sockets() if (local, remote) == (there, here))


def _peer_process(wire: Wire, candidates: list[int]) -> int:
    """The server process that holds the other end."""
    here, there = wire.ports()
    (inode,) = [i for local, remote, _, i in _sockets() if (local, remote) == (there, here)]
    return holder(inode, candidates)


def holder(inode: int, candidates: list[int]) -> int:
    for pid in candidates:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(descriptor) == f"socket:[{inode}]":
                    return pid
    raise AssertionError(f"nobody holds socket {inode}")


def listener(place: Place, candidates: list[int]) -> int:
    """The process that listens there."""
    (inode,) = {i for local, remote, _, i in _sockets() if (local, remote) == (place.port, 0)}
    return holder(inode, candidates)


def regular_files(pid: int) -> dict[str, Path]:
    """What /proc says of each regular file a process holds open: its name -> a way to read it."""
    found = {}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            name = os.readlink(descriptor)
            regular = stat.S_ISREG(descriptor.stat().st_mode)
            if regular and not re.match(r"/(memfd:|dev/|proc/|sys/)", name):
                found[name] = descriptor
    return found
