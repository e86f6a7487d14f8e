"""Login by a directory (LDAP v3, RFC 4511 and 4513; Active Directory): the password is tried there, and the entry says who somebody is.

Flask-AppBuilder's own LDAP login needs python-ldap, which is compiled against libraries of the system; ldap3 is Python alone. What the directory
says passes the same door as a provider's word (``enter_by_provider``): an account is bound to the entry's lasting name, roles follow groups,
no administrator comes in this way. Nothing is sent without TLS, no referral is followed, an empty password is asked of nobody.
"""

from __future__ import annotations

import re
import secrets
import ssl
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPCommunicationError, LDAPException, LDAPExceptionError
from ldap3.core.results import RESULT_INVALID_CREDENTIALS, RESULT_SIZE_LIMIT_EXCEEDED, RESULT_SUCCESS
from ldap3.protocol.sasl.sasl import validate_simple_password
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from metaloom.command import issuer_of
from metaloom.web.oidc import DEADLINE, Known, Refused, in_turn

CONNECT_SECONDS, ANSWER_SECONDS = 3, 6       # whole ones: ldap3 hands the second to the socket as such
AWAY_FOR = 5.0                               # so long a server that did not answer is not asked again
NAME_MAX, VALUE_MAX, GROUPS_MAX = 64, 200, 1000
# What a name may hold. A directory takes spellings for one name that the counter of wrong passwords would take for several.
USABLE = re.compile(r"[\w.@+'-]+( [\w.@+'-]+)*")
LOOPBACK = ("ldap://127.0.0.1", "ldap://localhost")      # the only addresses that are asked without TLS


@dataclass(frozen=True)
class Directory:
    """``settings.login.ldap`` of a tenant."""

    servers: tuple[str, ...]
    base: str
    issuer: str
    ca: str = ""
    user_dn: str = ""
    bind_dn: str = ""
    secret: str = ""
    filter: str = "(uid={username})"
    subject_attribute: str = "entryUUID"
    username_attribute: str = "uid"
    name_attribute: str = "cn"
    mail_attribute: str = "mail"
    groups_attribute: str = "memberOf"
    group_base: str = ""
    group_filter: str = "(member={dn})"
    roles: tuple[tuple[str, str], ...] = ()      # group, role
    create: bool = False
    company: str = ""

    @property
    def read(self) -> list[str]:
        """The attributes of a person that are asked for."""
        person = [self.subject_attribute, self.username_attribute, self.name_attribute, self.mail_attribute]
        return person if self.group_base else [*person, self.groups_attribute]


@dataclass(frozen=True)
class _Entry:
    """``values``: by attribute in small letters, as bytes."""

    dn: str
    values: Mapping[str, list[bytes]]

    def one(self, attribute: str) -> bytes:
        found = self.values.get(attribute.lower()) or [b""]
        return found[0]

    def text(self, attribute: str) -> str:
        return self.one(attribute).decode("utf-8", "replace").strip()


def directory_of(settings: Mapping[str, Any], secret: Any) -> Directory:
    """The directory that the tenant names. ``secret``: from a name to the stored secret or None."""
    login = settings["login"]
    said = dict(login["ldap"])
    said["secret"] = secret(said.pop("secret_ref")) or "" if "secret_ref" in said else ""
    said["servers"] = tuple(said["servers"])
    said["roles"] = tuple((_plain_dn(line["group"]), line["role"]) for line in said.get("roles") or ())
    return Directory(**said, issuer=issuer_of(login))


def ask(directory: Directory, username: str, password: str, *, sent: bool = True) -> Known:
    """Who this is, when the directory takes the password; Refused otherwise, ``away`` where it could not be asked.

    ``groups`` of the answer are names of the directory in one spelling, as ``directory.roles`` holds them. An entry without groups is in
    none: a directory leaves an attribute without values out. ``sent`` False: neither name nor password goes there; the answer is the one for
    somebody whom the directory does not know, and takes as long.
    """
    if len(username) > NAME_MAX or not USABLE.fullmatch(username) or unicodedata.normalize("NFKC", username) != username:
        raise Refused("no usable name or password")
    try:
        # A bind without a password succeeds as nobody (RFC 4513, 5.1.2). Characters that no password may hold (RFC 4013) ldap3 refuses only at
        # the bind, which comes after the person was found: the answer would say who is there.
        validate_simple_password(password)
    except LDAPExceptionError as error:
        raise Refused("no usable name or password") from error
    who = (username, password) if sent else (f"nobody{secrets.token_hex(12)}", secrets.token_hex(16))
    known = in_turn(lambda: _asked(directory, *who), " ".join(directory.servers))
    if not sent:
        raise Refused("the directory knows everybody")
    return known


_away: dict[tuple[str, str], float] = {}     # server and authority, until when


def forget() -> None:
    """Ask every server anew."""
    _away.clear()


def _asked(directory: Directory, username: str, password: str) -> Known:
    try:
        return _known(directory, *_proven(directory, username, password, time.monotonic() + DEADLINE))
    except (LDAPException, OSError, ssl.SSLError) as error:
        raise Refused(f"the directory cannot be asked: {type(error).__name__}", away=True) from error


def _proven(directory: Directory, username: str, password: str, until: float) -> tuple[_Entry, list[str]]:
    """The entry whose password this is, and its groups; ``until`` (monotonic) there is time for it."""
    if directory.user_dn:
        with _bound(directory, directory.user_dn.replace("{username}", escape_rdn(username)), password, until) as own:
            entry = _only(own, str(own.user), "(objectClass=*)", ldap3.BASE, directory.read)
            return entry, _groups(directory, own, entry, username)
    if directory.bind_dn and not directory.secret:
        raise Refused("no secret for the account that searches", away=True)
    with _bound(directory, directory.bind_dn, directory.secret, until, searches=True) as finder:
        entry = _only(finder, directory.base, directory.filter.replace("{username}", escape_filter_chars(username)), ldap3.SUBTREE, directory.read)
        with _bound(directory, entry.dn, password, until):
            return entry, _groups(directory, finder, entry, username)


@contextmanager
def _bound(directory: Directory, dn: str, password: str, until: float, *, searches: bool = False) -> Iterator[ldap3.Connection]:
    """A connection in the name of ``dn``; Refused where the password is wrong. ``searches``: as the account that only looks for people."""
    conn = _connected(directory, dn, password, until)
    try:
        _bind(conn, searches)
        result = conn.result["result"]
        if result == RESULT_INVALID_CREDENTIALS and not searches:
            raise Refused("a wrong password")
        if result != RESULT_SUCCESS:
            raise Refused(f"the directory refused {'the account that searches' if searches else 'a login'}: {conn.result['description']}", away=searches)
        yield conn
    finally:
        _leave(conn)


def _connected(directory: Directory, dn: str, password: str, until: float) -> ldap3.Connection:
    """To the first server that answers, under TLS before anything is said; without those that did not answer a moment ago."""
    problem: Exception = OSError("no server answered a moment ago")
    for address in directory.servers:
        left = until - time.monotonic()
        if left < 1:
            raise TimeoutError("no time is left for another server")
        server = ldap3.Server(address, connect_timeout=min(CONNECT_SECONDS, left), get_info=ldap3.NONE, tls=_tls(directory))
        if time.monotonic() < _away.get(_key(server), 0.0):
            continue
        conn = ldap3.Connection(server, dn or None, password or None, authentication=ldap3.SIMPLE if dn else ldap3.ANONYMOUS, auto_referrals=False,
                                receive_timeout=int(min(ANSWER_SECONDS, left)), check_names=False, read_only=True, return_empty_attributes=False)
        try:
            conn.open(read_server_info=False)
            if not server.ssl and not _here(address) and not conn.start_tls(read_server_info=False):
                raise OSError("the directory refuses TLS")
            return conn
        except (LDAPException, OSError) as error:
            _leave(conn)
            _away[_key(server)] = time.monotonic() + AWAY_FOR
            problem = error
    raise problem


def _bind(conn: ldap3.Connection, searches: bool) -> None:
    try:
        conn.bind()
    except LDAPCommunicationError:
        if searches:                         # a person's may be slow where others are not
            _away[_key(conn.server)] = time.monotonic() + AWAY_FOR
        raise


def _key(server: ldap3.Server) -> tuple[str, str]:
    """The server as one tenant knows it: another one may trust another authority."""
    return server.name, server.tls.ca_certs_data or ""


def _leave(conn: ldap3.Connection) -> None:
    """Without a word about it: what was learned stands, also where the other side was gone first."""
    with suppress(LDAPException, OSError):
        conn.unbind()


def _tls(directory: Directory) -> ldap3.Tls:
    return ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_data=directory.ca or None)


def _here(address: str) -> bool:
    return address.startswith(LOOPBACK) and address.removeprefix("ldap://").partition(":")[0] in ("127.0.0.1", "localhost")


def _only(conn: ldap3.Connection, base: str, wanted: str, scope: str, attributes: list[str]) -> _Entry:
    """The one entry that answers; none, or several, are nobody."""
    found = _search(conn, base, wanted, scope, attributes, 2, cut=True)
    if len(found) != 1 or conn.result["result"] == RESULT_SIZE_LIMIT_EXCEEDED:
        raise Refused("no entry, or not one alone, has this name")
    return found[0]


def _search(conn: ldap3.Connection, base: str, wanted: str, scope: str, attributes: list[str], most: int, *, cut: bool = False) -> list[_Entry]:
    """What was found by a search that was carried out to its end; ``cut``: or one cut at its limit. A list that may lack something is none."""
    conn.search(base, wanted, scope, attributes=attributes, size_limit=most, time_limit=ANSWER_SECONDS)
    if conn.result["result"] not in ((RESULT_SUCCESS, RESULT_SIZE_LIMIT_EXCEEDED) if cut else (RESULT_SUCCESS,)):
        raise Refused(f"the directory did not finish a search: {conn.result['description']}", away=True)
    return [_Entry(line["dn"], {name.lower(): values for name, values in line["raw_attributes"].items()})
            for line in conn.response or () if line["type"] == "searchResEntry"]


def _groups(directory: Directory, conn: ldap3.Connection, entry: _Entry, username: str) -> list[str]:
    """The groups' names; searched for where the entry itself does not say."""
    if not directory.group_base:
        return [value.decode("utf-8", "replace") for value in entry.values.get(directory.groups_attribute.lower(), [])]
    wanted = directory.group_filter.replace("{dn}", escape_filter_chars(entry.dn)).replace("{username}", escape_filter_chars(username))
    found = _search(conn, directory.group_base, wanted, ldap3.SUBTREE, ["1.1"], GROUPS_MAX)
    if len(found) >= GROUPS_MAX:
        raise Refused("more groups than are read", away=True)
    return [group.dn for group in found]


def _known(directory: Directory, entry: _Entry, groups: list[str]) -> Known:
    subject, username = _lasting(entry.one(directory.subject_attribute)), entry.text(directory.username_attribute)
    if not 0 < len(subject) <= VALUE_MAX or not 0 < len(username) <= NAME_MAX:
        raise Refused(f"the entry has no usable {directory.subject_attribute} or {directory.username_attribute}")
    return Known(f"{directory.issuer}|{subject}", username, (entry.text(directory.name_attribute) or username)[:64], entry.text(directory.mail_attribute),
                 frozenset(_plain_dn(name) for name in groups))


def _lasting(value: bytes) -> str:
    """The subject as text; what is no text (objectGUID) as hexadecimal digits."""
    return value.decode("ascii") if value.isascii() and value.decode("ascii").isprintable() else value.hex()


def _plain_dn(name: str) -> str:
    """A group's name in one spelling: small letters, no blanks around its parts."""
    return ",".join("=".join(side.strip() for side in part.split("=", 1)) for part in re.split(r"(?<!\\),", name)).lower()
