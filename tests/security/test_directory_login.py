"""Logging in by a directory: its password opens an account here, and nothing else does."""

import logging
import re
import socket
import ssl
import threading
from contextlib import ExitStack, suppress

import pytest
import sqlalchemy as sa

from metaloom.app import sessions
from metaloom.command import assign_role, bind_login, save_user, set_password
from metaloom.compile import Source
from metaloom.schema_change import publish, rollback, sources_of
from metaloom.storage.tables import ENGINE
from metaloom.web import ldap, oidc
from tests.api import world as depot
from tests.security.directory import BASE, FINDER, FINDER_PASSWORD, GROUPS, PEOPLE, Directory
from tests.security.test_accounts import system
from tests.web.conftest import Visitor

PASSWORD = "correct horse 9"
FOLK = {
    "fang": {"cn": "方芳", "uuid": "9d5a6c1e-0001", "groups": ["readers"], "password": PASSWORD},
    "gao": {"cn": "高歌", "uuid": "9d5a6c1e-0002", "groups": [], "password": PASSWORD},
    "hand": {"cn": "韩东", "uuid": "9d5a6c1e-0003", "groups": ["packers"], "password": PASSWORD},
    "zlocal": {"cn": "本地", "uuid": "9d5a6c1e-0004", "groups": ["packers"], "password": PASSWORD},
    "zchief": {"cn": "主管", "uuid": "9d5a6c1e-0005", "groups": ["readers"], "password": PASSWORD},
    "zcase": {"cn": "大小写", "uuid": "9d5a6c1e-0007", "groups": ["readers"], "password": PASSWORD},
    "idle": {"cn": "停用", "uuid": "9d5a6c1e-0006", "groups": ["readers"], "password": PASSWORD},
}
WAYS = {
    "searched": f"bind_dn: '{FINDER}', secret_ref: ldap.finder",
    "by its name": f"user_dn: 'uid={{username}},{PEOPLE}'",
    "groups searched": f"bind_dn: '{FINDER}', secret_ref: ldap.finder, group_base: '{GROUPS}'",
}
CARD = """tenant:
  label: {{zh: 仓库, en: Depot}}
  packs: [platform, depot]
  settings:
    login:
      ldap: {{servers: [{servers}], ca: "{ca}", base: "{base}", {way}, create: {create}, company: C1,
              roles: [{{group: "CN=Readers, {groups}", role: depot.reader}}, {{group: "cn=packers,{groups}", role: depot.packer}}]}}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = Directory(tmp_path_factory.mktemp("directory"), FOLK)
    yield made
    made.close()


@pytest.fixture(scope="module")
def tenant(world):
    tenant = world.tenants["one"]
    before = tenant.revision().number
    tenant.secrets.set("ldap.finder", FINDER_PASSWORD)
    sources, last = sources_of(tenant, before), [""]

    def use(house, way="searched", *, servers=None, ca=None, create="true"):
        card = CARD.format(servers=", ".join(servers or (f"ldaps://localhost:{house.secure}",)), ca=(house.ca if ca is None else ca).replace("\n", "\\n"),
                           base=BASE, way=WAYS.get(way, way), create=create, groups=GROUPS)
        if card != last[-1]:
            publish(tenant, (*sources, Source("client", "tenant.yaml", card)))
            last.append(card)

    yield use
    rollback(tenant, before)


@pytest.fixture(autouse=True)
def calm(world, house):
    users = world.tenants["one"].revision().tables.engine.user
    with world.tenants["one"].write() as conn:
        conn.execute(ENGINE.rate.delete())
        conn.execute(users.update().values(locked_until=None))
    ldap.forget()
    house.refuse()
    house.binds()


def enter(world, username, password=PASSWORD):
    visitor = Visitor(world.app, "one")
    return visitor, visitor.log_in(username, password)


def account(world, username):
    users = world.tenants["one"].revision().tables.engine.user
    with world.tenants["one"].read() as conn:
        return conn.execute(sa.select(users).where(users.c.username == username)).mappings().first()


def roles(world, username):
    held = world.tenants["one"].revision().tables.engine.role_assignment
    with world.tenants["one"].read() as conn:
        return set(conn.scalars(sa.select(held.c.role).where(held.c.user_id == account(world, username)["id"])))


def make(world, username, password=""):
    return save_user(system(world), None, {"username": username, "display_name": username, "email": f"{username}@here.cn", "company": 1},
                     **({"password": password} if password else {})).id


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("tls", ["from the first byte", "started"])
def test_a_person_of_the_directory_comes_in_and_roles_follow_the_groups(world, house, tenant, monkeypatch, way, tls):
    monkeypatch.setattr(ldap, "LOOPBACK", ())                # as if it were another machine
    tenant(house, way, servers=(f"ldap://localhost:{house.plain}",) if tls == "started" else None)
    visitor, answer = enter(world, "fang")
    assert (answer.status_code, answer.headers.get("Location")) == (302, "/one/")
    assert visitor.get("/e/depot.buyer/").status_code == 200
    assert roles(world, "fang") == {"depot.reader"} and roles_of(world, "gao", way) == set()
    made = account(world, "fang")
    assert (made["display_name"], made["email"]) == ("方芳", "fang@house.cn") and not made["password"] and made["login_subject"].endswith("|9d5a6c1e-0001")


def roles_of(world, name, way):
    assert enter(world, name)[1].status_code == 302, way
    return roles(world, name)


WRONG = {
    "a wrong password": ("fang", "wrong"), "nobody": ("nobody-here", PASSWORD), "everybody": ("*", PASSWORD), "a filter": ("fang)(uid=*", PASSWORD),
    "any of two": (")(|(uid=fang)(uid=gao)", PASSWORD), "a longer name": ("fang,ou=people", PASSWORD), "a part of a name": ("fan*", PASSWORD),
    "a second part": ("fang+cn=方芳", PASSWORD), "the account that searches": ("finder", FINDER_PASSWORD), "too long a name": ("f" * 100, PASSWORD),
    "an empty password": ("fang", ""), "a password of zeros": ("fang", "\0\0"), "no name": ("", PASSWORD), "a line end": ("fang\nuid", PASSWORD),
}


@pytest.mark.parametrize("name, password", WRONG.values(), ids=list(WRONG))
@pytest.mark.parametrize("all_sent", [False, True], ids=["looked at first", "sent as it is"])
@pytest.mark.parametrize("way", ["searched", "by its name"])
def test_what_is_no_name_and_password_of_one_person_opens_nothing(world, house, tenant, monkeypatch, way, name, password, all_sent):
    """Also if what a name may hold were forgotten: filters and names of entries are written so that nothing breaks out of them."""
    if all_sent:
        monkeypatch.setattr(ldap, "USABLE", re.compile(r"(?s).*"))
    tenant(house, way)
    visitor, answer = enter(world, name, password)
    assert answer.status_code == 401 and "用户名或密码不正确" in answer.text
    assert visitor.get("/").status_code == 302, "nobody is logged in"
    if not password.strip("\0"):
        assert house.binds() == [], "a password that is none is asked of nobody: a directory would say yes"


def test_a_slip_of_a_password_from_here_does_not_travel_and_administrators_stay_out_of_it(world, house, tenant):
    tenant(house)
    id = make(world, "zlocal")
    set_password(system(world), id, depot.PASSWORD)
    house.binds()
    assert enter(world, "zlocal")[1].status_code == 401 and house.binds() == [FINDER], "nobody is looked for, which takes as long"
    assert enter(world, "zlocal", depot.PASSWORD)[1].status_code == 302, "the account's own password opens it as before"
    bind_login(system(world), id, FOLK["zlocal"]["uuid"])
    assert enter(world, "zlocal")[1].status_code == 302 and f"uid=zlocal,{PEOPLE}" in house.binds()
    chief = make(world, "zchief")
    assign_role(system(world), chief, "platform.admin")
    assert enter(world, "zchief")[1].status_code == 401, "the directory opens no administrator's account"


def test_only_known_people_come_in_where_no_accounts_are_made_and_nobody_who_was_switched_off(world, house, tenant):
    tenant(house, create="false")
    assert enter(world, "hand")[1].status_code == 401 and account(world, "hand") is None
    id = make(world, "hand")
    assert enter(world, "hand")[1].status_code == 401, "an account of that name is not yet the directory's person"
    bind_login(system(world), id, FOLK["hand"]["uuid"])
    assert enter(world, "hand")[1].status_code == 302 and roles(world, "hand") == {"depot.packer"}
    idle = make(world, "idle")
    bind_login(system(world), idle, FOLK["idle"]["uuid"])
    save_user(system(world), idle, {"active": False}, row_version=account(world, "idle")["row_version"])
    house.binds()
    assert enter(world, "idle")[1].status_code == 401 and house.binds() == [FINDER]


def test_wrong_passwords_of_the_directory_count_and_a_right_one_forgets_them(world, house, tenant):
    tenant(house)
    for _ in range(9):
        assert enter(world, "gao", "wrong")[1].status_code == 401
    assert enter(world, "gao")[1].status_code == 302
    assert [enter(world, "gao", "wrong")[1].status_code for _ in range(10)] == [401] * 10
    house.binds()
    assert enter(world, "gao")[1].status_code == 429 and house.binds() == [], "a locked account is not asked about"


def test_a_directory_that_cannot_be_believed_or_asked_is_away(world, house, tenant, monkeypatch, caplog):
    """Another authority, another host's name, no TLS, nobody there, silence: and those with a password of their own come in all the while."""
    other = ssl.get_server_certificate(("localhost", int(house.secure)))
    assert other.strip() == house.ca.strip()
    monkeypatch.setattr(ldap, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(ldap, "LOOPBACK", ())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = f"ldaps://localhost:{mute.getsockname()[1]}"
        away = {"its authority is unknown": {"ca": _another(house)}, "its name is another": {"servers": (f"ldaps://127.0.0.1:{house.secure}",)},
                "no TLS": {"servers": (f"ldap://localhost:{house.secure}",)},
                "nobody there": {"servers": ("ldaps://localhost:1",)}, "silence": {"servers": (silent,)}}
        for why, change in away.items():
            tenant(house, **change)
            house.binds()
            with caplog.at_level(logging.WARNING):
                answer = enter(world, "fang")[1]
            assert answer.status_code == 503 and answer.headers["Retry-After"] and house.binds() == [], why
            assert enter(world, "admin", depot.PASSWORD)[1].status_code == 302, why
    assert PASSWORD not in caplog.text and "fang" not in caplog.text and FINDER_PASSWORD not in caplog.text
    tenant(house, servers=("ldaps://localhost:1", f"ldaps://localhost:{house.secure}"))
    assert enter(world, "fang")[1].status_code == 302, "the next server is asked where the first is not there"


def test_a_directory_that_never_ends_holds_no_more_than_its_places(world, house, tenant, monkeypatch):
    monkeypatch.setattr(oidc, "DEADLINE", 0.3)
    free = threading.Event()
    monkeypatch.setattr(ldap, "_asked", lambda *_: free.wait(20))
    tenant(house)
    try:
        assert [enter(world, "fang")[1].status_code for _ in range(oidc.AT_ONCE + 1)] == [503] * (oidc.AT_ONCE + 1)
        assert oidc.in_turn(lambda: "said", "another directory") == "said", "places are each directory's own"
    finally:
        free.set()


@pytest.mark.parametrize("password", ["a\tb", "\u00ad", "\ue000", "a\u05d0"], ids=["a tab", "a soft hyphen", "a private character", "two directions"])
@pytest.mark.parametrize("way", ["searched", "by its name"])
def test_a_password_that_no_directory_takes_says_nothing_of_who_is_there(world, house, tenant, way, password):
    tenant(house, way)
    told = [(answer.status_code, "用户名或密码不正确" in answer.text) for answer in (enter(world, name, password)[1] for name in ("fang", "nobody-here"))]
    assert told == [(401, True), (401, True)] and house.binds() == []


@pytest.mark.parametrize("how", ["it says so", "the client sees it"])
def test_a_server_that_refuses_tls_is_left_and_the_next_is_asked(world, house, tenant, monkeypatch, how):
    monkeypatch.setattr(ldap, "LOOPBACK", ())
    opened, plain = [], ldap.ldap3.Connection
    monkeypatch.setattr(ldap.ldap3, "Connection", lambda *given, **more: opened.append(plain(*given, **more)) or opened[-1])
    if how == "it says so":
        house.refuse(starttls=52)
    else:
        monkeypatch.setattr(plain, "start_tls", lambda *_, **__: False)
    tenant(house, servers=(f"ldap://localhost:{house.plain}", f"ldaps://localhost:{house.secure}"))
    assert enter(world, "fang")[1].status_code == 302
    assert opened and all(conn.closed for conn in opened)
    tenant(house, servers=(f"ldap://localhost:{house.plain}",))
    assert enter(world, "fang")[1].status_code == 503 and all(conn.closed for conn in opened)


CODES = {"the time limit": 3, "the size limit": 4, "its own limit": 11, "no such base": 32, "no right": 50, "busy": 51, "unavailable": 52}


@pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))
def test_roles_stay_where_the_directory_does_not_finish_the_search_for_groups(world, house, tenant, code):
    tenant(house, "groups searched")
    assert enter(world, "fang")[1].status_code == 302 and roles(world, "fang") == {"depot.reader"}
    house.refuse(groups=code)
    assert enter(world, "fang")[1].status_code == 503 and roles(world, "fang") == {"depot.reader"}


def test_roles_stay_where_there_are_more_groups_than_are_read(world, house, tenant, monkeypatch):
    tenant(house, "groups searched")
    assert enter(world, "fang")[1].status_code == 302
    monkeypatch.setattr(ldap, "GROUPS_MAX", 1)
    assert enter(world, "fang")[1].status_code == 503 and roles(world, "fang") == {"depot.reader"}


def test_a_search_for_people_that_is_refused_is_no_wrong_password(world, house, tenant):
    tenant(house)
    for code in set(CODES.values()) - {CODES["the size limit"]}:
        house.refuse(people=code)
        assert enter(world, "fang")[1].status_code == 503, code
    house.refuse(people=CODES["the size limit"])
    assert enter(world, "fang")[1].status_code == 401, "one of several is nobody"


def test_a_server_that_was_away_a_moment_ago_is_not_asked_again(world, house, tenant, monkeypatch):
    monkeypatch.setattr(ldap, "ANSWER_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        tenant(house, servers=(f"ldaps://localhost:{mute.getsockname()[1]}",))
        assert [enter(world, name)[1].status_code for name in ("fang", "gao", "nobody-here")] == [503] * 3
        assert _calls(mute) == 1
        ldap.forget()
        assert enter(world, "fang")[1].status_code == 503 and _calls(mute) == 1


def test_all_servers_together_have_the_time_of_one_login(house, monkeypatch):
    monkeypatch.setattr(ldap, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(ldap, "DEADLINE", 2.5)
    with ExitStack() as kept:
        mute = [kept.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        servers = tuple(f"ldaps://localhost:{one.getsockname()[1]}" for one in mute)
        with pytest.raises(oidc.Refused) as refused:
            ldap.ask(ldap.Directory(servers, BASE, "ldap:test", ca=house.ca), "fang", PASSWORD)
        assert refused.value.away and [_calls(one) for one in mute] == [1, 1, 0, 0]


def _calls(mute):
    """How often somebody called since the last time."""
    mute.settimeout(0.1)
    count = 0
    with suppress(TimeoutError):
        while True:
            mute.accept()[0].close()
            count += 1
    return count


def test_tries_while_the_directory_is_away_lock_nobody_out_and_forget_no_wrong_password(world, house, tenant, monkeypatch):
    monkeypatch.setattr(sessions, "LOCK_ADDRESS_AFTER", 14)
    tenant(house)
    assert [enter(world, "gao", "wrong")[1].status_code for _ in range(9)] == [401] * 9
    tenant(house, servers=("ldaps://localhost:1",))
    assert [enter(world, name)[1].status_code for name in ("gao", "fang", "nobody-here") * 5] == [503] * 15
    tenant(house)
    assert enter(world, "admin", depot.PASSWORD)[1].status_code == 302, "the network is not locked"
    assert [enter(world, "gao", "wrong")[1].status_code for _ in range(2)] == [401, 429], "the nine before count as they did"


def test_a_password_from_here_is_not_guessed_without_end_while_the_directory_is_away(world, house, tenant):
    tenant(house, servers=("ldaps://localhost:1",))
    id = make(world, "both")
    set_password(system(world), id, depot.PASSWORD)
    bind_login(system(world), id, "9d5a6c1e-0099")
    assert [enter(world, "both", "wrong")[1].status_code for _ in range(11)] == [503] * 10 + [429]


@pytest.mark.parametrize("way", ["searched", "by its name"])
def test_which_accounts_have_a_password_here_cannot_be_told(world, house, tenant, way):
    """However the name is written, nothing of a slip travels; and who is not asked about gets the answer of whom the directory does not know."""
    tenant(house, way)
    if account(world, "zcase") is None:
        set_password(system(world), make(world, "zcase"), depot.PASSWORD)
    for name in ("zcase", "ZCase", "ZCASE@here.cn"):
        house.binds()
        assert enter(world, name)[1].status_code == 401
        bound = house.binds()
        assert len(bound) == 1 and "zcase" not in bound[0].lower(), "one round trip, in another name"
    tenant(house, way, servers=("ldaps://localhost:1",))
    assert [enter(world, name)[1].status_code for name in ("zcase", "ZCase", "fang", "nobody-here")] == [503] * 4
    assert enter(world, "zcase", depot.PASSWORD)[1].status_code == 302


def _another(house):
    from tests.security.directory import _certificate

    folder = house.folder / "another"
    folder.mkdir(exist_ok=True)
    return _certificate(folder)
