// Runs before the first paint: without a stored choice the page follows the system's light or dark.
(function () {
  var root = document.documentElement;
  if (!root.hasAttribute("data-bs-theme") && window.matchMedia("(prefers-color-scheme: dark)").matches) {
    root.setAttribute("data-bs-theme", "dark");
  }
})();
