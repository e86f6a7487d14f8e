// Pages of chains: which text is tried, line numbers beside it, the way to a finding, and what a mode asks for.
(function () {
  "use strict";
  function $(s, el) { return (el || document).querySelector(s); }
  function $$(s, el) { return Array.prototype.slice.call((el || document).querySelectorAll(s)); }
  function number(area) {
    var box = $("#" + area.dataset.lines), lines = area.value.split("\n").length, text = "";
    for (var n = 1; n <= lines; n++) text += n + "\n";
    if (box) { box.textContent = text; box.scrollTop = area.scrollTop; }
  }
  function choose() { var picked = $("[name=source]:checked"), field = $("#draftfield"); if (picked && field) { field.hidden = picked.value !== "text"; if (!field.hidden) $$("textarea", field).forEach(number); } }
  function mode(form) { var picked = $("[data-mode]:checked", form); $$("[data-for-mode]", form).forEach(function (e) { e.hidden = !picked || e.dataset.forMode !== picked.value; }); }
  function goTo(line) {
    var area = $("#draft"), lines = area.value.split("\n"), from = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.focus(); area.setSelectionRange(from, from + (lines[line - 1] || "").length);
    area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(area).lineHeight)); number(area);
  }
  $$("textarea[data-lines]").forEach(function (area) {
    number(area); area.addEventListener("input", function () { number(area); });
    area.addEventListener("scroll", function () { $("#" + area.dataset.lines).scrollTop = area.scrollTop; });
    area.addEventListener("keydown", function (e) { if (e.key === "Tab" && !e.shiftKey && !e.ctrlKey) { e.preventDefault(); area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end"); number(area); } });
  });
  choose(); $$("[data-changed]").forEach(mode);
  document.addEventListener("change", function (e) {
    if (e.target.name === "source") choose();
    if (e.target.matches("[data-mode]")) mode(e.target.form);
    if (e.target.dataset.allOf) $$("#" + e.target.dataset.allOf + " [name=cases]").forEach(function (b) { b.checked = e.target.checked; });
    var form = e.target.closest("[data-changed]"); if (form && e.target.name !== "reason") $(".outlook", form).textContent = "";
  });
  document.addEventListener("click", function (e) { var b = e.target.closest("[data-goto-line]"); if (b) goTo(Number(b.dataset.gotoLine)); });
})();
