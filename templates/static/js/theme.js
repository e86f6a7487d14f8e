// Runs before the first paint: without a stored choice the page follows the system's light or dark.
(function () {
  var root = document.documentElement;
  if (!root.hasAttribute("data-bs-theme") && window.matchMedia("(prefers-color-scheme: dark)").matches) {
    root.setAttribute("data-bs-theme", "dark");
  }
  // Paper is white whatever the screen is.
  var screenTheme = null;
  window.addEventListener("beforeprint", function () { screenTheme = root.getAttribute("data-bs-theme"); root.setAttribute("data-bs-theme", "light"); });
  window.addEventListener("afterprint", function () { if (screenTheme) root.setAttribute("data-bs-theme", screenTheme); else root.removeAttribute("data-bs-theme"); });
})();
