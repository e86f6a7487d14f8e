// The behaviour of every screen: small listeners on the document, found by data attributes. No inline code anywhere.
(function () {
  "use strict";
  var body = document.body, base = body.dataset.base || "", words = JSON.parse(body.dataset.words || "{}");
  var token = document.querySelector('meta[name="csrf-token"]').content;
  function $(s, el) { return (el || document).querySelector(s); }
  function $$(s, el) { return Array.prototype.slice.call((el || document).querySelectorAll(s)); }
  function say(key) { return words[key] || key; }
  function cookie(name, value) { document.cookie = name + "=" + value + ";path=" + (base || "/") + ";max-age=31536000;samesite=lax" + (location.protocol === "https:" ? ";secure" : ""); }
  function icon(name) { return '<svg class="icon" aria-hidden="true"><use href="' + body.dataset.icons + "#" + name + '"/></svg>'; }
  function el(tag, attrs, text) { var e = document.createElement(tag); Object.keys(attrs || {}).forEach(function (k) { e.setAttribute(k, attrs[k]); }); if (text !== undefined) e.textContent = text; return e; }
  var ml = window.metaloom = { $: $, $$: $$, say: say, icon: icon, el: el, base: base, token: token, ready: [], toast: toast };

  // ---- toasts
  function toast(text, kind) {
    var box = el("div", { "class": "toast-s " + (kind || ""), "data-toast": "" });
    box.append(el("span", { "class": "txt" }, text));
    var close = el("button", { type: "button", "data-close-toast": "", "aria-label": say("close") }); close.innerHTML = icon("x"); box.append(close);
    $("#toasts").append(box); fade(box);
  }
  function fade(box) { if (!box.classList.contains("bad")) setTimeout(function () { box.remove(); }, 6000); }
  $$("[data-toast]").forEach(fade);

  // ---- clicks
  document.addEventListener("click", function (e) {
    var t = e.target, hit;
    if ((hit = t.closest("[data-close-toast]"))) { hit.closest("[data-toast]").remove(); return; }
    if ((hit = t.closest("[data-theme-toggle]"))) {
      var dark = document.documentElement.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
      document.documentElement.setAttribute("data-bs-theme", dark); cookie("ml_theme", dark); return;
    }
    if (t.closest("[data-nav-mini]")) { cookie("ml_nav", body.classList.toggle("nav-mini") ? "mini" : "full"); return; }
    if (t.closest("[data-nav-open]")) { body.classList.add("nav-open"); return; }
    if (t.closest("[data-nav-close]")) { body.classList.remove("nav-open"); return; }
    if (body.classList.contains("nav-mini") && (hit = t.closest(".side summary"))) { cookie("ml_nav", "full"); body.classList.remove("nav-mini"); }
    if (t.closest("[data-print]")) { window.print(); return; }
    if (t.closest("[data-back]")) { history.length > 1 ? history.back() : (location.href = base + "/"); return; }
    if ((hit = t.closest("[data-focus]"))) { $("#" + hit.dataset.focus).focus(); return; }
    if ((hit = t.closest("[data-show-password]"))) { var p = $("#" + hit.dataset.showPassword); p.type = p.type === "password" ? "text" : "password"; return; }
    if ((hit = t.closest("[data-pop]"))) { togglePop(hit); return; }
    if ((hit = t.closest("[data-close-dialog]"))) { hit.closest("dialog").close(); return; }
    if ((hit = t.closest("[data-more]"))) {
      var bar = hit.closest(".searchbar"), open = bar.classList.toggle("open"); hit.setAttribute("aria-expanded", open); return;
    }
    if (t.closest("[data-print]")) { print(); return; }
    if ((hit = t.closest("[data-fill]"))) { fillIn(hit); return; }
    if ((hit = t.closest("[data-why]"))) { e.preventDefault(); if (hit.dataset.why) toast(hit.dataset.why, "warn"); return; }
    if (!t.closest(".pop")) closePops();
  });
  // A button of a dialog that fills it: as if somebody had typed.
  function fillIn(button) {
    var values = JSON.parse(button.dataset.fill), form = button.closest("form");
    Object.keys(values).forEach(function (name) {
      var f = form.elements[name]; if (!f) return;
      f.value = values[name]; ["input", "change"].forEach(function (kind) { f.dispatchEvent(new Event(kind, { bubbles: true })); });
    });
  }
  function togglePop(button) {
    var pop = $("#" + button.dataset.pop), hidden = pop.hidden; closePops();
    if (hidden) { pop.hidden = false; button.setAttribute("aria-expanded", "true"); place(pop, button); var f = pop.querySelector("a,button,input"); if (f && !button.dataset.popKeep) f.focus({ preventScroll: true }); }
  }
  // A menu inside a scrolling table would be cut off: it is placed against the window instead.
  function place(pop, button) {
    if (!pop.hasAttribute("data-fixed")) return;
    var r = button.getBoundingClientRect(); pop.style.position = "fixed"; pop.style.right = "auto";
    pop.style.left = Math.max(8, Math.min(r.right - pop.offsetWidth, innerWidth - pop.offsetWidth - 8)) + "px";
    pop.style.top = (r.bottom + pop.offsetHeight + 8 > innerHeight ? Math.max(8, r.top - pop.offsetHeight - 4) : r.bottom + 4) + "px";
  }
  function closePops() { $$(".pop:not([hidden])").forEach(function (p) { p.hidden = true; }); $$('[data-pop][aria-expanded="true"]').forEach(function (b) { b.setAttribute("aria-expanded", "false"); }); }
  document.addEventListener("change", function (e) { // what the chosen one means, beneath the field
    var box = e.target.closest("[data-field]"), help = box && $("[data-helps]", box);
    if (help) { help.textContent = JSON.parse(help.dataset.helps)[e.target.value] || help.dataset.usual; help.hidden = !help.textContent; }
  });
  document.addEventListener("change", function (e) { if (e.target.matches("[data-picked]")) { var nm = $(".nm", e.target.parentNode), f = e.target.files[0]; nm.textContent = f ? f.name : nm.dataset.none; } });
  document.addEventListener("submit", function (e) { if (e.target.closest(".pop") && !e.defaultPrevented) setTimeout(closePops, 0); }); // a download leaves the page as it is
  document.addEventListener("scroll", function (e) { if (e.target.classList && e.target.classList.contains("tablewrap")) closePops(); }, true);

  // ---- keys
  document.addEventListener("keydown", function (e) {
    var typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) || e.target.isContentEditable;
    if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey) { var s = $("#globalsearch"); if (s) { e.preventDefault(); s.focus(); } }
    if (e.key === "Escape") { closePops(); body.classList.remove("nav-open"); }
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "s") { var f = $("form[data-guard]"); if (f) { e.preventDefault(); f.requestSubmit(); } }
    var pop = e.target.closest && e.target.closest(".pop, .globalsearch");
    if (pop && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
      var items = $$("a.item, button.item:not([disabled])", pop), at = items.indexOf(document.activeElement);
      if (items.length) { e.preventDefault(); items[(at + (e.key === "ArrowDown" ? 1 : items.length - 1) + (at < 0 && e.key === "ArrowUp" ? 1 : 0)) % items.length].focus(); }
    }
  });

  // ---- htmx: token, dialogs, errors
  document.addEventListener("htmx:configRequest", function (e) { e.detail.headers["X-CSRFToken"] = token; });
  document.addEventListener("htmx:beforeSwap", function (e) {
    if (e.detail.xhr.status >= 400 && e.detail.xhr.getResponseHeader("HX-Retarget")) { e.detail.shouldSwap = true; e.detail.isError = false; }
    if (e.detail.target && e.detail.target.id === "dialog" && e.detail.xhr.status < 500) { e.detail.shouldSwap = true; e.detail.isError = false; }
  });
  document.addEventListener("htmx:sendError", function () { toast(say("js.offline"), "bad"); });
  document.addEventListener("htmx:afterSwap", function (e) {
    var t = e.detail.target;
    if (t.id === "dialog" && t.innerHTML.trim()) { typeAgain($("form[hx-post]", t)); if (!t.open) t.showModal(); enter(t); }
    if (t.id === "searchresults") t.hidden = !t.innerHTML.trim();
    $$("[data-toast]", t).forEach(fade);
  });
  document.addEventListener("htmx:load", function (e) { start(e.detail.elt); });
  document.addEventListener("focusin", function (e) { if (e.target.id === "globalsearch") { var r = $("#searchresults"); r.hidden = !r.innerHTML.trim(); } });

  // ---- a dialog opens at what is to be done in it: the field that is wrong, else the first one; without fields the button that confirms, or the one that does no harm
  function enter(dialog) {
    setTimeout(function () { // choices and dates are dressed first
      var fields = $$(".dlg-body input:not([type=hidden]), .dlg-body select, .dlg-body textarea", dialog).filter(function (f) { return !f.disabled && !f.readOnly && (f.tomselect || f.offsetParent) && !f.closest("[hidden], .ts-wrapper, .flatpickr-calendar"); });
      var field = fields.filter(function (f) { return f.autofocus; })[0] || fields.filter(function (f) { return f.classList.contains("is-invalid"); })[0] || fields[0], now = document.activeElement;
      if (!dialog.open || (now && dialog.contains(now) && now.closest(".dlg-body"))) return; // somebody was faster
      if (!field) { var end = $(".dlg-foot .danger", dialog) ? $(".dlg-foot [data-close-dialog]", dialog) : $(".dlg-foot .primary, .dlg-foot button:not([data-close-dialog]), .dlg-foot a", dialog); if (end) end.focus(); return; }
      if (field.tomselect) { var s = field.tomselect; s.ignoreFocus = true; (s.control_input.offsetWidth ? s.control_input : s.focus_node).focus(); setTimeout(function () { s.ignoreFocus = false; }, 0); if (s.settings.preload) s.preload(); return; } // closed until somebody asks
      field.focus({ preventScroll: true }); if (field._flatpickr) field._flatpickr.close();
    }, 60);
  }

  // ---- a dialog that ends because the record changed meanwhile: what was typed stands in it again when it is opened anew
  function draftOf(form) { return "ml-typed:" + form.getAttribute("hx-post"); }
  document.addEventListener("htmx:beforeOnLoad", function (e) {
    var form = e.detail.elt, xhr = e.detail.xhr; if (!form.matches || !form.matches("#dialog form[hx-post]")) return;
    try {
      if (xhr.status !== 409 || !xhr.getResponseHeader("HX-Redirect")) { sessionStorage.removeItem(draftOf(form)); return; }
      var typed = $$("input,textarea,select", form).filter(function (f) { return f.name && (f.name[0] !== "_" || f.name === "_reason") && !/^(password|file|hidden)$/.test(f.type) && (!/^(checkbox|radio)$/.test(f.type) || f.checked); });
      sessionStorage.setItem(draftOf(form), JSON.stringify(typed.map(function (f) { var o = f.selectedOptions && f.selectedOptions[0]; return [f.name, f.value, o ? o.textContent : ""]; })));
    } catch (_) { /* private mode */ }
  });
  function typeAgain(form) {
    if (!form) return;
    var kept; try { kept = JSON.parse(sessionStorage.getItem(draftOf(form)) || "null"); sessionStorage.removeItem(draftOf(form)); } catch (_) { /* private mode */ }
    (kept || []).forEach(function (one) {
      $$("[name='" + one[0] + "']", form).forEach(function (f) {
        if (/^(checkbox|radio)$/.test(f.type)) { if (f.value === one[1]) f.checked = true; return; }
        if (f.tagName === "SELECT" && one[1] && !Array.prototype.some.call(f.options, function (o) { return o.value === one[1]; })) f.append(new Option(one[2], one[1]));
        f.value = one[1];
      });
    });
  }

  // ---- what was shown once is gone when its dialog closes or the page is left
  function forget() { $$("dialog [data-forget]").forEach(function (d) { d.closest("dialog").innerHTML = ""; }); }
  document.addEventListener("close", function (e) { if (e.target.matches("dialog")) forget(); }, true);
  window.addEventListener("pagehide", forget);

  // ---- double submit: the second press of the same form does nothing
  document.addEventListener("submit", function (e) {
    var f = e.target;
    if (f.dataset.ask && !confirm(f.dataset.ask)) { e.preventDefault(); return; }
    if (f.dataset.sent === "1") { e.preventDefault(); return; }
    if (e.defaultPrevented || (f.getAttribute("method") || "").toLowerCase() !== "post" || f.hasAttribute("hx-post")) return;
    f.dataset.sent = "1"; setTimeout(function () { delete f.dataset.sent; }, 8000);
  });
  window.addEventListener("pageshow", function () { $$("form[data-sent]").forEach(function (f) { delete f.dataset.sent; }); });

  // ---- what waits: the page asks by itself while somebody looks at it; whoever shows a number carries data-unread or data-todo
  var bell = $("[data-bell]");
  function showWaiting(found) {
    ["unread", "todo"].forEach(function (name) {
      $$("[data-" + name + "]").forEach(function (n) { var many = found[name] || 0; n.hidden = !many; n.textContent = many > 99 ? "99+" : String(many); });
    });
    if (bell) bell.setAttribute("aria-label", bell.title + (found.unread ? " " + found.unread : ""));
  }
  function askWaiting() {
    if (!bell || document.hidden) return;
    fetch(bell.dataset.bell, { headers: { Accept: "application/json" }, credentials: "same-origin" })
      .then(function (r) { return r.ok ? r.json() : null; }).then(function (found) { if (found) showWaiting(found); }).catch(function () { /* offline: the next time */ });
  }
  if (bell) { askWaiting(); setInterval(askWaiting, 45000); document.addEventListener("visibilitychange", askWaiting); document.addEventListener("htmx:afterRequest", function (e) { if (e.detail.requestConfig && e.detail.requestConfig.verb !== "get") askWaiting(); }); }

  // ---- recent records: remembered in this browser, per person
  function recentKey(user) { return "ml-recent:" + base + ":" + user; }
  function remember() {
    var here = $("[data-record]"); if (!here) return;
    try {
      var key = recentKey(here.dataset.user), kept = JSON.parse(localStorage.getItem(key) || "[]").filter(function (r) { return r.h !== here.dataset.record; });
      kept.unshift({ h: here.dataset.record, i: here.dataset.icon, n: Date.now(), e: here.dataset.entity, t: here.dataset.title }); localStorage.setItem(key, JSON.stringify(kept.slice(0, 10)));
    } catch (_) { /* private mode */ }
  }
  function showRecent() {
    var box = $("[data-recent]"); if (!box) return;
    var kept = []; try { kept = JSON.parse(localStorage.getItem(recentKey(box.dataset.recent)) || "[]"); } catch (_) { /* private mode */ }
    kept = kept.filter(function (r) { return typeof r.h === "string" && r.h.indexOf(base + "/e/") === 0; });
    if (!kept.length) return; box.textContent = "";
    kept.forEach(function (r) {
      var li = el("li"), a = el("a", { href: r.h }); a.innerHTML = icon(/^[a-z0-9-]+$/.test(r.i || "") ? r.i : "file-text");
      a.append(el("span", { "class": "t" }, r.t), el("span", { "class": "meta" }, r.e)); li.append(a); box.append(li);
    });
  }
  remember(); showRecent();
  // What was remembered goes with the login.
  document.addEventListener("submit", function (e) { if (/\/logout\/$/.test(e.target.action)) try { Object.keys(localStorage).forEach(function (k) { if (k.indexOf("ml-recent:" + base + ":") === 0) localStorage.removeItem(k); }); } catch (_) { /* private mode */ } });

  // ---- the edge of a wide table is shaded while there is more to the side
  function shadows(root) {
    $$(".tablewrap", root).forEach(function (w) {
      var width = -1;
      function fit() { // little too wide: the cells move together, rather than half a column standing under the actions
        if (w.clientWidth === width) return;
        width = w.clientWidth; w.classList.remove("tight-x");
        var heads = $$("thead tr:first-child th:not(.c-sel)", w), acts = heads[heads.length - 1];
        heads.forEach(function (h) { h.style.minWidth = ""; });
        if (w.scrollWidth <= width + 2) return;
        w.classList.add("tight-x"); if (w.scrollWidth <= width + 2) return;
        w.classList.remove("tight-x"); if (!acts || !acts.classList.contains("stick-r")) return;
        var edge = acts.getBoundingClientRect().left, whole = heads.filter(function (h) { return h.getBoundingClientRect().right <= edge + 1; });
        var room = edge - Math.max.apply(null, whole.map(function (h) { return h.getBoundingClientRect().right; }));
        if (whole.length > 1 && room > 1 && room < width / 4) whole.map(function (h) { return h.getBoundingClientRect().width + room / whole.length; }).forEach(function (wanted, n) {
          whole[n].style.minWidth = wanted + "px"; // at the start every column is seen whole or not at all
        });
      }
      function mark() { fit(); w.classList.toggle("scrolled-x", w.scrollLeft > 2); w.classList.toggle("more-x", w.scrollLeft + w.clientWidth < w.scrollWidth - 2); }
      w.addEventListener("scroll", mark, { passive: true }); mark();
      if (window.ResizeObserver) { var seen = new ResizeObserver(mark); seen.observe(w); if (w.firstElementChild) seen.observe(w.firstElementChild); } // the menu folds, totals arrive, the window turns
    });
  }
  ml.ready.push(shadows); shadows(document);

  function start(root) { ml.ready.forEach(function (f) { f(root); }); }
  ml.start = start;
})();
