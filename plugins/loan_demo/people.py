"""Invented people and firms with identifiers that pass every check (GB 11643, GB 32100, Luhn) and belong to nobody we know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from metaloom.base.identity import id_card_check_digit

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖"
    "石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
)
GIVEN_MALE = (
    "伟", "强", "磊", "军", "勇", "杰", "涛", "超", "明", "刚", "平", "辉", "鹏", "华", "飞", "鑫", "波", "斌", "浩", "凯", "建国", "建华",
    "志强", "志伟", "国强", "海波", "文斌", "俊杰", "浩然", "子轩", "宇航", "嘉豪", "天佑", "立新", "永康", "德胜", "振华", "晓东", "光明",
    "少峰", "家明", "庆丰", "学文", "思远", "成林",
)
GIVEN_FEMALE = (
    "芳", "娜", "敏", "静", "丽", "艳", "娟", "霞", "秀英", "玲", "桂英", "洁", "琳", "婷", "雪", "慧", "莉", "颖", "倩", "佳", "秀兰",
    "玉兰", "海燕", "晓红", "雨欣", "诗涵", "梦洁", "雅婷", "思琪", "欣怡", "佳怡", "美玲", "春梅", "丽华", "红梅", "文静", "晓燕", "淑珍",
    "凤英", "惠敏", "若兰", "子涵", "可欣", "月华", "素芬",
)
# Administrative codes (GB/T 2260) with their names.
AREAS = (
    ("330102", "浙江省杭州市上城区"), ("330106", "浙江省杭州市西湖区"), ("330109", "浙江省杭州市萧山区"), ("330110", "浙江省杭州市余杭区"),
    ("330203", "浙江省宁波市海曙区"), ("330205", "浙江省宁波市江北区"), ("330206", "浙江省宁波市北仑区"), ("330281", "浙江省余姚市"),
    ("330282", "浙江省慈溪市"), ("330302", "浙江省温州市鹿城区"), ("330381", "浙江省瑞安市"), ("330402", "浙江省嘉兴市南湖区"),
    ("330483", "浙江省桐乡市"), ("330502", "浙江省湖州市吴兴区"), ("330602", "浙江省绍兴市越城区"), ("330681", "浙江省诸暨市"),
    ("330702", "浙江省金华市婺城区"), ("330782", "浙江省义乌市"), ("331002", "浙江省台州市椒江区"), ("331082", "浙江省临海市"),
    ("310104", "上海市徐汇区"), ("310115", "上海市浦东新区"), ("320102", "江苏省南京市玄武区"), ("320583", "江苏省昆山市"),
    ("340104", "安徽省合肥市蜀山区"), ("350102", "福建省福州市鼓楼区"), ("350203", "福建省厦门市思明区"), ("360102", "江西省南昌市东湖区"),
    ("370202", "山东省青岛市市南区"), ("410102", "河南省郑州市中原区"), ("420102", "湖北省武汉市江岸区"), ("430102", "湖南省长沙市芙蓉区"),
    ("440305", "广东省深圳市南山区"), ("500103", "重庆市渝中区"), ("510107", "四川省成都市武侯区"), ("610102", "陕西省西安市新城区"),
    ("110105", "北京市朝阳区"), ("230102", "黑龙江省哈尔滨市道里区"), ("530102", "云南省昆明市五华区"), ("120101", "天津市和平区"))
ROADS = ("人民路", "解放路", "建设路", "中山路", "文化路", "新华街", "滨江大道", "学院路", "工业路", "长江路", "迎宾大道", "和平街")
TRADES = ("商贸", "建材", "纺织", "食品", "机械", "电子", "物流", "服饰", "五金", "农业科技", "餐饮管理", "装饰工程")
BRANDS = ("宏达", "瑞丰", "鑫源", "恒泰", "金桥", "万顺", "永盛", "天和", "华美", "创新", "顺达", "润泽", "嘉禾", "中联", "东升", "远航")
MOBILE_PREFIXES = ("130", "131", "135", "136", "137", "138", "139", "150", "151", "158", "159", "176", "180", "186", "188", "189")
# bank, first digits of a debit card, length
CARDS = (("ICBC", "622202", 19), ("ABC", "622848", 19), ("BOC", "621661", 19), ("CCB", "621700", 19), ("BCM", "622260", 19),
         ("PSBC", "621098", 19), ("CMB", "621483", 16), ("RCC", "621058", 19))
RESERVED_CARD_ENDINGS = frozenset({"9993", "9995", "9997"})   # the sandbox gateway answers these in its own way
RESERVED_MOBILE_ENDINGS = frozenset({"0000", "0001"})         # the sandbox bureau does


@dataclass(frozen=True)
class Customer:
    """``values`` as the customer form takes them."""

    values: dict[str, object]
    name: str


@dataclass(frozen=True)
class Card:
    bank: str
    number: str


def personal(rng: Random, kind: str, today: date, *, mobile_ending: str = "", id_no: str = "") -> Customer:
    """A natural person of 22 to 60 years: ``personal``, ``sole`` or ``farmer``."""
    area, place = rng.choice(AREAS)
    man = rng.random() < 0.56
    id_no = id_no or id_card(rng, area, birthday(rng, today), man)
    man = int(id_no[16]) % 2 == 1
    name = rng.choice(SURNAMES) + rng.choice(GIVEN_MALE if man else GIVEN_FEMALE)
    income = Decimal(rng.randrange(40, 400) * 100)
    values = {
        "name": name, "customer_type": kind, "id_no": id_no, "mobile": mobile(rng, mobile_ending),
        "birthday": date(int(id_no[6:10]), int(id_no[10:12]), int(id_no[12:14])), "gender": "male" if man else "female",
        "marital_status": rng.choices(("married", "single", "divorced", "widowed"), (60, 28, 10, 2))[0],
        "education": rng.choices(("primary", "middle", "high", "college", "bachelor", "master"), (6, 24, 30, 22, 16, 2))[0],
        "occupation": {"farmer": "farmer", "sole": "self_employed"}.get(kind) or rng.choices(
            ("employee", "professional", "civil_servant", "freelance", "self_employed"), (55, 18, 6, 9, 12))[0],
        "region": area, "address": f"{place}{rng.choice(ROADS)}{rng.randrange(1, 400)}号{rng.randrange(1, 30)}栋{rng.randrange(101, 2604)}室",
        "employer": "" if kind == "farmer" else firm_name(rng, place), "monthly_income": income,
        "family_debt": income * rng.randrange(0, 20), "source_channel": rng.choices(("counter", "wechat_mp", "h5", "partner_api"), (55, 25, 12, 8))[0],
        "contacts": [{"name": rng.choice(SURNAMES) + rng.choice(GIVEN_MALE + GIVEN_FEMALE), "relation": rng.choice(("spouse", "parent", "sibling", "friend")),
                      "mobile": mobile(rng)}],
    }
    return Customer({key: value for key, value in values.items() if value != ""}, name)


def corporate(rng: Random) -> Customer:
    """A small firm."""
    area, place = rng.choice(AREAS)
    name = firm_name(rng, place)
    values = {
        "name": name, "customer_type": "corporate", "credit_code": credit_code(rng, area), "mobile": mobile(rng),
        "legal_rep": rng.choice(SURNAMES) + rng.choice(GIVEN_MALE + GIVEN_FEMALE), "region": area,
        "address": f"{place}{rng.choice(ROADS)}{rng.randrange(1, 400)}号", "source_channel": "counter",
    }
    return Customer(values, name)


def firm_name(rng: Random, place: str) -> str:
    city = place.replace("省", " ").replace("市", " ").split()[-2 if place.count("市") and "区" in place else -1]
    return f"{city}{rng.choice(BRANDS)}{rng.choice(SURNAMES)}氏{rng.choice(TRADES)}有限公司"


def birthday(rng: Random, today: date) -> date:
    return today - timedelta(days=rng.randrange(23 * 366, 60 * 365))


def id_card(rng: Random, area: str, born: date, man: bool) -> str:
    order = rng.randrange(1, 499) * 2 + (1 if man else 0)
    first = f"{area}{born:%Y%m%d}{order:03d}"
    return first + id_card_check_digit(first)


def mobile(rng: Random, ending: str = "") -> str:
    """A mainland number; without ``ending`` none that the sandbox bureau knows."""
    while not ending:
        drawn = f"{rng.randrange(10000):04d}"
        ending = "" if drawn in RESERVED_MOBILE_ENDINGS else drawn
    return f"{rng.choice(MOBILE_PREFIXES)}{rng.randrange(10000):04d}{ending}"


def card(rng: Random, ending: str = "") -> Card:
    """A debit card with a right Luhn digit; ``ending``: its last four digits."""
    bank, prefix, length = rng.choice(CARDS)
    while True:
        body = prefix + "".join(str(rng.randrange(10)) for _ in range(length - len(prefix) - 1))
        if ending:
            number = _with_ending(body + "0", ending)
            return Card(bank, number)
        number = body + luhn_digit(body)
        if number[-4:] not in RESERVED_CARD_ENDINGS:
            return Card(bank, number)


def _with_ending(number: str, ending: str) -> str:
    """The number with these last digits, one digit before them chosen so that it checks."""
    head, tail = number[:-len(ending)], ending
    for digit in "0123456789":
        whole = head[:-1] + digit + tail
        if luhn_digit(whole[:-1]) == whole[-1]:
            return whole
    raise AssertionError("one of ten digits fits")


def luhn_digit(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def credit_code(rng: Random, area: str) -> str:
    body = "91" + area + "".join(rng.choice(_USCC) for _ in range(9))
    return body + _USCC[(31 - sum(_USCC.index(c) * pow(3, i, 31) for i, c in enumerate(body)) % 31) % 31]
