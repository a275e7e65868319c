"""Postfix from Debian, privately on loopback: the organisation's mail server that relays to us.

    with postfix(("lmtp", "127.0.0.1", 2400)) as peer:
        smtplib.SMTP(peer.host, peer.smtp).sendmail(...)

An instance of its own: configuration, queue and data directories, no chroot, no DNS, no
local delivery, every recipient relayed to the one target by SMTP or LMTP. Postfix insists
on root for its master process and on its own users, so without them it says CannotRun.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.private import CannotRun, directory, free_ports, program, running

HOST = "127.0.0.1"

MASTER = """
{port} inet n - n - {processes} smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MAIN = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log/mail.log
maillog_file_prefixes = {root}
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example-health.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_tls_security_level = none
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
disable_dns_lookups = yes
smtp_host_lookup = native
default_transport = {transport}
relay_transport = {transport}
relayhost =
{tls}
message_size_limit = 104857600
mailbox_size_limit = 0
minimal_backoff_time = 5s
maximal_backoff_time = 30s
queue_run_delay = 5s
"""


@dataclass(frozen=True)
class Postfix:
    """Where it listens, its master process, and its directory."""

    host: str
    smtp: int
    pid: int
    root: Path

    def waiting(self) -> int:
        """Messages not yet handed on: in the incoming, active and deferred queues."""
        queues = (self.root / "queue" / name for name in ("maildrop", "incoming", "active", "deferred"))
        return sum(1 for queue in queues for path in queue.rglob("*") if path.is_file())

    def log(self) -> str:
        return _read(self.root / "log" / "mail.log")


@contextmanager
def postfix(
    target: tuple[str, str, int],
    *,
    ca: Path | None = None,
    processes: int = 100,
    settings: str = "",
) -> Iterator[Postfix]:
    """A running Postfix that relays everything to `target`: ("smtp" or "lmtp", host, port).

    With `ca` it insists on STARTTLS and on a certificate from that authority for the
    target's host. `settings` is appended to main.cf. Raises CannotRun with the log's end.
    """
    binary = program("postfix", "/usr/sbin/postfix")
    if os.getuid() != 0:
        raise CannotRun("Postfix's master process must be started by root")
    try:
        owner = pwd.getpwnam("postfix")
    except KeyError as error:
        raise CannotRun("there is no user postfix") from error
    with directory("postfix") as root:
        (port,) = free_ports(1)
        _write_config(root, target, ca, port, processes, settings)
        (root / "queue").mkdir()
        (root / "log").mkdir()
        (root / "data").mkdir()
        os.chown(root / "data", owner.pw_uid, owner.pw_gid)
        (root / "data").chmod(0o700)
        config = str(root / "etc")
        checked = subprocess.run(
            [binary, "-c", config, "check"], check=False, capture_output=True, timeout=30
        )
        if checked.returncode:
            raise CannotRun(f"postfix check: {checked.stderr.decode(errors='replace')[-2000:]}")
        # Not `postfix start-fg`: its shell would stand between us and the process to be ended.
        command = [program("master", "/usr/lib/postfix/sbin/master"), "-s", "-c", config]
        with running("postfix", command, [port], lambda: _read(root / "log" / "mail.log")) as process:
            yield Postfix(HOST, port, process.pid, root)


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _write_config(
    root: Path, target: tuple[str, str, int], ca: Path | None, port: int, processes: int, settings: str
) -> None:
    kind, host, to_port = target
    transport = f"lmtp:inet:{host}:{to_port}" if kind == "lmtp" else f"smtp:[{host}]:{to_port}"
    tls = "smtp_tls_security_level = none\nlmtp_tls_security_level = none"
    if ca:
        tls = f"smtp_tls_security_level = secure\nsmtp_tls_CAfile = {ca}\n"
        tls += "smtp_tls_secure_cert_match = hostname"
    etc = root / "etc"
    etc.mkdir()
    (etc / "main.cf").write_text(MAIN.format(root=root, transport=transport, tls=tls) + settings)
    (etc / "master.cf").write_text(MASTER.format(port=f"{HOST}:{port}", processes=processes))
