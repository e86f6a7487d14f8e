// Comments: @ offers colleagues who read the record; Ctrl+Enter sends.
(function () {
  "use strict";
  function go() {
    var ml = window.metaloom, question = 0, timer;
    function boxOf(area) { return area.parentElement.querySelector(".pop"); }
    // What stands between the last @ and the caret, or null.
    function asked(area) { var m = /@([^\s@]{0,20})$/.exec(area.value.slice(0, area.selectionStart)); return m ? m[1] : null; }
    function close(area) { var box = boxOf(area); box.hidden = true; box.textContent = ""; area.removeAttribute("aria-activedescendant"); }
    function mark(area, to) {
      var items = ml.$$("button", boxOf(area)), at = items.findIndex(function (b) { return b.getAttribute("aria-selected") === "true"; });
      if (!items.length) return; at = (at + to + items.length) % items.length;
      items.forEach(function (b, i) { b.setAttribute("aria-selected", String(i === at)); b.classList.toggle("here", i === at); });
      area.setAttribute("aria-activedescendant", items[at].id); items[at].scrollIntoView({ block: "nearest" });
    }
    function pick(area, button) {
      var before = area.value.slice(0, area.selectionStart).replace(/@[^\s@]{0,20}$/, "@" + button.dataset.name + " "), after = area.value.slice(area.selectionStart);
      area.value = before + after; area.setSelectionRange(before.length, before.length);
      var kept = ml.el("input", { type: "hidden", name: "mention", value: button.dataset.id + ":" + button.dataset.name }); area.form.append(kept);
      close(area); area.focus();
    }
    function offer(area, text) {
      var mine = ++question, to = new URL(area.form.dataset.people, location.origin); to.searchParams.set("q", text);
      fetch(to, { headers: { Accept: "application/json" } }).then(function (r) { return r.ok ? r.json() : { items: [] }; }).then(function (found) {
        if (mine !== question || asked(area) === null) return;
        var box = boxOf(area); box.textContent = "";
        found.items.forEach(function (one, i) {
          var b = ml.el("button", { type: "button", "class": "item", role: "option", id: "mention-" + i, "data-id": one.id, "data-name": one.title, "aria-selected": "false" });
          b.append(ml.el("span", {}, one.title), ml.el("span", { "class": "sub" }, one.subtitle || "")); box.append(b);
        });
        if (!found.items.length) box.append(ml.el("div", { "class": "head" }, ml.say("no_results")));
        box.hidden = false; mark(area, 1);
      }).catch(function () { close(area); });
    }
    document.addEventListener("input", function (e) {
      var area = e.target; if (!area.matches || !area.matches("[data-mentions]")) return;
      var text = asked(area); clearTimeout(timer);
      if (text === null) { close(area); return; }
      timer = setTimeout(function () { offer(area, text); }, 150);
    });
    document.addEventListener("keydown", function (e) {
      var area = e.target; if (!area.matches || !area.matches("[data-mentions]")) return;
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); area.form.requestSubmit(); return; }
      var box = boxOf(area); if (box.hidden) return;
      var here = ml.$("button[aria-selected=true]", box);
      if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); mark(area, e.key === "ArrowDown" ? 1 : -1); }
      else if ((e.key === "Enter" || e.key === "Tab") && here) { e.preventDefault(); pick(area, here); }
      else if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); close(area); }
    });
    document.addEventListener("mousedown", function (e) {
      var b = e.target.closest && e.target.closest(".saybox .pop button"); if (!b) return;
      e.preventDefault(); pick(b.closest(".saybox").querySelector("textarea"), b);
    });
    document.addEventListener("focusout", function (e) { if (e.target.matches && e.target.matches("[data-mentions]")) close(e.target); });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go); else go();
})();
