"""The text of a chain as it is written, another one in its place, and every finding at its line."""

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotFound
from metaloom.command import simulate_chain
from metaloom.command.draft_chain import DraftRefused, chain_text, draft_from_text
from tests.command.guild import REQUEST, ROOT

BANDS = f"{REQUEST}/bands"


def test_the_text_stands_where_it_says(guild):
    lines = (ROOT / "tests/packs/guild/house/request/approval.yaml").read_text(encoding="utf-8").splitlines()
    for chain in guild.tenant.revision().catalog.chains.values():
        found = chain_text(guild.ctx("admin"), chain.address)
        if chain.entity == REQUEST:
            assert found.file.endswith("house/request/approval.yaml") and lines[found.line - 1] == f"  {chain.name}:"
            assert found.editable and found.layer == "pack" and not found.changed_by
        text = found.text.splitlines()
        assert text[0] == f"{chain.name}:" and not any(line and not line.startswith(" ") for line in text[1:])


def test_the_same_text_compiles_to_the_same_chain(guild):
    catalog, admin = guild.tenant.revision().catalog, guild.ctx("admin")
    for name in ("main", "bands", "copied"):                     # the first of the file, one in between, the last
        address = f"{REQUEST}/{name}"
        assert draft_from_text(admin, address, chain_text(admin, address).text).chains == catalog.chains


def test_findings_stand_at_the_lines_of_the_draft(guild):
    admin = guild.ctx("admin")
    text = "# tried on Monday\n" + chain_text(admin, BANDS).text.replace("amount <= 100", "amout <= 100").replace("role: judge", "role: jugde")
    with pytest.raises(DraftRefused) as refused:
        draft_from_text(admin, BANDS, text)
    lines = text.splitlines()
    told = {(f.line, f.code) for f in refused.value.findings}
    assert told == {(next(n for n, line in enumerate(lines, 1) if "amout" in line), "ML-EXPR-002"),
                    (next(n for n, line in enumerate(lines, 1) if "jugde" in line), "ML-REF-001")}
    assert "did you mean" in refused.value.findings[0].hint.en and "是否想写" in refused.value.findings[0].hint.zh


def test_what_breaks_elsewhere_says_where(guild):
    admin = guild.ctx("admin")
    with pytest.raises(DraftRefused) as refused:      # an output that the results of the chain speak of
        draft_from_text(admin, f"{REQUEST}/main", chain_text(admin, f"{REQUEST}/main").text.replace("granted: {type", "given: {type"))
    assert all(f.line or f.place for f in refused.value.findings)


@pytest.mark.parametrize("text", [
    "", "bands", "other:\n  steps: {}", "bands: {", "- bands:", "bands:\n\tsteps: x", "\x00bands:", "bands:\n  steps: {}\nmore: 1"])
def test_what_is_no_chain_is_refused_in_words(guild, text):
    with pytest.raises(Invalid):
        draft_from_text(guild.ctx("admin"), BANDS, text)


def test_a_chain_of_a_new_name_is_added_to_its_entity(guild):
    admin = guild.ctx("admin")
    text = ("fresh:\n  label: {zh: 新, en: New}\n  subject: {zh: \"{name}\", en: \"{name}\"}\n"
            "  steps:\n    one: {label: {zh: 一, en: One}, who: [{role: master}]}\n")
    guild.request()
    catalog = draft_from_text(admin, f"{REQUEST}/fresh", text)
    assert set(catalog.chains) - set(guild.tenant.revision().catalog.chains) == {f"{REQUEST}/fresh"}
    found = simulate_chain(guild.system, f"{REQUEST}/fresh", draft=catalog, limit=2)
    assert found.tried and all([a.step for a in one.outcome.asked] == ["one"] for one in found.tried)
    with pytest.raises(DraftRefused) as refused:
        draft_from_text(admin, f"{REQUEST}/fresh", text.replace("role: master", "role: mister"))
    assert [f.line for f in refused.value.findings] == [5]
    with pytest.raises(NotFound):
        draft_from_text(admin, "guild.none/fresh", text)


def test_only_administrators_read_and_try_texts(guild):
    for ask in (lambda ctx: chain_text(ctx, BANDS), lambda ctx: draft_from_text(ctx, BANDS, "bands: {}")):
        with pytest.raises(NotAllowed):
            ask(guild.ctx("clerk"))
