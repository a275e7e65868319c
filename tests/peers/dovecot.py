"""Dovecot from Debian, privately on loopback: the peer our reading door must agree with.

    with dovecot(users={"ann": "secret"}) as peer:
        imaplib.IMAP4(peer.host, peer.imap)

Maildir storage; optionally encrypted (the mail_crypt plug-in, a key per user that the
login password opens), an LMTP listener, and TLS with a certificate of the caller's.
As root the mail belongs to `nobody`; as anybody else to the caller, without chroot.
"""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.private import CannotRun, directory, free_ports, program, running

HOST = "127.0.0.1"
MODULES = Path("/usr/lib/dovecot/modules")


@dataclass(frozen=True)
class Dovecot:
    """Where it listens (0: not asked for), its root process, and where the mail lies."""

    host: str
    imap: int
    imaps: int
    lmtp: int
    pid: int
    root: Path
    config: Path

    def maildir(self, user: str) -> Path:
        return self.root / "home" / user / "Maildir"

    def log(self) -> str:
        return _read(self.root / "log")


@contextmanager
def dovecot(
    users: Mapping[str, str],
    *,
    encrypted: bool = False,
    lmtp: bool = False,
    tls: tuple[Path, Path] | None = None,
    settings: str = "",
) -> Iterator[Dovecot]:
    """A running Dovecot. `users` maps a login name (also the LMTP recipient) to its password;
    `tls` is (certificate, key) in PEM; `settings` is appended to the configuration.

    Raises CannotRun with the log's end when it is not installed or does not start.
    """
    binary = program("dovecot", "/usr/sbin/dovecot")
    if encrypted and not (MODULES / "lib10_mail_crypt_plugin.so").exists():
        raise CannotRun("this Dovecot has no mail_crypt plug-in")
    with directory("dovecot") as root:
        imap, imaps, lmtp_port = free_ports(3)
        config = _write_config(
            root, users, encrypted, imap, imaps if tls else 0, lmtp_port if lmtp else 0, tls
        )
        with config.open("a") as file:
            file.write(settings)
        ports = [imap] + [imaps] * bool(tls) + [lmtp_port] * lmtp
        with running(
            "dovecot", [binary, "-F", "-c", str(config)], ports, lambda: _read(root / "log")
        ) as process:
            if encrypted:
                for user, password in users.items():
                    _make_key(config, user, password)
            yield Dovecot(
                HOST, imap, imaps if tls else 0, lmtp_port if lmtp else 0, process.pid, root, config
            )  # fmt: skip


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _write_config(
    root: Path,
    users: Mapping[str, str],
    encrypted: bool,
    imap: int,
    imaps: int,
    lmtp: int,
    tls: tuple[Path, Path] | None,
) -> Path:
    if os.getuid() == 0:
        owner = pwd.getpwnam("nobody")
        internal, login = "dovecot", "dovenull"
        for name in (internal, login):
            try:
                pwd.getpwnam(name)
            except KeyError as error:
                raise CannotRun(
                    f"there is no user {name}, which Dovecot needs when started by root"
                ) from error
    else:
        owner = pwd.getpwuid(os.getuid())
        internal = login = getpass.getuser()
    group = grp.getgrgid(owner.pw_gid).gr_name
    home = root / "home"
    home.mkdir()
    os.chown(home, owner.pw_uid, owner.pw_gid)
    passwords = root / "passwords"
    # mail_crypt: the login hands the password on, which opens the user's private key.
    extra = "userdb_mail_crypt_private_password={password}" if encrypted else ""
    passwords.write_text(
        "".join(f"{u}:{{PLAIN}}{p}::::::{extra.format(password=p)}\n" for u, p in users.items())
    )
    passwords.chmod(0o644)
    crypt = "mail_attribute_dict = file:%h/attributes" if encrypted else ""
    crypt_plugin = (
        "mail_crypt_curve = prime256v1\n  mail_crypt_save_version = 2\n  "
        "mail_crypt_require_encrypted_user_key = yes"
        if encrypted
        else ""
    )
    ssl = f"ssl = yes\nssl_cert = <{tls[0]}\nssl_key = <{tls[1]}" if tls else "ssl = no"
    no_chroot = "" if os.getuid() == 0 else "chroot ="
    text = f"""
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
default_internal_user = {internal}
default_internal_group = {grp.getgrgid(pwd.getpwnam(internal).pw_gid).gr_name}
default_login_user = {login}
first_valid_uid = {owner.pw_uid}
first_valid_gid = {owner.pw_gid}
mail_uid = {owner.pw_name}
mail_gid = {group}
protocols = imap {"lmtp" if lmtp else ""}
listen = {HOST}
{ssl}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 0
mail_home = {home}/%u
mail_location = maildir:~/Maildir
mail_plugins = {"mail_crypt" if encrypted else ""}
mail_fsync = optimized
mail_max_userip_connections = 1000
postmaster_address = postmaster@localhost
submission_host =
{crypt}
plugin {{
  {crypt_plugin}
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {passwords}
}}
userdb {{
  driver = prefetch
}}
userdb {{
  driver = static
  args = uid={owner.pw_name} gid={group} home={home}/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
}}
service imap-login {{
  {no_chroot}
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = {HOST}
    port = {lmtp}
  }}
}}
service anvil {{
  {no_chroot}
}}
service stats {{
  {no_chroot}
}}
"""
    config = root / "dovecot.conf"
    config.write_text(text)
    config.chmod(0o644)
    return config


def _make_key(config: Path, user: str, password: str) -> None:
    """The user's key pair, its private half under the password: LMTP can then seal for them."""
    command = [program("doveadm", "/usr/bin/doveadm"), "-c", str(config)]
    command += ["-o", f"plugin/mail_crypt_private_password={password}"]
    command += ["mailbox", "cryptokey", "generate", "-u", user, "-U"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=30)
    if done.returncode:
        raise CannotRun(f"no key for {user}: {done.stderr.decode(errors='replace')[-1000:]}")
