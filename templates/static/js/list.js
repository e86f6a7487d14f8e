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
      $$(".panel > .tools").forEach(function (bar) { bar.classList.toggle("picking", n > 0); });
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
      if ((b = e.target.closest("button[data-many]")) && !b.disabled) { many(b); return; }
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
      $$("[data-export]").forEach(function (a) { var x = new URLSearchParams(q); x.set("format", a.dataset.export); a.action = a.action.split("?")[0] + "?" + x; });
      $$("[data-follow]").forEach(function (a) { a.href = a.href.split("?")[0] + (String(q) ? "?" + q : ""); });
      $$(".viewpick[data-remember] a").forEach(function (a) { var x = new URLSearchParams(q); x.set("view", a.dataset.view); a.href = a.href.split("?")[0] + "?" + x; });
      $$(".listtabs a").forEach(function (a) { var t = new URL(a.href).searchParams.get("tab"), x = new URLSearchParams(q); if (t) x.set("tab", t); else x.delete("tab"); a.href = a.href.split("?")[0] + "?" + x; });
    }
    // The way in which somebody last looked at a list is how it opens next time.
    document.addEventListener("click", function (e) {
      var a = e.target.closest(".viewpick[data-remember] a"); if (!a) return;
      var body = new URLSearchParams(); body.set("view", a.dataset.view);
      fetch(a.parentNode.dataset.remember, { method: "POST", body: body, keepalive: true, headers: { "X-CSRFToken": ml.token } });
    });
    // Many records at once have a page of their own: the chosen ones, or every one of the search that stands in the address.
    function many(b) {
      var q = new URLSearchParams(location.search), f = document.createElement("form"); q.delete("cursor"); f.method = "post"; f.action = b.dataset.many + (String(q) ? "?" + q : ""); f.hidden = true;
      var given = { csrf_token: ml.token }; if (b.hasAttribute("data-many-all")) given._all = "1"; else given.ids = picked().join(",");
      Object.keys(given).forEach(function (k) { var i = document.createElement("input"); i.name = k; i.value = given[k]; f.appendChild(i); });
      document.body.appendChild(f); f.submit();
    }
    // What was entered for many records shall be changed.
    document.addEventListener("change", function (e) {
      var row = e.target.closest(".manyrow"); if (row && !e.target.matches("[data-many]")) { var box = $("[data-many]", row); if (box) box.checked = true; }
      if (row) beyond();
    });
    // What the records do not leave to choose from is offered once the field that narrows it is to change, too.
    function beyond() {
      $$("[data-narrowed-by]").forEach(function (row) {
        var select = $("select", row), open = row.dataset.narrowedBy.split(" ").some(function (name) { var box = $('[data-many="' + name + '"]'); return box && box.checked; });
        if (!select || row._open === open) return; row._open = open;
        $$("option", $("template", row).content).forEach(function (o) {
          if (select.tomselect) { if (open) select.tomselect.addOption({ value: o.value, text: o.textContent }); else select.tomselect.removeOption(o.value, true); return; }
          var shown = $$("option", select).find(function (s) { return s.value === o.value; });
          if (open && !shown) select.appendChild(o.cloneNode(true)); else if (!open && shown) shown.remove();
        });
      });
    }
    beyond();
    // What is drawn anew are the rows that the address names now, not those of the search with which the page was opened.
    document.addEventListener("htmx:configRequest", function (e) { if (e.target.matches && e.target.matches("[data-refresh]")) e.detail.path = location.pathname + location.search; });
    // Actions on several records stand side by side where they fit into one line, else, and on a phone, in a menu.
    function fold() {
      var set = $(".bulkset"), menu = $("#bulkmenu"), info = $("#selinfo"), end = $(".listtools .toolend"); if (!set || !menu || !end) return;
      var holder = menu.parentNode, words = info.textContent, first = set.parentNode.firstElementChild;
      function stand(box, css) { $$(".bulkset [data-bulk], #bulkmenu [data-bulk]").forEach(function (b) { b.className = css; box.appendChild(b); }); }
      stand(set, "btn"); holder.hidden = true; info.textContent = ml.say("js.selected").replace("{count}", "100"); // room for what a choice of rows will say
      var several = $$("[data-bulk]", set).length > 1;
      if (innerWidth <= 900 || several && end.getBoundingClientRect().top >= first.getBoundingClientRect().bottom) { stand(menu, "item"); holder.hidden = false; }
      info.textContent = words;
    }
    var folding = 0; window.addEventListener("resize", function () { cancelAnimationFrame(folding); folding = requestAnimationFrame(fold); });
    fold(); if (document.fonts && document.fonts.ready) document.fonts.ready.then(fold);
    // The roles of a kept search are asked only where it is shared with roles.
    function sharing() { var who = $("#saved-shared"), roles = $("#saved-roles"); if (who && roles) roles.closest(".field").hidden = who.value !== "roles"; }
    document.addEventListener("change", function (e) { if (e.target.id === "saved-shared") sharing(); });
    document.addEventListener("htmx:afterSwap", function (e) { if (e.detail.target.id === "dialog") sharing(); });
    // What is kept of a list is its address as it stands now, which the search changes without drawing the page anew.
    // a search keeps order, chart and span as they stand in the address, which the table may have changed since the form was drawn
    document.addEventListener("htmx:configRequest", function (e) {
      if (e.target.id !== "search") return;
      var now = new URLSearchParams(location.search);
      ["sort", "by", "of", "as", "unit", "span", "at"].forEach(function (k) { var p = e.detail.parameters, v = now.get(k); if (v && p.set) p.set(k, v); else if (v) p[k] = v; else if (p.delete) p.delete(k); else delete p[k]; });
    });
    document.addEventListener("htmx:afterSwap", function (e) { if (e.detail.target.id === "dialog") $$("[data-here-query] [name=query]").forEach(function (i) { i.value = location.search; }); });
    document.addEventListener("submit", function (e) {
      if (!e.target.matches("[data-next-here]")) return;
      var q = new URLSearchParams(location.search); q.delete("cols"); q.delete("cursor"); e.target.elements.next.value = location.pathname + (String(q) ? "?" + q : "");
    });
    // Columns change places by dragging, or with Alt and the arrow keys.
    var dragged = null;
    document.addEventListener("dragstart", function (e) { dragged = e.target.closest && e.target.closest("[data-sortable] > .item"); });
    document.addEventListener("dragover", function (e) {
      var over = dragged && e.target.closest && e.target.closest("[data-sortable] > .item"); if (!over || over === dragged) return;
      e.preventDefault(); var r = over.getBoundingClientRect(); over.parentNode.insertBefore(dragged, e.clientY > r.top + r.height / 2 ? over.nextSibling : over);
    });
    document.addEventListener("dragend", function () { dragged = null; });
    document.addEventListener("keydown", function (e) {
      var item = e.altKey && e.target.closest && e.target.closest("[data-sortable] > .item"); if (!item) return;
      var to = e.key === "ArrowUp" ? item.previousElementSibling : e.key === "ArrowDown" ? item.nextElementSibling : null; if (!to) return;
      e.preventDefault(); e.stopPropagation(); item.parentNode.insertBefore(item, e.key === "ArrowUp" ? to : to.nextSibling); e.target.focus();
    }, true);
    // The edge of a head draws its column wider or narrower; the width is kept for this person.
    document.addEventListener("pointerdown", function (e) {
      var grip = e.target.closest("[data-grip]"), zone = $("#listzone"); if (!grip || !zone) return;
      e.preventDefault();
      var th = grip.closest("th"), col = $$("col", th.closest("table"))[th.cellIndex], from = e.clientX, was = th.offsetWidth, width = was;
      function move(m) { width = Math.max(40, Math.min(800, was + m.clientX - from)); draw(th, col, width); }
      function stop() {
        document.removeEventListener("pointermove", move); document.removeEventListener("pointerup", stop);
        if (width === was) return;
        var body = new URLSearchParams(); body.set("widths", $$("col[data-path][width]", zone).map(function (c) { return c.dataset.path + ":" + c.getAttribute("width"); }).join(","));
        fetch(zone.dataset.widths, { method: "POST", body: body, headers: { "X-CSRFToken": ml.token } });
      }
      document.addEventListener("pointermove", move); document.addEventListener("pointerup", stop);
    });
    document.addEventListener("click", function (e) { if (e.target.closest("[data-grip]")) { e.preventDefault(); e.stopPropagation(); } }, true);
    function draw(th, col, width) {
      col.setAttribute("width", width); th.classList.add("set-w");
      $$("tr", th.closest("table")).forEach(function (tr) { var c = tr.cells[th.cellIndex]; if (c && c.colSpan === 1) { c.style.maxWidth = width + "px"; c.style.minWidth = width + "px"; } });
    }
    function widths(root) {
      $$("th.set-w", root).forEach(function (th) { var col = $$("col", th.closest("table"))[th.cellIndex], w = col && Number(col.getAttribute("width")); if (w) draw(th, col, w); });
    }
    ml.ready.push(widths); widths(document);
    ml.ready.push(function (root) { totals(root); selection(); });
    totals(document); selection();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go); else go();
})();
