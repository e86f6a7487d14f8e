// Input widgets: dates, choices, links to other records. Called for the page and for every fragment that arrives.
(function () {
  "use strict";
  function go() {
    var ml = window.metaloom, $$ = ml.$$, zh = document.documentElement.lang.indexOf("zh") === 0;
    function all(root, selector) { var found = $$(selector, root); if (root.matches && root.matches(selector)) found.unshift(root); return found; }

    // What opens inside a dialog is placed against the window: the dialog would cut it off.
    function placed(panel, control) {
      var r = control.getBoundingClientRect(), high = panel.offsetHeight, below = innerHeight - r.bottom - 8, up = high > below && r.top > below;
      panel.style.position = "fixed"; panel.style.right = panel.style.bottom = "auto"; panel.style.margin = "0";
      panel.style.left = Math.max(8, Math.min(r.left, innerWidth - panel.offsetWidth - 8)) + "px";
      panel.style.top = Math.max(8, up ? r.top - high - 4 : Math.min(r.bottom + 4, innerHeight - high - 8)) + "px";
    }
    function inDialog(select) { // after a scroll of the dialog, too
      var t = select.tomselect, body = select.closest("dialog .dlg-body"); if (!body) return;
      t.positionDropdown = function () { t.dropdown.style.width = t.control.offsetWidth + "px"; placed(t.dropdown, t.control); };
      t.on("load", function () { if (t.isOpen) t.positionDropdown(); }); t.on("type", function () { if (t.isOpen) t.positionDropdown(); });
      body.addEventListener("scroll", function () { if (t.isOpen) t.positionDropdown(); }, { passive: true });
    }

    // 30 February stays as it was typed, for the server to refuse: it does not become another day in silence.
    function noRoll(text, format) {
      var day = flatpickr.parseDate(text, format), typed = /^\s*\d{4}-(\d{1,2})-(\d{1,2})/.exec(text);
      return day && typed && (day.getMonth() + 1 !== +typed[1] || day.getDate() !== +typed[2]) ? undefined : day;
    }

    function dates(root) {
      all(root, "[data-date],[data-datetime],[data-time]").forEach(function (input) {
        if (input._flatpickr || input.readOnly || input.disabled) return;
        var time = input.hasAttribute("data-datetime"), clock = input.hasAttribute("data-time");
        flatpickr(input, {
          locale: zh ? "zh" : "default", allowInput: true, disableMobile: true, enableTime: time || clock, noCalendar: clock, time_24hr: true,
          mode: input.hasAttribute("data-many") ? "multiple" : "single", dateFormat: clock ? "H:i" : time ? "Y-m-d H:i" : "Y-m-d", appendTo: input.closest("dialog") || undefined,
          position: input.closest("dialog") ? function (self) { placed(self.calendarContainer, self._input); } : "auto",
          parseDate: noRoll, minDate: input.dataset.min || undefined, maxDate: input.dataset.max || undefined,
          onChange: function () { input.dispatchEvent(new Event("input", { bubbles: true })); }
        });
      });
    }
    function choices(root) {
      all(root, "select[data-choices]").forEach(function (select) {
        if (select.tomselect) return;
        new TomSelect(select, { plugins: select.multiple ? ["remove_button"] : [], maxOptions: 500, hideSelected: false, allowEmptyOption: !select.multiple, placeholder: select.getAttribute("placeholder") || undefined, dropdownParent: select.closest("dialog") || (select.closest(".childwrap,.searchbar") ? "body" : null),
          render: { no_results: function () { return '<div class="no-results">' + ml.say("no_results") + "</div>"; } } });
        inDialog(select);
      });
    }
    function params(select) { return select.dataset.field ? [["for", select.dataset.for], ["field", select.dataset.field]].concat(ml.recordParams ? ml.recordParams(select) : []) : []; }
    function lookups(root) {
      all(root, "select[data-lookup]").forEach(function (select) {
        if (select.tomselect) return;
        new TomSelect(select, {
          valueField: "id", labelField: "title", searchField: [], maxOptions: 50, preload: "focus", placeholder: select.getAttribute("placeholder") || undefined, plugins: select.multiple ? ["remove_button"] : (select.required ? [] : ["clear_button"]),
          dropdownParent: select.closest("dialog") || (select.closest(".childwrap,.searchbar") ? "body" : null), loadThrottle: 250,
          shouldLoad: function () { return true; }, score: function () { return function () { return 1; }; },
          load: function (text, done) {
            var self = this, url = new URL(select.dataset.lookup, location.origin), question = self.question = (self.question || 0) + 1; url.searchParams.set("q", text);
            params(select).forEach(function (p) { url.searchParams.set(p[0], p[1]); });
            fetch(url, { headers: { Accept: "application/json" } }).then(function (r) { return r.ok ? r.json() : { items: [] }; }).then(function (found) {
              if (self.question !== question) { self.loading = Math.max(self.loading - 1, 0); delete self.loadedSearches[text]; return; } // a later question is on its way or answered
              var keep = self.items.slice(); Object.keys(self.options).forEach(function (k) { if (keep.indexOf(k) < 0) self.removeOption(k, true); }); done(found.items);
            }).catch(function () { done(); });
          },
          // Candidates that depend on other fields are asked for anew once those have changed.
          onFocus: function () { var by = JSON.stringify(params(select)); if (this.filteredBy !== undefined && this.filteredBy !== by) { this.loadedSearches = {}; this.load(""); } this.filteredBy = by; },
          render: {
            option: function (item, escape) { return "<div>" + escape(item.title || item.text || "") + (item.subtitle ? '<span class="sub">' + escape(item.subtitle) + "</span>" : "") + "</div>"; },
            item: function (item, escape) { return "<div>" + escape(item.title || item.text || "") + "</div>"; },
            no_results: function () { return '<div class="no-results">' + ml.say("no_results") + "</div>"; },
            loading: function () { return '<div class="no-results">' + ml.say("loading") + "</div>"; }
          }
        });
        inDialog(select);
      });
    }
    // Regions: the typed code becomes province, city and county, whose names are fetched only where such a field stands.
    var atlases = {};
    function regions(root) {
      all(root, "input[data-region]").forEach(function (input) {
        if (input._region || input.readOnly) return; input._region = true;
        var from = input.dataset.region;
        atlases[from] = atlases[from] || fetch(from).then(function (r) { if (!r.ok) throw r.status; return r.json(); });
        atlases[from].then(function (names) { cascade(input, names); }).catch(function () { delete atlases[from]; }); // the code can still be typed
      });
    }
    function cascade(input, names) {
      var levels = input.dataset.levels.split("/"), codes = Object.keys(names), box = document.createElement("span"), selects = levels.map(pick);
      function inside(upper) { return codes.filter(function (c) { return c.length === upper.length + 2 && c.indexOf(upper) === 0; }); }
      function option(select, value, words) { var o = document.createElement("option"); o.value = value; o.textContent = words; select.appendChild(o); }
      function pick(level, at) {
        var select = document.createElement("select"); select.className = "form-select" + (input.classList.contains("is-invalid") ? " is-invalid" : "");
        select.setAttribute("aria-label", input.dataset.label + " " + level); select.disabled = input.disabled; box.appendChild(select);
        if (input.hasAttribute("aria-describedby")) select.setAttribute("aria-describedby", input.getAttribute("aria-describedby"));
        ["input", "change"].forEach(function (n) { select.addEventListener(n, function (e) { e.stopPropagation(); if (n === "change") chosen(at); }); });
        return select;
      }
      function fill(at, upper, value) {
        var select = selects[at], found = at && !upper ? [] : inside(upper);
        select.textContent = ""; option(select, "", levels[at]); found.forEach(function (c) { option(select, c, names[c]); });
        if (value && found.indexOf(value) < 0) option(select, value, value); // a code that no longer exists stays in sight
        select.value = value; select.title = names[value] || ""; select.classList.toggle("unset", !value); select.hidden = at > 0 && !found.length;
      }
      function draw() {
        var code = input.value, known = code.length === 6 && names[code.replace(/(00)+$/, "")], depth = known ? code.replace(/(00)+$/, "").length : 0;
        if (names[code]) depth = 6;
        fill(0, "", known ? code.slice(0, 2) : code); fill(1, depth >= 2 ? code.slice(0, 2) : "", depth >= 4 ? code.slice(0, 4) : ""); fill(2, depth >= 4 ? code.slice(0, 4) : "", depth >= 6 ? code : "");
      }
      function chosen(at) {
        var code = selects[at].value || (at ? selects[at - 1].value : "");
        while (code && code.length < 6 && inside(code).length === 1) code = inside(code)[0]; // one city, one county: nothing to choose
        input.value = code && (code + "0000").slice(0, 6); draw();
        ["input", "change"].forEach(function (n) { input.dispatchEvent(new Event(n, { bubbles: true })); });
      }
      box.className = "regionpick"; input.type = "hidden"; selects[0].id = input.id; input.removeAttribute("id"); if (input.required) selects[0].setAttribute("aria-required", "true");
      input.addEventListener("change", draw); draw(); input.after(box);
    }
    function widgets(root) { dates(root); choices(root); lookups(root); regions(root); }
    ml.widgets = widgets; ml.ready.push(widgets); widgets(document);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go); else go();
})();
