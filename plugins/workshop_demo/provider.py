"""The demo_data provider of the workshop pack."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random

from metaloom.plugin import Environment
from metaloom.plugin.demo_data import Person, Size, Stage

SEED, ROWS_MAX = "metaloom workshop demo 1", 50
CLIENT, DEVICE, PART, PURCHASE, ORDER = (
    "workshop.client", "workshop.device", "workshop.spare_part", "workshop.purchase", "workshop.repair_order")
STAFF = (("reception01", "何静", "reception"), ("tech01", "罗刚", "technician"), ("tech02", "高飞", "technician"),
         ("store01", "梁平", "storekeeper"), ("workshop01", "谢明", "manager"))
SURNAMES, GIVEN = "王李张刘陈杨赵吴周徐", ("敏", "磊", "建华", "晓东", "丽", "志强", "雪", "文斌")
DEVICES = {"phone": ("华为 Mate 60", "小米 14", "iPhone 13", "荣耀 100"), "laptop": ("联想 ThinkPad X1", "戴尔 XPS 13", "华硕 天选"),
           "printer": ("惠普 LaserJet M126", "佳能 G3800"), "machine": ("数控铣床 XK714", "台式钻床 Z4116"), "other": ("投影仪 EB-C760",)}
PARTS = (("屏幕总成", "phone", 420), ("电池", "phone", 120), ("充电接口", "phone", 45), ("后盖", "phone", 60), ("摄像头", "phone", 180),
         ("键盘", "laptop", 150), ("固态硬盘 512G", "laptop", 320), ("内存条 16G", "laptop", 260), ("散热风扇", "laptop", 85), ("转轴", "laptop", 95),
         ("硒鼓", "printer", 110), ("搓纸轮", "printer", 25), ("定影膜", "printer", 70), ("主轴轴承", "machine", 680), ("伺服电机", "machine", 1850),
         ("限位开关", "machine", 55), ("灯泡", "other", 240))
FAULTS = ("无法开机，送修前曾进水。", "屏幕碎裂，触摸失灵。", "电池鼓包，续航不足一小时。", "运行噪声大，自动关机。",
          "卡纸严重，打印有黑线。", "加工精度超差。")
WORKS = (("拆机检测", "0.5"), ("更换部件", "1"), ("清洁保养", "0.75"), ("主板维修", "2.5"), ("系统重装", "1.25"), ("精度校准", "3"))


class WorkshopDemo:
    """Parts are bought and counted, devices come in, are repaired or not, and go home."""

    def __init__(self, environment: Environment) -> None:
        del environment  # nothing to set up

    def packs(self) -> tuple[str, ...]:
        return ("workshop",)

    def run(self, stage: Stage, size: Size) -> None:
        rows = min(ROWS_MAX, max(5, size.customers // 40))
        company, unit = _place(stage)
        for login, name, role in STAFF:
            stage.user(login, name, (f"workshop.{role}",), company, unit)
        rng = Random(SEED)
        parts = _parts(stage, rows)
        _purchases(stage, rng, parts, rows)
        devices = _devices(stage, rng, rows)
        for number, device in enumerate(devices):
            _order(stage, Random(f"{SEED} {number}"), number, device, parts)
        stage.progress(rows, rows, f"维修车间 工单 {len(devices)}")


def _place(stage: Stage) -> tuple[int, int]:
    """The workshop's department where an earlier history made one, else a company of its own."""
    admin = stage.as_user("admin")
    for unit in admin.find("platform.org_unit"):
        if "维修" in str(unit["name"]):
            return int(unit["company"]), int(unit["id"])
    company = stage.company("WX01", {"name": "快修设备维修有限公司", "short_name": "快修"})
    return company, stage.org_unit("WX0110", {"name": "维修车间", "company": company})


def _parts(stage: Stage, rows: int) -> list[int]:
    store, manager, made = stage.as_user("store01"), stage.as_user("workshop01"), []
    for number in range(rows):
        name, kind, price = PARTS[number % len(PARTS)]
        grade = ("", "（原厂）", "（高配）")[number // len(PARTS) % 3]
        made.append(manager.create(f"w:part{number}", PART, {
            "part_code": f"BJ{number + 1:04d}", "name": name + grade, "kind": kind, "price": Decimal(price) * (10 + number // len(PARTS)) / 10,
            "min_stock": 2 + number % 4, "shelf": f"{'ABCD'[number % 4]}-{number // 4 + 1:02d}"}))
    for number, part in enumerate(made[:5]):
        store.do(f"w:count{number}", PART, part, "count", {"counted": 6 + number}, "开业盘点")
    return made


def _purchases(stage: Stage, rng: Random, parts: list[int], rows: int) -> None:
    """Most are received; the last ones are approved, drafts, or cancelled."""
    store, manager = stage.as_user("store01"), stage.as_user("workshop01")
    for number in range(rows):
        bought = rng.sample(parts, min(len(parts), rng.randrange(1, 4)))
        lines = [{"part": part, "quantity": rng.randrange(4, 20), "unit_cost": Decimal(rng.randrange(20, 900))} for part in bought]
        supplier = rng.choice(("华东电子配件", "宏远机电", "通达数码", "精工轴承"))
        purchase = store.create(f"w:buy{number}", PURCHASE, {"supplier": supplier + "有限公司", "lines": lines})
        fate = "received" if number < rows * 3 // 4 else ("draft", "approved", "cancelled", "received")[number % 4]
        if fate == "cancelled":
            store.do(f"w:buy{number}:cancel", PURCHASE, purchase, "cancel", {}, "供应商缺货")
        if fate in ("approved", "received"):
            manager.do(f"w:buy{number}:approve", PURCHASE, purchase, "approve")
        if fate == "received":
            store.do(f"w:buy{number}:receive", PURCHASE, purchase, "receive")


def _devices(stage: Stage, rng: Random, rows: int) -> list[int]:
    reception, made = stage.as_user("reception01"), []
    for number in range(rows):
        name = rng.choice(SURNAMES) + rng.choice(GIVEN)
        client = reception.create(f"w:client{number}", CLIENT, {
            "name": name,
            "phone": f"13{rng.randrange(10)}{rng.randrange(10000):04d}{rng.randrange(2, 10000):04d}", "address": f"解放路{rng.randrange(1, 300)}号"})
        kind = rng.choice(tuple(DEVICES))
        made.append(reception.create(f"w:device{number}", DEVICE, {
            "client": client, "name": rng.choice(DEVICES[kind]), "kind": kind, "serial_no": f"SN{20240000 + number * 37}",
            "bought_on": stage.today - timedelta(days=rng.randrange(30, 900)), "warranty_months": 12}))
    return made


def _order(stage: Stage, rng: Random, number: int, device: int, parts: list[int]) -> None:
    """One repair order, as far as it has come."""
    reception, key = stage.as_user("reception01"), f"w:order{number}"
    technician = ("tech01", "tech02")[number % 2]
    fate = ("received", "repairing", "done", "given_up", "delivered", "delivered")[number % 6]
    people = {row["username"]: row["id"] for row in stage.as_user("admin").find("platform.user", {"username": technician})}
    values = {"device": device, "fault": rng.choice(FAULTS), "priority": "urgent" if number % 7 == 0 else "normal",
              "promised_on": stage.today + timedelta(days=rng.randrange(2, 10)), "technician": people[technician],
              "lines": [{"work": work, "hours": Decimal(hours), "hourly_rate": Decimal(120)} for work, hours in rng.sample(WORKS, rng.randrange(1, 3))]}
    order = reception.create(key, ORDER, values)
    if fate == "received":
        return
    _repair(stage.as_user(technician), rng, key, order, parts, fate)
    if fate == "delivered":
        reception.do(f"{key}:deliver", ORDER, order, "deliver")


def _repair(technician: Person, rng: Random, key: str, order: int, parts: list[int], fate: str) -> None:
    technician.do(f"{key}:begin", ORDER, order, "begin")
    if fate == "given_up":
        technician.do(f"{key}:no", ORDER, order, "give_up", {}, "主板烧毁，无维修价值。")
        return
    part = rng.choice(parts)
    if int(technician.read("workshop.spare_part", part)["stock"]) > 0:
        technician.do(f"{key}:part", ORDER, order, "use_part", {"part": part, "quantity": 1})
    if fate != "repairing":
        technician.do(f"{key}:done", ORDER, order, "finish")
