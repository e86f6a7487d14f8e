// Forms: live conditions by the server's own rules, child grids, uploads, amounts in capitals, unsaved guard.
(function () {
  "use strict";
  function go() {
    var ml = window.metaloom, $ = ml.$, $$ = ml.$$, E = window.MetaloomExpr;

    var LINK = /^(link|user|org_unit|company)$/;

    // ---- values
    function shift(text) { // percent to fraction, without floating point
      var m = /^(-?)(\d*)(?:\.(\d*))?$/.exec(text); if (!m || !(m[2] || m[3])) return null;
      var whole = (m[2] || "0").padStart(3, "0"), cut = whole.length - 2;
      return m[1] + whole.slice(0, cut) + "." + whole.slice(cut) + (m[3] || "");
    }
    function clean(kind, raw) {
      if (raw === null || raw === undefined || raw === "") return null;
      if (kind === "boolean") return raw === true || raw === "true";
      if (kind === "money" || kind === "decimal" || kind === "integer") { raw = String(raw).replace(/,/g, ""); return /^-?\d+(\.\d+)?$/.test(raw) ? raw : null; }
      if (kind === "rate") return shift(String(raw).replace(/[,%\s]/g, ""));
      if (kind === "date") return /^\d{4}-\d\d-\d\d$/.test(raw) ? raw : null;
      if (kind === "datetime") { var d = new Date(raw.replace(" ", "T")); return isNaN(d) ? null : d.toISOString(); }
      return raw;
    }
    function read(box, name, html, kind) {
      var found = $$('[name="' + html + '"]', box); if (!found.length) return undefined;
      var last = found[found.length - 1];
      if (kind === "boolean") return last.checked;
      if (kind === "multi_choice") return $$("option:checked", last).map(function (o) { return o.value; }).filter(Boolean);
      if (kind === "tags" || kind === "attachment" || kind === "image") return last.value ? last.value.split(",") : [];
      return clean(kind, last.value);
    }
    function env(rules) { return rules.env || {}; }
    function evaluate(tree, record, rules) { try { return E.evaluate(tree, record, env(rules)); } catch (_) { return undefined; } }
    function show(kind, value) {
      if (value === null || value === undefined) return "-";
      if (kind === "money" || kind === "decimal" || kind === "integer") {
        var m = /^(-?)(\d+)(\.\d+)?$/.exec(value); if (!m) return String(value);
        var frac = kind === "money" ? (m[3] || ".00").padEnd(3, "0").slice(0, 3) : (m[3] || ""); return m[1] + m[2].replace(/\B(?=(\d{3})+$)/g, ",") + frac;
      }
      if (kind === "rate") { var x = /^(-?)(\d+)(?:\.(\d+))?$/.exec(value); if (!x) return value; var f = (x[3] || "").padEnd(2, "0"), w = (x[2] + f.slice(0, 2)).replace(/^0+(?=\d)/, ""), r = f.slice(2).replace(/0+$/, ""); return x[1] + w + (r ? "." + r : "") + "%"; }
      if (typeof value === "boolean") return value ? "✓" : "-";
      return String(value);
    }

    function toggle(box, on) {
      if (!box || box.hidden === !on) return; box.hidden = !on;
      $$("input,select,textarea", box).forEach(function (i) { if (on) { if (i._off) { i.disabled = false; i._off = false; if (i.tomselect) i.tomselect.enable(); } } else if (!i.disabled) { i.disabled = true; i._off = true; } });
    }

    // ---- what depends on a choice: asked for only while another input has one of these values
    function Branches(form) {
      if (form._branches) return; form._branches = true;
      function value(name) { var found = $$('[name="' + name + '"]', form).filter(function (i) { return !i.disabled; })[0]; return found ? found.value : ""; }
      function work() { $$("[data-when]", form).forEach(function (box) { var on = JSON.parse(box.dataset.in).indexOf(value(box.dataset.when)) >= 0; if (!on) box.hidden = false; toggle(box, on); }); }
      form._branch = work; form.addEventListener("change", work); work();
      form.addEventListener("formdata", function (e) { Array.from(new Set(e.formData.keys())).forEach(function (name) { if (name.indexOf("_grid.") === 0 || !e.formData.getAll(name).some(Boolean)) e.formData.delete(name); }); }); // a short address
    }

    function Live(form) {
      var rules = JSON.parse(form.dataset.rules || "{}"), kinds = rules.kinds || {}, record = rules.record || {}, busy = false;
      var typed = {}, asked = {}, unknown = {}; // typed: by the person; asked: the number of a link's latest question; unknown: links whose values are not here yet
      function collect() {
        Object.keys(kinds).forEach(function (name) {
          if (rules.children && rules.children[name]) { record[name] = rows(name); return; }
          var value = read(form, name, name, kinds[name]);
          if (value === undefined) return;
          if (LINK.test(kinds[name])) { follow(name, value); return; }
          record[name] = value;
        });
      }
      function follow(name, id) { // another record is linked: its values are asked for, and until they are here no rule decides by them
        if (String((record[name] || {}).id || record[name] || "") === String(id || "")) return;
        record[name] = id ? Object.assign(blankLink(name), { id: id }) : null;
        asked[name] = (asked[name] || 0) + 1; unknown[name] = !!id && !!form.dataset.linked;
        if (unknown[name]) fetchLinked(name, id, asked[name]);
      }
      if (!("input" in record)) record.input = record; // the answers of a dialog, bare and behind their prefix
      function bare(path) { return record.input === record && path[0] === "input" ? path.slice(1) : path; }
      function decide(tree) { // undefined where it reads behind a link whose values are not here
        if ((tree.paths || []).map(bare).some(function (p) { return p.length > 1 && unknown[p[0]]; })) return undefined;
        return evaluate(tree, record, rules);
      }
      function blankLink(name) { // nulls for what the rules follow, until the server has answered
        var out = {}; trees(rules).forEach(function (t) { (t.paths || []).map(bare).forEach(function (p) { if (p.length > 1 && p[0] === name) { var at = out; p.slice(1, -1).forEach(function (n) { at = at[n] = at[n] || {}; }); if (!(p[p.length - 1] in at)) at[p[p.length - 1]] = null; } }); });
        return out;
      }
      function trees(value) { if (!value || typeof value !== "object") return []; if (value.v === 1 && value.node) return [value]; return Object.keys(value).filter(function (k) { return k !== "record" && k !== "env"; }).reduce(function (all, k) { return all.concat(trees(value[k])); }, []); }
      function rows(name) {
        var grid = $('[data-grid="' + name + '"]', form), c = rules.children[name]; if (!grid) return record[name] || [];
        return $$("tbody [data-row]", grid).map(function (tr) {
          var out = {}; Object.keys(c.kinds).forEach(function (col) {
            var input = $('[name$=".' + col + '"]:not([type=hidden])', tr) || $('[name$=".' + col + '"]', tr);
            out[col] = input ? (c.kinds[col] === "boolean" ? input.checked : clean(c.kinds[col], input.value)) : (tr._values && tr._values[col] !== undefined ? tr._values[col] : shownValue(tr, col, c.kinds[col]));
          });
          Object.keys(c.fields || {}).forEach(function (col) {
            var tree = c.fields[col].computed; if (!tree) return; var v = evaluate(tree, out, rules); if (v === undefined) return;
            out[col] = v; var cell = $('[data-cell="' + col + '"] [data-shown]', tr); if (cell) cell.textContent = show(c.kinds[col], v);
          });
          return out;
        });
      }
      function shownValue(tr, col, kind) { var cell = $('[data-cell="' + col + '"] [data-shown]', tr); return cell ? clean(kind, cell.textContent.trim() === "-" ? "" : cell.textContent.trim()) : null; }
      function apply(changed) {
        if (busy) return; busy = true;
        try { work(changed); } finally { busy = false; }
      }
      function work(changed) {
        collect();
        var fields = rules.fields || {};
        if (changed && fields[changed] && fields[changed].fill) Object.keys(fields[changed].fill).forEach(function (target) {
          if (typed[target]) return; // what a person wrote is never written over
          var v = decide(fields[changed].fill[target]); if (v === undefined || v === null) return; put(target, v);
        });
        for (var pass = 0; pass < 3; pass++) Object.keys(fields).forEach(function (name) {
          var tree = fields[name].computed; if (!tree) return; var v = decide(tree); if (v === undefined) return;
          record[name] = v; $$('[data-shown="' + name + '"]', form).forEach(function (e) { if (!e.closest("[data-row]")) e.textContent = show(kinds[name], v); });
        });
        Object.keys(fields).forEach(function (name) {
          var r = fields[name], box = $('[data-field="' + name + '"]', form); if (!box) return;
          if (r.visible) { var seen = decide(r.visible); if (seen !== undefined) toggle(box, seen === true); }
          var must = r.required ? decide(r.required) : undefined; if (must !== undefined) { must = must === true; var star = $(".req", box); if (star) star.hidden = !must; $$("input,select,textarea", box).forEach(function (i) { if (i.type !== "hidden") i.setAttribute("aria-required", must); }); }
          if (r.choices) offer(name, decide(r.choices));
          var lock = r.locked ? decide(r.locked) : undefined; if (lock !== undefined) { lock = lock === true; $$("input,textarea", box).forEach(function (i) { i.readOnly = lock; }); }
        });
        Object.keys(rules.sections || {}).forEach(function (name) { var on = decide(rules.sections[name]); if (on !== undefined) { toggle($('[data-section="' + name + '"]', form), on === true); var a = $('[data-anchor="' + name + '"]'); if (a) a.hidden = on !== true; } });
        check(changed);
      }
      function offer(name, codes) { // undefined: not known yet; null: all. What is chosen stays in sight: the server says why it will not do
        var found = $$('select[name="' + name + '"]', form), select = found[found.length - 1]; if (!select || codes === undefined) return;
        if (!select._all) select._all = $$("option", select);
        function fits(o) { return !codes || !o.value || o.value === select.value || codes.indexOf(o.value) >= 0; }
        if (select.tomselect) { select._all.forEach(function (o) { if (!o.value) return; if (!codes || select.tomselect.items.indexOf(o.value) >= 0 || codes.indexOf(o.value) >= 0) select.tomselect.addOption({ value: o.value, text: o.textContent }); else select.tomselect.removeOption(o.value, true); }); return; }
        var kept = select._all.filter(fits); if (kept.length !== select.options.length || kept.some(function (o, i) { return select.options[i] !== o; })) { var value = select.value; select.replaceChildren.apply(select, kept); select.value = value; }
      }
      function put(name, value) {
        var found = $$('[name="' + name + '"]', form), input = found[found.length - 1]; if (!input) { record[name] = value; return; }
        if (kinds[name] === "boolean") input.checked = value === true;
        else if (input.tomselect) input.tomselect.setValue(String(value), true);
        else if (input._flatpickr) input._flatpickr.setDate(value, false);
        else input.value = kinds[name] === "rate" ? show("rate", value).replace("%", "") : kinds[name] === "money" ? show("money", value).replace(/,/g, "") : value;
        if (input === document.activeElement && input.select) input.select(); // who was about to type writes over it, not behind it
        record[name] = clean(kinds[name], kinds[name] === "rate" ? input.value : value);
      }
      // A rule is said at its field once that field, or one the rule reads, was touched.
      var said = {};
      function check(changed) {
        (rules.checks || []).forEach(function (c) {
          var reads = (c.check.paths || []).map(function (p) { return p[0]; });
          if (changed && (reads.indexOf(changed) >= 0 || Object.keys(rules.fields || {}).some(function (n) { return reads.indexOf(n) >= 0 && ((rules.fields[n].computed || {}).paths || []).some(function (p) { return p[0] === changed; }); }))) said[c.name] = true;
          if (!said[c.name] || !c.field) return;
          var box = $('[data-field="' + c.field + '"] .control', form); if (!box) return;
          var applies = !c.when || decide(c.when) === true, wrong = applies && decide(c.check) === false, at = $('[data-rule="' + c.name + '"]', box);
          if (wrong && !at) { at = ml.el("div", { "class": "field-error", "data-rule": c.name }); box.append(at); }
          if (at) { at.hidden = !wrong; at.textContent = c.message.replace(/\{([a-z0-9_.]+)\}/gi, function (_, p) { var v = p.split(".").reduce(function (o, n) { return o === null || o === undefined ? null : o[n]; }, record); return v === null || v === undefined ? "-" : /^-?\d+\.\d\d$/.test(v) ? show("money", v) : v; }); }
        });
      }
      function fetchLinked(name, id, question) { // without an answer the links stay unknown and the server decides at saving
        fetch(form.dataset.linked + encodeURIComponent(name) + "?id=" + encodeURIComponent(id)).then(function (r) { return r.ok ? r.json() : null; }).then(function (found) {
          if (!found || asked[name] !== question) return; // another record was chosen meanwhile
          record[name] = found; unknown[name] = false; apply(name);
        }).catch(function () { /* offline */ });
      }
      function note(input) { // a field emptied by hand may be filled again, as the server does at saving
        if (input.name && input.name.indexOf(".") < 0) typed[input.name] = input.type === "checkbox" || input.value !== "";
      }
      // Typed before this script ran, kept by the browser, or sent and refused: a person's words as well.
      Array.prototype.forEach.call(form.elements, function (input) {
        if (!input.name || input.type === "hidden" || !kinds[input.name]) return;
        var first = input.tagName === "SELECT" ? $$("option", input).filter(function (o) { return o.defaultSelected; }).map(function (o) { return o.value; }).join() : input.defaultValue;
        if (input.type === "checkbox" ? input.checked !== input.defaultChecked : input.value !== first || (form.hasAttribute("data-dirty") && input.value !== "")) typed[input.name] = true;
      });
      form.addEventListener("input", function (e) { if (!e.target.name) return; note(e.target); apply(e.target.name.split(".")[0]); });
      form.addEventListener("change", function (e) { if (!e.target.name) return; note(e.target); apply(e.target.name.split(".")[0]); });
      form._live = apply; apply(null);
      ml.recordParams = function (select) { var f = select.form, out = []; new FormData(f).forEach(function (v, k) { if (k[0] !== "_" && k !== "csrf_token" && k.indexOf(".") < 0 && typeof v === "string" && v && v.length < 200) out.push(["r." + k, (kinds[k] === "rate" ? shift(v) : v)]); }); return out; };
    }

    // ---- child grids
    document.addEventListener("click", function (e) {
      var b;
      if ((b = e.target.closest("[data-row-add]"))) { addRow(b.closest("[data-grid]")); return; }
      if ((b = e.target.closest("[data-row-remove]"))) { var tr = b.closest("[data-row]"), grid = tr.closest("[data-grid]"), next = tr.nextElementSibling || tr.previousElementSibling; tr.remove(); number(grid); dirty(grid.closest("form")); (next ? $("input:not([type=hidden]),select", next) : $("[data-row-add]", grid)).focus(); return; }
      if ((b = e.target.closest("[data-jump]"))) { e.preventDefault(); jump(b.dataset.jump); }
    });
    document.addEventListener("keydown", function (e) {
      var tr = e.target.closest && e.target.closest("[data-grid] [data-row]"); if (!tr) return;
      if (e.key === "Enter" && e.target.tagName === "INPUT" && e.target.closest("td") && !e.target.closest(".ts-wrapper")) {
        e.preventDefault(); var td = e.target.closest("td"), at = Array.prototype.indexOf.call(tr.children, td), next = tr.nextElementSibling || addRow(tr.closest("[data-grid]"));
        var input = $("input:not([type=hidden]),select,textarea", next.children[at]); if (input) input.focus();
      } else if ((e.key === "ArrowDown" || e.key === "ArrowUp") && e.target.tagName === "INPUT" && e.target.closest("td") && !e.target.closest(".ts-wrapper") && !e.target._flatpickr) {
        var other = e.key === "ArrowDown" ? tr.nextElementSibling : tr.previousElementSibling; if (!other) return;
        var i = Array.prototype.indexOf.call(tr.children, e.target.closest("td")), f = $("input:not([type=hidden]),select", other.children[i]); if (f) { e.preventDefault(); f.focus(); if (f.select) f.select(); }
      } else if (e.key === "Delete" && e.ctrlKey) { e.preventDefault(); var rm = $("[data-row-remove]", tr); if (rm) rm.click(); }
    });
    var counter = 1000;
    function addRow(grid) {
      var into = $("[data-rows]", grid) || $("tbody", grid), holder = document.createElement(into.tagName); holder.innerHTML = $("template", grid).innerHTML.replace(/__i__/g, String(counter++));
      var tr = holder.firstElementChild; into.append(tr); ml.start(tr); number(grid); dirty(grid.closest("form"));
      var first = $("input:not([type=hidden]):not([type=checkbox]),select", tr); if (first) setTimeout(function () { first.tomselect ? first.tomselect.focus() : first.focus(); }, 0);
      return tr;
    }
    function number(grid) { $$("[data-row]", grid).forEach(function (tr, i) { var td = tr.firstElementChild, n = document.createTextNode(String(i + 1)); if (td.firstChild && td.firstChild.nodeType === 3) td.replaceChild(n, td.firstChild); else td.prepend(n); }); var f = grid.closest("form"); if (f && f._live) f._live(grid.dataset.grid); if (f && f._branch) f._branch(); }

    function jump(id) {
      var at = document.getElementById(id), box = document.getElementById(id + "-box"); if (!at && !box) return;
      (box || at).scrollIntoView({ block: "center" }); var focus = at && at.tomselect ? at.tomselect : (at || $("input,select,textarea", box)); if (focus && focus.focus) focus.focus();
    }

    // ---- uploads
    function uploads(root) {
      $$("[data-upload]", root).forEach(function (box) {
        if (box._ready) return; box._ready = true;
        var hidden = $("input[type=hidden]", box), file = $("input[type=file]", box), drop = $(".upload-drop", box), many = box.hasAttribute("data-multiple");
        function ids() { return hidden.value ? hidden.value.split(",") : []; }
        function set(list) { hidden.value = list.join(","); hidden.dispatchEvent(new Event("change", { bubbles: true })); dirty(hidden.form); }
        function send(one) {
          var chip = ml.el("span", { "class": "upfile" }), bar = ml.el("progress", { max: "100", value: "0" }); chip.innerHTML = ml.icon("paperclip"); chip.append(ml.el("span", { "class": "nm" }, one.name), bar); $(".uploads", box).append(chip);
          var x = new XMLHttpRequest(), data = new FormData(); data.append("file", one); x.open("POST", box.dataset.upload); x.setRequestHeader("X-CSRFToken", ml.token);
          x.upload.onprogress = function (e) { if (e.lengthComputable) bar.value = e.loaded / e.total * 100; };
          x.onload = function () {
            var r = {}; try { r = JSON.parse(x.responseText); } catch (_) { /* an error page */ }
            if (x.status !== 201) { chip.remove(); ml.toast((r.error || ml.say("js.upload_failed")) + " · " + one.name, "bad"); return; }
            if (!many) { $$("[data-file]", box).forEach(function (c) { c.remove(); }); set([]); }
            bar.remove(); chip.dataset.file = r.id; var a = ml.el("a", { "class": "nm", href: r.url, target: "_blank", rel: "noopener" }, r.name); $(".nm", chip).replaceWith(a);
            var close = ml.el("button", { type: "button", "data-drop-file": "", "aria-label": ml.say("js.remove") + " " + r.name }); close.innerHTML = ml.icon("x"); chip.append(close); set(ids().concat(r.id));
          };
          x.onerror = function () { chip.remove(); ml.toast(ml.say("js.upload_failed") + " · " + one.name, "bad"); };
          x.send(data);
        }
        file.addEventListener("change", function () { Array.from(file.files).forEach(send); file.value = ""; });
        ["dragover", "dragleave", "drop"].forEach(function (n) { drop.addEventListener(n, function (e) { e.preventDefault(); drop.classList.toggle("over", n === "dragover"); if (n === "drop") Array.from(e.dataTransfer.files).slice(0, many ? 20 : 1).forEach(send); }); });
        box.addEventListener("click", function (e) { var b = e.target.closest("[data-drop-file]"); if (!b) return; var chip = b.closest("[data-file]"); set(ids().filter(function (i) { return i !== chip.dataset.file; })); chip.remove(); });
      });
    }

    // ---- amounts in capitals
    var timers = {};
    function echo(input) {
      var form = input.form, to = form.dataset.capitals, out = $('[data-echo="' + input.name + '"]', form); if (!to || !out) return;
      clearTimeout(timers[input.name]); timers[input.name] = setTimeout(function () {
        if (!input.value) { out.textContent = ""; return; }
        fetch(to + "?amount=" + encodeURIComponent(input.value)).then(function (r) { return r.ok ? r.json() : {}; }).then(function (r) { out.textContent = r.words || ""; }).catch(function () { out.textContent = ""; });
      }, 250);
    }
    document.addEventListener("input", function (e) { if (e.target.matches && e.target.matches("[data-capitals]") && e.target.name) echo(e.target); });

    // ---- unsaved guard
    function dirty(form) { if (form && form.hasAttribute("data-guard")) form.dataset.dirty = "1"; }
    document.addEventListener("input", function (e) { if (e.target.form) dirty(e.target.form); });
    document.addEventListener("submit", function (e) { e.target.removeAttribute("data-guard"); });
    window.addEventListener("beforeunload", function (e) { if ($("form[data-guard][data-dirty]")) e.preventDefault(); });

    // ---- anchors follow the reading
    if ("IntersectionObserver" in window) {
      var seen = new IntersectionObserver(function (list) { list.forEach(function (en) { if (en.isIntersecting) $$("[data-anchor]").forEach(function (a) { a.classList.toggle("here", a.dataset.anchor === en.target.dataset.section); }); }); }, { rootMargin: "-80px 0px -60% 0px" });
      $$("[data-section]").forEach(function (s) { seen.observe(s); });
    }

    function start(root) {
      var forms = $$("form[data-rules]", root); if (root.matches && root.matches("form[data-rules]")) forms.push(root);
      forms.forEach(function (f) { if (!f._live) Live(f); }); $$("form[data-branches]", root).forEach(Branches); uploads(root); $$("[data-capitals][name]", root).forEach(echo);
    }
    ml.ready.push(start); start(document);
    var p = $("#problems"); if (p && document.activeElement === document.body) p.focus({ preventScroll: false }); // nobody is taken from a field
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go); else go();
})();
