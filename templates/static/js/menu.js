// Runs as soon as the menu stands, before the first paint: its groups are as they were left.
(function () {
  "use strict";
  document.querySelectorAll(".side details").forEach(function (d) {
    var key = "ml-nav:" + d.dataset.g; try { if (localStorage.getItem(key) === "1") d.open = true; } catch (_) { return; }
    d.addEventListener("toggle", function () { try { localStorage.setItem(key, d.open ? "1" : "0"); } catch (_) { /* private mode */ } });
  });
  var here = document.querySelector(".side [aria-current]"); if (here && here.offsetParent) here.scrollIntoView({ block: "nearest" });
})();
