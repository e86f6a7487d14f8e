"""Twenty products, each with a released version; two of them with a second version, one taken off sale."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from metaloom.plugin.demo_data import Stage

ESIGN = ("XFD", "XWD")
"""Products whose contracts are signed electronically before the payout."""
PRODUCT, VERSION = "lending.loan_product", "lending.loan_product_version"
LEVEL, PRINCIPAL, INTEREST, BULLET = "EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "BULLET"


SOURCES = (("HMD", "第三方黑名单", "blacklist", "0.30", 0), ("ZX", "央行征信", "bureau", "5.00", 30), ("SB", "社保记录", "social_security", "2.00", 90),
           ("YYS", "运营商核验", "carrier", "0.80", 30), ("SYS", "三要素核验", "kyc3", "0.50", 90), ("SIYS", "四要素核验", "kyc4", "0.80", 90))
"""Code, name, kind, price, days that an answer holds."""


@dataclass(frozen=True)
class Product:
    """``amount`` in thousands of yuan, ``rate`` in percent a year."""

    code: str
    name: str
    customer_type: str
    methods: tuple[str, ...]
    amount: tuple[int, int]
    term: tuple[int, int]
    rate: tuple[str, str]
    day_count: str = "30/360"
    due_day: int | None = None
    prepay: str = "both"
    fee: str = "0"
    mode: str = "revolving"
    guarantee: tuple[str, ...] = ("credit",)
    id: int = 0
    more: dict[str, object] = field(default_factory=dict)

    @property
    def amounts(self) -> tuple[Decimal, Decimal]:
        return Decimal(self.amount[0] * 1000), Decimal(self.amount[1] * 1000)

    @property
    def rates(self) -> tuple[Decimal, Decimal]:
        return Decimal(self.rate[0]) / 100, Decimal(self.rate[1]) / 100


PRODUCTS = (
    Product("XFD", "信用消费贷", "personal", (LEVEL, PRINCIPAL), (3, 200), (3, 24), ("12", "18")),
    Product("YQD", "员工普惠贷", "personal", (LEVEL,), (5, 300), (6, 36), ("9.6", "15")),
    Product("ZXD", "家庭装修贷", "personal", (LEVEL, PRINCIPAL), (10, 300), (6, 36), ("10.8", "16"), fee="1"),
    Product("JYD", "教育培训贷", "personal", (LEVEL,), (3, 100), (3, 24), ("9", "13.5")),
    Product("GSD", "工薪循环贷", "personal", (INTEREST, LEVEL), (5, 200), (1, 12), ("12", "18")),
    Product("YJD", "医疗应急贷", "personal", (LEVEL, BULLET), (2, 80), (1, 12), ("8.4", "12")),
    Product("GTD", "个体经营贷", "sole", (LEVEL, INTEREST), (10, 500), (3, 24), ("12", "18"), fee="1"),
    Product("SHD", "商户周转贷", "sole", (INTEREST, BULLET), (10, 300), (1, 12), ("13.2", "20"), day_count="ACT/360"),
    Product("TWD", "摊位流水贷", "sole", (LEVEL,), (3, 100), (3, 12), ("14.4", "21")),
    Product("CYD", "创业扶持贷", "sole", (LEVEL, PRINCIPAL), (10, 200), (6, 24), ("8.4", "12")),
    Product("NHD", "农户种养贷", "farmer", (INTEREST, BULLET), (5, 200), (3, 12), ("7.2", "12"), day_count="ACT/360"),
    Product("NJD", "农机购置贷", "farmer", (LEVEL, PRINCIPAL), (10, 300), (6, 36), ("7.2", "10.8"), guarantee=("credit", "guarantee")),
    Product("CSD", "春耕备耕贷", "farmer", (BULLET,), (3, 100), (3, 9), ("6.6", "9.6"), mode="one_off"),
    Product("XWD", "小微企业贷", "corporate", (INTEREST, LEVEL), (50, 3000), (3, 24), ("10.8", "16.8"), fee="1", guarantee=("guarantee", "mortgage")),
    Product("DDD", "订单融资贷", "corporate", (BULLET, INTEREST), (50, 800), (1, 12), ("9.6", "15"), day_count="ACT/365", mode="one_off"),
    Product("SBD", "设备更新贷", "corporate", (LEVEL, PRINCIPAL), (50, 2000), (6, 36), ("9", "13.5"), guarantee=("mortgage", "pledge")),
    Product("KJD", "科技成长贷", "corporate", (LEVEL, INTEREST), (50, 800), (6, 24), ("8.4", "12.6")),
    Product("YXD", "优享月末贷", "personal", (LEVEL,), (5, 150), (6, 24), ("11.4", "16"), due_day=20),
    Product("DYD", "房产抵押贷", "personal", (INTEREST, LEVEL), (100, 1000), (6, 36), ("8.4", "12"), guarantee=("mortgage",), prepay="full", fee="1"),
    Product("LSD", "临时周转贷", "personal", (BULLET,), (2, 50), (1, 6), ("15", "21"), mode="one_off", prepay="no"),
)


def set_up(stage: Stage) -> tuple[Product, ...]:
    """The data sources, and the products, on sale, with their ids."""
    for code, name, kind, price, days in SOURCES:
        stage.as_user("rule01").create(f"source:{code}", "lending.data_source", {
            "source_code": code, "source_name": name, "kind": kind, "provider": "sandbox", "price": Decimal(price), "reuse_days": days})
    return tuple(_one(stage, product) for product in PRODUCTS)


def _one(stage: Stage, product: Product) -> Product:
    maker, approver = stage.as_user("product01"), stage.as_user("approve01")
    made = maker.create(f"product:{product.code}", PRODUCT, {
        "product_code": product.code, "name": product.name, "customer_type": product.customer_type,
        "description": f"{product.name}：面向本地客户的小额贷款产品。"})
    version = maker.create(f"version:{product.code}:1", VERSION, _version(product, made, 1))
    _publish(stage, f"version:{product.code}:1", version)
    approver.do(f"product:{product.code}:release", PRODUCT, made, "release")
    return Product(**{**{name: getattr(product, name) for name in product.__dataclass_fields__}, "id": made})


def next_version(stage: Stage, product: Product, number: int) -> None:
    """A dearer version replaces the one on sale; nothing of a signed loan changes."""
    maker = stage.as_user("product01")
    values = _version(product, product.id, number)
    version = maker.create(f"version:{product.code}:{number}", VERSION, {**values, "amount_max": product.amounts[1] + 100000,
                                                                         "version_name": f"{product.name} 第{number}版（提额）"})
    _publish(stage, f"version:{product.code}:{number}", version)


def _publish(stage: Stage, key: str, version: int) -> None:
    """Handed in, checked and reviewed by three people."""
    stage.as_user("product01").do(f"{key}:submit", VERSION, version, "submit")
    stage.as_user("check01").decide(f"{key}:check", VERSION, version, "pass", "参数符合监管要求。")
    stage.as_user("review01").decide(f"{key}:approve", VERSION, version, "pass", "同意启用。")


def draft_version(stage: Stage, product: Product, number: int, *, submit: bool) -> None:
    """A version that is still being written, or waits for risk."""
    maker = stage.as_user("product01")
    version = maker.create(f"version:{product.code}:{number}", VERSION, _version(product, product.id, number))
    if submit:
        maker.do(f"version:{product.code}:{number}:submit", VERSION, version, "submit")


def _version(product: Product, product_id: int, number: int) -> dict[str, object]:
    values: dict[str, object] = {
        "product": product_id, "version_no": number, "version_name": f"{product.name} 第{number}版",
        "guarantee_modes": list(product.guarantee), "amount_min": product.amounts[0], "amount_max": product.amounts[1],
        "term_min": product.term[0], "term_max": product.term[1], "repay_methods": list(product.methods),
        "annual_rate_min": product.rates[0], "annual_rate_max": product.rates[1], "day_count": product.day_count,
        "due_day_rule": "fixed" if product.due_day else "same_day", "grace_days": 3, "penalty_uplift": Decimal("0.5"),
        "prepay_allowed": product.prepay, "prepay_fee_rate": Decimal(product.fee) / 100, "limit_mode": product.mode,
        "contract_mode": "esign" if product.code in ESIGN else "none", "limit_valid_months": 24 if product.mode == "revolving" else 12,
    }
    return {**values, "fixed_due_day": product.due_day} if product.due_day else values
