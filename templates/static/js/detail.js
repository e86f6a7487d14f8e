// The detail page: which tab is open, in the page and in the address; questions before something is put away.
(function () {
  "use strict";
  function select(tab) {
    tab.closest("[role=tablist]").querySelectorAll("[role=tab]").forEach(function (t) { t.setAttribute("aria-selected", String(t === tab)); t.tabIndex = t === tab ? 0 : -1; });
    document.getElementById("tabpanel").setAttribute("aria-labelledby", tab.id);
    history.replaceState(null, "", location.pathname + (tab.dataset.tab === "info" ? "" : "?tab=" + encodeURIComponent(tab.dataset.tab)));
  }
  document.addEventListener("click", function (e) { var tab = e.target.closest && e.target.closest("[role=tab][data-tab]"); if (tab) select(tab); });
  document.addEventListener("keydown", function (e) {
    var tab = e.target.closest && e.target.closest("[role=tab][data-tab]");
    if (!tab || (e.key !== "ArrowRight" && e.key !== "ArrowLeft")) return;
    var all = Array.prototype.slice.call(tab.parentElement.querySelectorAll("[role=tab]"));
    var next = all[(all.indexOf(tab) + (e.key === "ArrowRight" ? 1 : all.length - 1)) % all.length];
    e.preventDefault(); next.focus(); next.click();
  });
})();
