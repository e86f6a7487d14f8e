"""A directory of people that speaks LDAP over TLS, as a process of its own: ldaptor on Twisted, which shares no code with ldap3.

``python -P directory.py FOLDER``: reads ``people.ldif``, ``cert.pem`` and ``key.pem`` there, writes the ports it took to ``ports`` (under TLS from
the first byte, plain until StartTLS) and the name of every bind, one a line, to ``binds``. ``refusals`` there may hold lines "BASE CODE": searches of
that base end with the code, whatever they found, and "starttls CODE" answers StartTLS with it.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BASE, PEOPLE, GROUPS = "dc=house,dc=cn", "ou=people,dc=house,dc=cn", "ou=groups,dc=house,dc=cn"
FINDER, FINDER_PASSWORD = "cn=finder,dc=house,dc=cn", "the finder's word"


class Directory:
    """The process, from outside."""

    def __init__(self, folder: Path, people: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder = folder
        self.ca = _certificate(folder)
        (folder / "binds").write_text("")
        (folder / "refusals").write_text("")
        (folder / "people.ldif").write_text(_ldif(people))
        self.process = subprocess.Popen([sys.executable, "-P", __file__, str(folder)])
        until = time.monotonic() + 30
        while not (folder / "ports").exists():
            assert self.process.poll() is None and time.monotonic() < until, "the directory did not start"
            time.sleep(0.02)
        self.secure, self.plain = (folder / "ports").read_text().split()

    def binds(self) -> list[str]:
        """By whose names it was entered since the last call."""
        found = (self.folder / "binds").read_text().splitlines()
        (self.folder / "binds").write_text("")
        return found

    def refuse(self, **codes: int) -> None:
        """From now on ends searches for ``people`` or ``groups``, or answers ``starttls``, with the code."""
        where = {"people": BASE, "groups": GROUPS}
        (self.folder / "refusals").write_text("".join(f"{where.get(name, name)} {code}\n" for name, code in codes.items()))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def _ldif(people: Mapping[str, Mapping[str, Any]]) -> str:
    from base64 import b64encode

    entries: list[tuple[str, Sequence[tuple[str, str]]]] = [
        (BASE, [("objectClass", "domain"), ("dc", "house")]), (PEOPLE, [("objectClass", "organizationalUnit"), ("ou", "people")]),
        (GROUPS, [("objectClass", "organizationalUnit"), ("ou", "groups")]),
        (FINDER, [("objectClass", "person"), ("cn", "finder"), ("userPassword", _hashed(FINDER_PASSWORD))])]
    members: dict[str, list[str]] = {}
    for uid, said in people.items():
        dn = f"uid={uid},{PEOPLE}"
        facts = [("objectClass", "inetOrgPerson"), ("uid", uid), ("cn", said["cn"]), ("mail", f"{uid}@house.cn"), ("entryUUID", said["uuid"]),
                 ("userPassword", _hashed(said["password"]))]
        entries.append((dn, [*facts, *(("memberOf", f"cn={group},{GROUPS}") for group in said["groups"])]))
        for group in said["groups"]:
            members.setdefault(group, []).append(dn)
    entries += [(f"cn={group},{GROUPS}", [("objectClass", "groupOfNames"), ("cn", group), *(("member", dn) for dn in dns)]) for group, dns in members.items()]
    written = ("\n".join([f"dn: {dn}", *(f"{name}:: {b64encode(value.encode()).decode()}" for name, value in facts)]) for dn, facts in entries)
    return "version: 1\n\n" + "\n\n".join(written) + "\n\n"


def _hashed(password: str) -> str:
    from base64 import b64encode
    from hashlib import sha1

    return "{SSHA}" + b64encode(sha1(password.encode() + b"salt").digest() + b"salt").decode()


def _certificate(folder: Path) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "directory of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False).sign(key, hashes.SHA256()))
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    (folder / "cert.pem").write_text(pem)
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return pem


def serve(folder: Path) -> None:
    from io import BytesIO

    from ldaptor.inmemory import fromLDIFFile
    from ldaptor.interfaces import IConnectedLDAPEntry
    from ldaptor.protocols import pureldap
    from ldaptor.protocols.ldap.ldapserver import LDAPServer
    from twisted.internet import reactor, ssl
    from twisted.internet.protocol import ServerFactory
    from twisted.python.components import registerAdapter

    def refusal(of: str) -> int:
        said = dict(line.rsplit(" ", 1) for line in (folder / "refusals").read_text().splitlines())
        return int(said.get(of, 0))

    class Server(LDAPServer):
        def extendedRequest_StartTLS(self, data: Any, reply: Any) -> None:
            reply(pureldap.LDAPStartTLSResponse(resultCode=refusal("starttls")))
            if not refusal("starttls"):
                self.transport.startTLS(self.factory.options)

        extendedRequest_StartTLS.oid = pureldap.LDAPStartTLSRequest.oid  # type: ignore[attr-defined]

        def handle_LDAPBindRequest(self, request: Any, controls: Any, reply: Any) -> Any:
            with (folder / "binds").open("a") as said:
                said.write(request.dn.decode() + "\n")
            return super().handle_LDAPBindRequest(request, controls, reply)

        def handle_LDAPSearchRequest(self, request: Any, controls: Any, reply: Any) -> Any:
            done = super().handle_LDAPSearchRequest(request, controls, reply)
            code = refusal(request.baseObject.decode())
            return done.addCallback(lambda _: pureldap.LDAPSearchResultDone(resultCode=code)) if code else done

    class Factory(ServerFactory):
        protocol = Server

        def __init__(self, root: Any) -> None:
            self.root = root
            self.options = ssl.DefaultOpenSSLContextFactory(str(folder / "key.pem"), str(folder / "cert.pem"))

    registerAdapter(lambda factory: factory.root, Factory, IConnectedLDAPEntry)

    def listen(root: Any) -> None:
        factory = Factory(root)
        ports = [reactor.listenSSL(0, factory, factory.options, interface="127.0.0.1"), reactor.listenTCP(0, factory, interface="127.0.0.1")]
        (folder / "ports.new").write_text(" ".join(str(port.getHost().port) for port in ports))
        (folder / "ports.new").rename(folder / "ports")

    fromLDIFFile(BytesIO((folder / "people.ldif").read_bytes())).addCallback(listen)
    reactor.run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
