"""Thunderbird with a fresh profile, driven through Marionette in its own chrome context.

It is the client most members have. The profile's preferences are what the account wizard
would have written, and keep it from talking to anything but 127.0.0.1; the demo's authority
goes into its certificate store and the password into its login store, as a person would do
once. What a person does every day (open a folder, read, reply, attach, send) goes through
the windows' own commands.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from marionette_driver.errors import JavascriptException, MarionetteException
from marionette_driver.marionette import Marionette

from tests.clients.site import Account, Site
from tests.clients.xvfb import display
from tests.peers.private import CannotRun, end, free_ports, listens, program

WIDTH, HEIGHT = 1180, 720

# What makes Thunderbird silent, on the network and on the screen.
QUIET: dict[str, bool | int | str] = {
    "app.donation.eoy.version.viewed": 999,
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "calendar.timezone.useSystemTimezone": True,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "extensions.blocklist.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "mail.addressDisplayFormat": 0,
    "mail.biff.play_sound": False,
    "mail.biff.show_alert": False,
    "mail.compose.attachment_reminder": False,
    "mail.inappnotifications.enabled": False,
    "mail.provider.enabled": False,
    "mail.purge.ask": False,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mail.spellcheck.inline": False,
    "mail.SpellCheckBeforeSend": False,
    "mail.startup.enabledMailCheckOnce": True,
    "mail.ui.folderpane.version": 99,
    "mailnews.database.global.indexer.enabled": False,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "messenger.startup.action": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.prefetch-next": False,
    # Whatever is not on this machine is sent to a proxy that does not exist.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1, localhost",
    "network.trr.mode": 5,
    "offline.autoDetect": False,
    "offline.startup_state": 3,  # offline, until it knows the demo's authority
    "security.OCSP.enabled": 0,
    "security.remote_settings.crlite_filters.enabled": False,
    "security.remote_settings.intermediates.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "signon.rememberSignons": True,
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
    "toolkit.telemetry.unified": False,
    "ui.prefersReducedMotion": 1,
}


@dataclass
class Failed(AssertionError):
    """A step in Thunderbird failed; the picture shows what it looked like then."""

    what: str
    picture: Path

    def __str__(self) -> str:
        return f"{self.what} (screenshot: {self.picture})"


class Thunderbird:
    """One running Thunderbird with one account."""

    def __init__(self, marionette: Marionette, screen: str, pictures: Path) -> None:
        self._marionette = marionette
        self._screen = screen
        self._pictures = pictures

    def js(self, script: str, *arguments: Any) -> Any:
        """Run chrome JavaScript in the main window; may `await`; `arguments` as in Marionette."""
        body = (
            "const [args, resolve] = [Array.from(arguments).slice(0, -1), arguments[arguments.length - 1]];"
            "(async () => {" + PRELUDE + script + "})().then("
            "value => resolve({value}), error => resolve({error: String(error) + '\\n' + error?.stack}));"
        )
        answer = self._marionette.execute_async_script(
            body, script_args=arguments, sandbox="system", script_timeout=30_000
        )
        if answer is None:
            raise self.failed("the script had no answer")
        if "error" in answer:
            raise JavascriptException(answer["error"])
        return answer.get("value")

    def wait(self, what: str, script: str, *arguments: Any, seconds: float = 20) -> Any:
        """Until the script returns something true; that is the result. Polls every 0.1 s."""
        deadline, last = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            try:
                found = self.js(script, *arguments)
            except JavascriptException as error:  # not there yet: a window is still loading
                found, last = None, str(error)
            if found:
                return found
            time.sleep(0.1)
        raise self.failed(f"waited {seconds} s in vain: {what}. {last}")

    def failed(self, what: str) -> Failed:
        """An error that carries a picture of the screen."""
        path = self._pictures / "failure.png"
        self.screenshot(path)
        return Failed(what, path)

    def screenshot(self, path: Path) -> None:
        """The whole screen, once it is painted, as a PNG of a few colours."""
        self._painted()
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [program("import"), "-display", self._screen, "-window", "root"]
        command += ["+dither", "-colors", "128", str(path)]
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    def _painted(self) -> None:
        """Until the topmost window has drawn twice since now."""
        try:
            self.js(
                """
                const top = compose() ?? main;
                for (let i = 0; i < 2; i++) await new Promise(seen => top.requestAnimationFrame(seen));
                """
            )
        except (JavascriptException, MarionetteException):
            return  # a picture of a broken window is better than none

    def get_mail(self) -> None:
        """The Get Messages button, as at the start of a day."""
        self.js("pane().document.getElementById('folderPaneGetMessages').click()")

    def open_folder(self, name: str) -> None:
        """A click on the folder."""
        self.wait(f"folder {name}", "return Boolean(folder(args[0]))", name)
        self.js("pane().displayFolder(folder(args[0]).URI)", name)
        self.wait(f"folder {name} open", "return pane().gFolder?.URI == folder(args[0]).URI", name)

    def subjects(self) -> list[str]:
        """What the message list shows, from the top."""
        return list(self.js("return subjects()"))

    def open_message(self, subject: str) -> None:
        """A click on the message; returns when its text is there."""
        self.wait(f"{subject!r} in the list", "return subjects().includes(args[0])", subject)
        self.js("pane().threadTree.selectedIndex = subjects().indexOf(args[0])", subject)
        self.wait(
            f"{subject!r} opened",
            "return message()?.gMessage && subject(message().gMessage) == args[0] && message().msgLoaded",
            subject,
        )

    def text(self) -> str:
        """The open message as shown."""
        return str(self.js("return message().getMessagePaneBrowser().contentDocument.body.textContent"))

    def composing(self) -> None:
        """Wait for the compose window to be ready."""
        self.wait("the compose window", "return compose()?.gLoadingComplete && !compose().gWindowLocked")

    def write(self, text: str) -> None:
        """Type at the cursor."""
        self.js("compose().GetCurrentEditor().insertText(args[0])", text)

    def address(self, to: str, subject: str) -> None:
        """Fill in To and Subject."""
        self.js(
            """
            const row = compose().document.getElementById("addressRowTo");
            compose().addressRowAddRecipientsArray(row, [args[0]]);
            compose().document.getElementById("msgSubject").value = args[1];
            """,
            to,
            subject,
        )

    def attach(self, path: Path) -> None:
        """As the file picker would hand it over."""
        self.js(
            """
            const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
            file.initWithPath(args[0]);
            await compose().AddAttachments([compose().FileToAttachment(file)]);
            """,
            str(path),
        )
        self.wait(
            "the attachment counted",
            "return /[1-9]/.test(compose().document.getElementById('attachmentBucketCount').textContent)",
        )

    def send(self) -> None:
        """Send Now; returns when the compose window has closed, which is after 250 and the Sent copy."""
        self.js("compose().goDoCommand('cmd_sendNow')")
        self.wait("the message sent", "return !compose()", seconds=30)

    def save_draft(self) -> None:
        """Save as Draft, then close the window."""
        self.js("compose().goDoCommand('cmd_saveAsDraft')")
        self.wait(
            "the draft saved",
            "const c = compose();"
            "return !c.gSaveOperationInProgress && !c.gWindowLocked && !c.gContentChanged",
            seconds=30,
        )
        self.js("compose().goDoCommand('cmd_close')")
        self.wait("the compose window closed", "return !compose()")


# Short names for what the scripts need again and again.
PRELUDE = """
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const main = Services.wm.getMostRecentWindow("mail:3pane");
const compose = () => Services.wm.getMostRecentWindow("msgcompose");
const pane = () => main?.gTabmail?.currentAbout3Pane;
const message = () => main?.gTabmail?.currentAboutMessage;
const server = () => MailServices.accounts.allServers.find(s => s.type == "imap");
const folders = () => server().rootFolder.descendants;
const subject = header => (header.flags & 0x10 ? "Re: " : "") + header.mime2DecodedSubject;
const subjects = () => Array.from({length: pane().gDBView?.rowCount ?? 0},
  (_, row) => subject(pane().gDBView.getMsgHdrAt(row)));
const folder = name => folders().find(f => f.URI.endsWith("/" + name));
"""


@contextmanager
def thunderbird(site: Site, account: Account, home: Path) -> Iterator[Thunderbird]:
    """A Thunderbird that knows the account, at its main window. `home` is where its profile
    and, on failure, a screenshot go."""
    profile = home / "profile"
    profile.mkdir(parents=True)
    (port,) = free_ports(1)
    (profile / "user.js").write_text(_preferences(site, account, port))
    with display(WIDTH, HEIGHT) as screen:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DISPLAY": screen,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "GTK_USE_PORTAL": "0",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "MOZ_CRASHREPORTER_DISABLE": "1",
        }
        log = home / "thunderbird.log"
        command = [program("thunderbird"), "--marionette", "--remote-allow-system-access"]
        command += ["--profile", str(profile), "--no-remote"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        try:
            _wait_for_port(port, process, log)
            marionette = Marionette(host="127.0.0.1", port=port, socket_timeout=60)
            marionette.start_session(timeout=60)
            marionette.set_context("chrome")
            bird = Thunderbird(marionette, screen, home)
            _trust(bird, site, account)
            yield bird
        except MarionetteException as error:
            raise AssertionError(f"Marionette: {error}; log: {log}") from error
        finally:
            end(process)


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotRun(f"Thunderbird did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _trust(bird: Thunderbird, site: Site, account: Account) -> None:
    """What a person does once: accept the demo's authority, enter the password."""
    pem = site.ca.read_text()
    der = base64.b64encode(base64.b64decode("".join(pem.strip().splitlines()[1:-1]))).decode()
    bird.wait("the main window", "return main?.document.readyState == 'complete' && Boolean(pane())")
    bird.js(
        """
        const [certificate, origins, user, password] = args;
        Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
          .addCertFromBase64(certificate, "C,,");
        for (const origin of origins) {
          const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
          login.init(origin, null, origin, user, password, "", "");
          await Services.logins.addLoginAsync(login);
        }
        main.moveTo(0, 0);
        main.resizeTo(main.screen.width, main.screen.height);
        Services.io.offline = false;
        """,
        der,
        [f"imap://{site.imaps.host}", f"smtp://{site.submission.host}"],
        account.address,
        account.password,
    )


def _preferences(site: Site, account: Account, marionette_port: int) -> str:
    """user.js: the account as the wizard would write it."""
    root = f"imap://{quote(account.address, safe='')}@{site.imaps.host}"
    settings: dict[str, bool | int | str] = {
        **QUIET,
        "marionette.port": marionette_port,
        "mail.accountmanager.accounts": "account1,account2",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.accountmanager.localfoldersserver": "server2",
        "mail.account.account1.identities": "id1",
        "mail.account.account1.server": "server1",
        "mail.account.account2.server": "server2",
        "mail.server.server1.type": "imap",
        "mail.server.server1.hostname": site.imaps.host,
        "mail.server.server1.port": site.imaps.port,
        "mail.server.server1.socketType": 3,  # implicit TLS
        "mail.server.server1.authMethod": 3,  # normal password
        "mail.server.server1.userName": account.address,
        "mail.server.server1.name": account.address,
        "mail.server.server1.login_at_startup": True,
        "mail.server.server1.check_new_mail": False,  # never asks: new mail must come by IDLE
        "mail.server.server1.use_idle": True,
        "mail.server.server2.type": "none",
        "mail.server.server2.hostname": "Local Folders",
        "mail.server.server2.name": "Local Folders",
        "mail.server.server2.userName": "nobody",
        "mail.identity.id1.fullName": account.address.partition("@")[0].title(),
        "mail.identity.id1.useremail": account.address,
        "mail.identity.id1.valid": True,
        "mail.identity.id1.smtpServer": "smtp1",
        "mail.identity.id1.drafts_folder_picker_mode": "0",
        "mail.identity.id1.draft_folder": f"{root}/Drafts",
        "mail.identity.id1.fcc_folder": f"{root}/Sent",
        "mail.smtpservers": "smtp1",
        "mail.smtp.defaultserver": "smtp1",
        "mail.smtpserver.smtp1.hostname": site.submission.host,
        "mail.smtpserver.smtp1.port": site.submission.port,
        "mail.smtpserver.smtp1.try_ssl": 2,  # STARTTLS
        "mail.smtpserver.smtp1.authMethod": 3,
        "mail.smtpserver.smtp1.username": account.address,
    }
    return "".join(
        f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()
    )
