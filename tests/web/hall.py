"""The guild of the approval tests as a site: its people can log in, some of its cases are under way."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from metaloom import command
from tests.command.guild import Guild
from tests.web.site import settings_at

PASSWORD = "right-horse-7"
NAMES = {"clerk": "王经办", "clerk2": "孙经办", "checker": "李初审", "master": "赵终审", "judge1": "钱评委", "judge2": "周评委",
         "judge3": "吴评委", "payer": "郑财务", "admin": "管理员"}


def open_hall(home: Path) -> Guild:
    """The guild, every one of its people with a password and a proper name."""
    guild = Guild(home, "", "hall")
    for person, name in NAMES.items():
        command.set_password(guild.system, guild.people[person], PASSWORD)
        version = guild.version(guild.people[person], "platform.user")
        command.save_user(guild.system, guild.people[person], {"display_name": name}, version)
    return guild


def cases(guild: Guild) -> dict[str, int]:
    """Some cases, each at another point of its way."""
    made = {"fresh": guild.start("main", guild.request(name="礼堂屋顶修缮", amount=Decimal("86000.00")))}
    made["second"] = guild.start("main", guild.request(name="购置会议桌椅", amount=Decimal("12800.50")))
    guild.decide(made["second"], "checker", opinion="材料齐全，同意上报。")
    made["back"] = guild.start("main", guild.request(name="年会场地租赁"))
    guild.decide(made["back"], "checker", "return", "请补充三家比价单。", to="initiator")
    made["done"] = guild.start("main", guild.request(name="消防器材更换", amount=Decimal("3200.00")))
    guild.decide(made["done"], "checker", opinion="同意。")
    guild.decide(made["done"], "master", opinion="同意，按最低报价采购。", outputs={"granted": "3000.00"})
    guild.decide(made["done"], "payer", opinion="发票已核对。")
    made["vote"] = guild.start("committee", guild.request(name="新会员入会评审"))
    guild.decide(made["vote"], "judge1", opinion="符合条件。")
    made["bands"] = guild.start("bands", guild.request(name="培训经费", amount=Decimal("50.00")))
    return made


def site(home: Path) -> tuple[Guild, Any]:
    """The guild and an application that serves it."""
    from metaloom.app import create_app

    guild = open_hall(home)
    return guild, create_app(settings_at(home), tenancy=guild.tenancy, clock=guild.clock)
