// Lists: totals, selection, row menus, page size.
(function () {
  "use strict";
  var ml = window.metaloom || {}, queue = [];
  function go() {
    ml = window.metaloom; var $ = ml.$, $$ = ml.$$;
    function totals(root) {
      $$("[data-totals]", root).forEach(function (foot) {
        var to = foot.dataset.totals; foot.removeAttribute("data-totals");
        fetch(to, { headers: { Accept: "application/json" } }).then(function (r) { return r.ok ? r.json() : {}; }).then(function (sums) {
          $$("[data-total]", foot).forEach(function (td) { td.textContent = sums[td.dataset.total] === undefined ? "-" : sums[td.dataset.total]; });
        }).catch(function () { $$("[data-total]", foot).forEach(function (td) { td.textContent = "-"; }); });
      });
    }
    function picked() { return $$("[data-pick]:checked").map(function (b) { return b.value; }); }
    function selection() {
      var n = picked().length, info = $("#selinfo");
      $$("[data-bulk], [data-needs-pick]").forEach(function (b) { b.disabled = !n; });
      $$("tr").forEach(function (tr) { var p = $("[data-pick]", tr); if (p) tr.classList.toggle("sel", p.checked); });
      if (info) info.textContent = n ? ml.say("js.selected").replace("{count}", n) : "";
      var all = $("[data-all]"); if (all) { var total = $$("[data-pick]").length; all.checked = n > 0 && n === total; all.indeterminate = n > 0 && n < total; }
    }
    document.addEventListener("change", function (e) {
      if (e.target.matches("[data-all]")) { $$("[data-pick]").forEach(function (b) { b.checked = e.target.checked; }); selection(); }
      else if (e.target.matches("[data-pick]")) selection();
      else if (e.target.closest("[data-size]")) {
        var f = e.target.form, q = new URLSearchParams(new FormData(f)).toString(), to = f.action + "?" + q;
        htmx.ajax("GET", to, { target: "#listzone", swap: "innerHTML" }); history.replaceState(history.state, "", to);
      }
    });
    document.addEventListener("click", function (e) {
      var b = e.target.closest("[data-bulk]");
      if (b && !b.disabled) {
        if (!confirm(b.dataset.confirm.replace("{count}", picked().length))) return;
        htmx.ajax("POST", b.dataset.bulk, { target: "#dialog", values: { ids: picked() } }); return;
      }
      if ((b = e.target.closest("[data-reload]"))) { location.reload(); return; }
      if ((b = e.target.closest("[data-row-menu]"))) { e.stopPropagation(); rowMenu(b); }
    });
    function rowMenu(b) {
      var pop = $("#rowmenu"); pop.textContent = ml.say("loading"); pop.hidden = false; place(pop, b);
      htmx.ajax("GET", b.dataset.rowMenu, { target: "#rowmenu", swap: "innerHTML" }).then(function () { place(pop, b); var f = $("a,button", pop); if (f) f.focus({ preventScroll: true }); });
    }
    function place(pop, b) {
      var r = b.getBoundingClientRect(); pop.style.position = "fixed"; pop.style.right = "auto";
      pop.style.left = Math.max(8, Math.min(r.right - pop.offsetWidth, innerWidth - pop.offsetWidth - 8)) + "px";
      pop.style.top = (r.bottom + pop.offsetHeight + 8 > innerHeight ? Math.max(8, r.top - pop.offsetHeight - 4) : r.bottom + 4) + "px";
    }
    // The address keeps only what was filled in; tabs and the export follow the search.
    document.addEventListener("htmx:configRequest", function (e) {
      if (!e.target.matches || !e.target.matches("[data-search]")) return;
      var p = e.detail.parameters; Array.from(new Set(p.keys ? Array.from(p.keys()) : Object.keys(p))).forEach(function (k) { var v = p.getAll ? p.getAll(k).join("") : p[k]; if (v === "" || (Array.isArray(v) && !v.join(""))) { if (p.delete) p.delete(k); else delete p[k]; } });
    });
    document.addEventListener("htmx:pushedIntoHistory", follow);
    function follow() {
      var q = new URLSearchParams(location.search); q.delete("cursor");
      $$("[data-export]").forEach(function (a) { var x = new URLSearchParams(q); x.set("format", a.dataset.export); a.href = a.href.split("?")[0] + "?" + x; });
      $$(".listtabs a").forEach(function (a) { var t = new URL(a.href).searchParams.get("tab"), x = new URLSearchParams(q); if (t) x.set("tab", t); else x.delete("tab"); a.href = a.href.split("?")[0] + "?" + x; });
    }
    ml.ready.push(function (root) { totals(root); selection(); });
    totals(document); selection();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go); else go();
})();
