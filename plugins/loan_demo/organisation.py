"""Three companies, nine departments, thirty-four people with all roles of the domain specification §3 (two more come with the stage)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from metaloom.plugin.demo_data import Stage


@dataclass(frozen=True)
class Team:
    """Who does what in one company."""

    company: int
    officers: tuple[str, ...]
    manager: str
    check: str
    review: str
    approver: str
    committee: tuple[str, ...]
    finance: str
    finance_check: str

    def signers(self, amount: Decimal) -> tuple[str, ...]:
        """Who signs for an amount, in order: the bands of metadata/lending/credit_centre/credit_application/approval.yaml. Above a
        million one member of the committee is against, and the vote passes all the same."""
        if amount <= 50_000:
            return (self.manager,)
        return (self.review, *(() if amount <= 200_000 else (self.approver,) if amount <= 1_000_000 else self.committee))


COMPANIES = (
    ("YF01", {"name": "杭州云帆小额贷款有限公司", "short_name": "杭州云帆", "phone": "0571-88001001", "address": "浙江省杭州市西湖区文三路100号"}),
    ("YF02", {"name": "宁波云帆小额贷款有限公司", "short_name": "宁波云帆", "phone": "0574-88002002", "address": "浙江省宁波市海曙区中山西路66号"}),
    ("YF03", {"name": "绍兴云帆小额贷款有限公司", "short_name": "绍兴云帆", "phone": "0575-88003003", "address": "浙江省绍兴市越城区解放北路28号"}),
)
UNITS = (
    ("YF0100", "YF01", "", "公司本部"), ("YF0110", "YF01", "YF0100", "信贷业务部"), ("YF0120", "YF01", "YF0100", "风险财务部"),
    ("YF0130", "YF01", "YF0100", "设备维修部"), ("YF0200", "YF02", "", "公司本部"), ("YF0210", "YF02", "YF0200", "信贷业务部"),
    ("YF0220", "YF02", "YF0200", "风险财务部"), ("YF0300", "YF03", "", "公司本部"), ("YF0310", "YF03", "YF0300", "信贷业务部"),
)
# login, name, role, department; the company is that of the department
STAFF = (
    ("exec01", "顾明远", "exec", "YF0100"), ("manager01", "沈国栋", "branch_mgr", "YF0110"), ("officer01", "陈思远", "officer", "YF0110"),
    ("officer02", "林晓燕", "officer", "YF0110"), ("check01", "周文静", "risk_check", "YF0120"), ("review01", "吴建国", "risk_review", "YF0120"),
    ("finance01", "孙丽华", "fin_maker", "YF0120"), ("fincheck01", "钱永康", "fin_check", "YF0120"),
    ("service01", "赵婷", "service", "YF0110"), ("product01", "许浩然", "product", "YF0100"), ("rule01", "韩雪", "rule", "YF0120"),
    ("manager02", "方振华", "branch_mgr", "YF0210"), ("officer03", "董佳怡", "officer", "YF0210"), ("officer04", "程俊杰", "officer", "YF0210"),
    ("check02", "魏敏", "risk_check", "YF0220"), ("review02", "蒋志强", "risk_review", "YF0220"), ("finance02", "叶春梅", "fin_maker", "YF0220"),
    ("fincheck02", "丁磊", "fin_check", "YF0220"), ("collector01", "范勇", "collector", "YF0210"), ("collmgr01", "石磊", "coll_mgr", "YF0210"),
    ("officer05", "姚欣怡", "officer", "YF0310"), ("check03", "汪洁", "risk_check", "YF0300"), ("review03", "潘立新", "risk_review", "YF0300"),
    ("finance03", "崔凤英", "fin_maker", "YF0300"), ("fincheck03", "陆超", "fin_check", "YF0300"), ("marketing01", "白可欣", "marketing", "YF0100"),
    ("agency01", "江涛", "agency", "YF0310"), ("manager03", "俞静怡", "branch_mgr", "YF0300"),
)
# The group decides large amounts for all companies: login, name, role, department
GROUP = (
    ("approve01", "郑海波", "approver", "YF0100"), ("committee01", "傅正清", "credit_committee", "YF0100"),
    ("committee02", "贺兰芝", "credit_committee", "YF0200"), ("committee03", "严伯钧", "credit_committee", "YF0300"),
)


def set_up(stage: Stage) -> dict[str, Team]:
    """The teams by company code."""
    companies = {code: stage.company(code, values) for code, values in COMPANIES}
    units: dict[str, int] = {}
    for code, company, parent, name in UNITS:
        values = {"name": name, "company": companies[company]}
        units[code] = stage.org_unit(code, {**values, "parent": units[parent]} if parent else values)
    for number, (login, name, role, unit) in enumerate(STAFF, start=1):
        stage.user(login, name, (f"lending.{role}",), companies[unit[:4]], units[unit], staff_no=f"YF{number:04d}")
    for number, (login, name, role, unit) in enumerate(GROUP, start=len(STAFF) + 1):
        stage.user(login, name, (), companies[unit[:4]], units[unit], staff_no=f"YF{number:04d}")
        for company in companies.values():
            stage.role(login, f"lending.{role}", company)
    for code, company in companies.items():
        if code != "YF01":
            stage.role("exec01", "lending.exec", company)    # decides write-offs above a million for the whole group
    return {code: _team(code, companies[code]) for code, _ in COMPANIES}


def _team(code: str, company: int) -> Team:
    def of(role: str) -> tuple[str, ...]:
        return tuple(login for login, _, held, unit in STAFF if held == role and unit.startswith(code))

    (manager,), (check,), (review,), (finance,), (second,) = map(of, ("branch_mgr", "risk_check", "risk_review", "fin_maker", "fin_check"))
    committee = tuple(login for login, _, role, _ in GROUP if role == "credit_committee")
    return Team(company, of("officer"), manager, check, review, GROUP[0][0], committee, finance, second)
