// A signature drawn with mouse, finger or pen. The picture travels in the hidden input beside the canvas, black on white.
(function () {
  "use strict";
  var drawing = null;
  function holder(from) { return from && from.closest ? from.closest("[data-signpad]") : null; }
  function value(pad) { return pad.querySelector("input"); }
  function pen(canvas) { var c = canvas.getContext("2d"); c.lineWidth = 3; c.lineCap = c.lineJoin = "round"; c.strokeStyle = c.fillStyle = "#10182b"; return c; }
  function paper(canvas) { var c = canvas.getContext("2d"); c.fillStyle = "#fff"; c.fillRect(0, 0, canvas.width, canvas.height); }
  function place(canvas, e) { var box = canvas.getBoundingClientRect(); return { x: (e.clientX - box.left) * canvas.width / box.width, y: (e.clientY - box.top) * canvas.height / box.height }; }
  function line(from, to) { var c = pen(drawing.canvas); c.beginPath(); c.moveTo(from.x, from.y); c.lineTo(to.x, to.y); c.stroke(); }
  document.addEventListener("pointerdown", function (e) {
    var canvas = e.target, pad = holder(canvas);
    if (!pad || canvas.tagName !== "CANVAS" || e.button) return;
    e.preventDefault();
    if (!pad.classList.contains("inked")) { paper(canvas); pad.classList.add("inked"); }
    drawing = { canvas: canvas, pad: pad, id: e.pointerId, at: place(canvas, e) };
    if (canvas.setPointerCapture) canvas.setPointerCapture(e.pointerId);
    line(drawing.at, drawing.at);
  });
  document.addEventListener("pointermove", function (e) {
    if (!drawing || e.pointerId !== drawing.id) return;
    var steps = e.getCoalescedEvents ? e.getCoalescedEvents() : [];
    (steps.length ? steps : [e]).forEach(function (one) { var to = place(drawing.canvas, one); line(drawing.at, to); drawing.at = to; });
  });
  function lift(e) {
    if (!drawing || e.pointerId !== drawing.id) return;
    var input = value(drawing.pad);
    input.value = drawing.canvas.toDataURL("image/png"); drawing = null;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
  document.addEventListener("pointerup", lift);
  document.addEventListener("pointercancel", lift);
  document.addEventListener("click", function (e) {
    var clear = e.target.closest && e.target.closest("[data-signpad-clear]"), pad = holder(clear);
    if (!pad) return;
    paper(pad.querySelector("canvas")); pad.classList.remove("inked"); value(pad).value = "";
  });
  // What was drawn before the page came back with a question stands on the pad again.
  function again(root) {
    Array.prototype.forEach.call((root || document).querySelectorAll("[data-signpad]"), function (pad) {
      var text = value(pad).value, canvas = pad.querySelector("canvas"), picture = new Image();
      if (text.indexOf("data:image/png;base64,") !== 0 || pad.classList.contains("inked")) return;
      picture.onload = function () { paper(canvas); canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height); };
      picture.src = text; pad.classList.add("inked");
    });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", function () { again(); }); else again();
  document.addEventListener("htmx:afterSettle", function (e) { again(e.target); });
})();
