// The inbox by keyboard: j and k walk through the lines, Enter opens one, x picks it. On the page of a case: Ctrl+Enter passes.
(function () {
  "use strict";
  var here = -1;
  function lines() { return Array.prototype.slice.call(document.querySelectorAll("#inboxzone table.sheet tbody tr")); }
  function walk(by) {
    var all = lines(); if (!all.length) return;
    here = Math.max(0, Math.min(all.length - 1, here + by));
    all.forEach(function (tr, n) { tr.classList.toggle("cur", n === here); });
    var link = all[here].querySelector("a"); if (link) link.focus({ preventScroll: true });
    all[here].scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", function (e) {
    var typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) && e.target.type !== "checkbox" || e.target.isContentEditable;
    if ((e.ctrlKey || e.metaKey) && e.key === "Enter") { var pass = document.querySelector(".decidebar [name=decision][value=pass]"); if (pass && !document.querySelector("dialog[open]")) { e.preventDefault(); pass.click(); } return; }
    if (typing || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
    if (e.key === "j") walk(1);
    else if (e.key === "k") walk(-1);
    else if (e.key === "x" && here >= 0) { var box = (lines()[here] || document).querySelector("[data-pick]"); if (box) box.click(); }
  });
})();
