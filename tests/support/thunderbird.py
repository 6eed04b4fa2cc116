"""Thunderbird without a screen, driven over Marionette (its remote protocol for tests)."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epost.daemon.demo.state import free_ports
from tests.support.demo import eventually

START_SECONDS = 60
SCRIPT_SECONDS = 60

_PREFERENCES = {
    # Copies on its own disk begin with lines of its own (X-Mozilla-Status): it has to ask us.
    "mail.server.default.autosync_offline_stores": False,
    "mail.server.default.offline_download": False,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "mail.dsn.always_request_on": True,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
_TOOLS = """
const [name, ...given] = arguments;
const done = given.pop();
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const load = module => ChromeUtils.importESModule(`resource:///modules/${module}.sys.mjs`);

/** Runs what takes a listener of URLs, and waits until it has ended well. */
const ended = begin => new Promise((resolve, reject) => begin({
  QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
  OnStartRunningUrl() {},
  OnStopRunningUrl(url, status) {
    Components.isSuccessCode(status) ? resolve() : reject(new Error(`status ${status}`));
  },
}));
const account = () => MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap");
const root = () => account().incomingServer.rootFolder;
const inbox = () => root().getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const headers = folder => [...folder.messages];
const header = subject => headers(inbox()).find(h => h.mime2DecodedSubject == subject);

const verbs = {
  async setUp(xml, email, password) {
    const document = new DOMParser().parseFromString(xml, "text/xml");
    const { readFromXML } = load("accountcreation/readFromXML");
    const config = readFromXML(load("JXON").JXON.build(document), "test");
    load("accountcreation/AccountConfig").AccountConfig.replaceVariables(
      config, "Test", email, password);
    config.rememberPassword = true;
    config.incoming.password = config.outgoing.password = password;
    const { CreateInBackend } = load("accountcreation/CreateInBackend");
    await CreateInBackend.createAccountInBackend(config);
    return [config.incoming.hostname, config.incoming.port, config.outgoing.port];
  },
  async sync() {
    await ended(listener => inbox().getNewMessages(null, listener));
    const folder = inbox().QueryInterface(Ci.nsIMsgImapMailFolder);
    await ended(listener => folder.updateFolderWithListener(null, listener));
    return headers(inbox()).map(h => h.mime2DecodedSubject);
  },
  async read(subject) {
    const uri = inbox().getUriForMsg(header(subject));
    const service = MailServices.messageServiceFromURI(uri);
    return await new Promise((resolve, reject) => {
      let octets = "";
      service.streamMessage(uri, {
        QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
        onStartRequest() {},
        onDataAvailable(request, stream, offset, count) {
          const reader = Cc["@mozilla.org/binaryinputstream;1"]
            .createInstance(Ci.nsIBinaryInputStream);
          reader.setInputStream(stream);
          octets += reader.readBytes(count);
        },
        onStopRequest(request, status) {
          Components.isSuccessCode(status) ? resolve(octets) : reject(new Error(`${status}`));
        },
      }, null, null, false, "", false);
    });
  },
  flag(subject) {
    inbox().markMessagesRead([header(subject)], true);
    inbox().markMessagesFlagged([header(subject)], true);
  },
  async move(subject, target) {
    const folder = root().getChildNamed(target);
    await new Promise((resolve, reject) => MailServices.copy.copyMessages(
      inbox(), [header(subject)], folder, true, {
        QueryInterface: ChromeUtils.generateQI(["nsIMsgCopyServiceListener"]),
        onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return null; },
        onStopCopy(status) {
          Components.isSuccessCode(status) ? resolve() : reject(new Error(`${status}`));
        },
      }, null, false));
  },
  async search(text) {
    const session = Cc["@mozilla.org/messenger/searchSession;1"]
      .createInstance(Ci.nsIMsgSearchSession);
    session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, inbox());
    const term = session.createTerm();
    term.attrib = Ci.nsMsgSearchAttrib.Body;
    term.op = Ci.nsMsgSearchOp.Contains;
    const value = term.value;
    value.attrib = Ci.nsMsgSearchAttrib.Body;
    value.str = text;
    term.value = value;
    session.appendTerm(term);
    const found = [];
    await new Promise(resolve => {
      session.registerListener({
        QueryInterface: ChromeUtils.generateQI(["nsIMsgSearchNotify"]),
        onNewSearch() {},
        onSearchHit(hit) { found.push(hit.mime2DecodedSubject); },
        onSearchDone() { resolve(); },
      });
      session.search(null);
    });
    return found;
  },
  async send(to, subject, body, path) {
    const identity = account().defaultIdentity;
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"]
      .createInstance(Ci.nsIMsgCompFields);
    [fields.from, fields.to, fields.subject, fields.body] = [identity.email, to, subject, body];
    const attachment = Cc["@mozilla.org/messengercompose/attachment;1"]
      .createInstance(Ci.nsIMsgAttachment);
    const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
    file.initWithPath(path);
    attachment.url = Services.io.newFileURI(file).spec;
    attachment.name = file.leafName;
    fields.addAttachment(attachment);
    const params = Cc["@mozilla.org/messengercompose/composeparams;1"]
      .createInstance(Ci.nsIMsgComposeParams);
    params.composeFields = fields;
    params.identity = identity;
    params.type = Ci.nsIMsgCompType.New;
    params.format = Ci.nsIMsgCompFormat.PlainText;
    const compose = MailServices.compose.initCompose(params);
    await compose.sendMsg(Ci.nsIMsgSend.nsMsgDeliverNow, identity, account().key, null, null);
  },
};
Promise.resolve().then(() => verbs[name](...given)).then(
  value => done({ value: value ?? null }),
  error => done({ error: `${error} ${error.stack ?? ""}` }),
);
"""


class Thunderbird:
    """One running program; its verbs are those of `_TOOLS`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self._serial = 0
        self._read()  # the greeting
        self._command(
            "WebDriver:NewSession", capabilities={"timeouts": {"script": SCRIPT_SECONDS * 1000}}
        )
        self._command("Marionette:SetContext", value="chrome")

    def do(self, verb: str, *arguments: str) -> Any:
        """Carry out a verb inside Thunderbird and return what it returns."""
        said = self._command(
            "WebDriver:ExecuteAsyncScript", script=_TOOLS, args=[verb, *arguments]
        )["value"]
        assert "error" not in said, said["error"]
        return said["value"]

    def _command(self, name: str, **parameters: object) -> Any:
        self._serial += 1
        said = json.dumps([0, self._serial, name, parameters]).encode()
        self._connection.sendall(b"%d:%b" % (len(said), said))
        _, _, error, result = self._read()
        assert error is None, error
        return result

    def _read(self) -> Any:
        length = b""
        while (octet := self._file.read(1)) != b":":
            assert octet, "Thunderbird hung up"
            length += octet
        return json.loads(self._file.read(int(length)))


@contextmanager
def thunderbird(home: Path) -> Iterator[Thunderbird]:
    """Run Thunderbird with a fresh profile."""
    (port,) = free_ports(1)
    profile = home / "profile"
    profile.mkdir()
    wanted = {**_PREFERENCES, "marionette.port": port}
    (profile / "user.js").write_text(
        "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in wanted.items())
    )
    output = (home / "thunderbird.log").open("wb")
    process = subprocess.Popen(
        ["thunderbird", "-headless", "-no-remote", "-profile", str(profile), "--marionette",
         "-remote-allow-system-access"],
        stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MOZ_HEADLESS": "1"},
    )  # fmt: skip
    try:
        eventually(lambda: _answers(port), "Thunderbird to be up", START_SECONDS)
        with socket.create_connection(("127.0.0.1", port), timeout=SCRIPT_SECONDS + 10) as link:
            yield Thunderbird(link)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        output.close()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
