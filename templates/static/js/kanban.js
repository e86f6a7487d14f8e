// Boards: cards go to another column by mouse or by their menu; the server runs the action that leads there, or says why none does.
// Pointer events of our own: those of HTML drag and drop do not come on every device, and not on touch.
(function () {
  "use strict";
  var START = 6, EDGE = 48, held = null;
  function go() {
    var ml = window.metaloom, $ = ml.$, $$ = ml.$$;
    function board() { return $("[data-kanban]"); }

    document.addEventListener("pointerdown", function (e) {
      var card = e.target.closest && e.target.closest("[data-card]");
      if (!card || e.button !== 0 || e.pointerType === "touch" || e.target.closest("button") || card.classList.contains("busy") || !card.dataset.to) return;
      held = { card: card, x: e.clientX, y: e.clientY, ghost: null, lane: null, timer: 0 };
    });
    document.addEventListener("dragstart", function (e) { if (e.target.closest && e.target.closest("[data-kanban]")) e.preventDefault(); });
    document.addEventListener("pointermove", function (e) {
      if (!held) return;
      if (!held.ghost && Math.abs(e.clientX - held.x) + Math.abs(e.clientY - held.y) < START) return;
      if (!held.ghost) lift();
      e.preventDefault();
      held.at = { x: e.clientX, y: e.clientY };
      held.ghost.style.transform = "translate(" + (held.left + e.clientX - held.x) + "px," + (held.top + e.clientY - held.y) + "px) rotate(1.5deg)";
      over();
    });
    document.addEventListener("pointerup", function () {
      if (!held) return;
      var was = held, lane = held.ghost && held.lane;
      if (held.ghost) swallowClick();
      put();
      if (!lane || lane === was.card.closest("[data-lane]")) return;
      if (!may(was.card, lane)) { ml.toast(ml.say("js.no_way").replace("{column}", lane.getAttribute("aria-label")), "warn"); return; }
      move(was.card, was.card.dataset.card, lane.dataset.lane, was.card.dataset.version);
    });
    document.addEventListener("pointercancel", put);
    document.addEventListener("keydown", function (e) { if (e.key === "Escape" && held) { e.preventDefault(); put(); } });

    function may(card, lane) { return (card.dataset.to || "").split(" ").indexOf(lane.dataset.lane) >= 0 && lane.dataset.lane !== ""; }
    function lift() {
      var card = held.card, r = card.getBoundingClientRect(), ghost = card.cloneNode(true), own = card.closest("[data-lane]");
      held.left = r.left; held.top = r.top; held.ghost = ghost;
      ghost.removeAttribute("data-card"); ghost.className = "kcard ghost"; ghost.setAttribute("aria-hidden", "true"); ghost.style.width = r.width + "px";
      document.body.append(ghost); document.body.classList.add("dragging"); card.classList.add("held");
      $$("[data-lane]", board()).forEach(function (lane) { if (lane !== own) lane.classList.add(may(card, lane) ? "can" : "cannot"); });
      held.timer = setInterval(glide, 16);
    }
    function over() {
      var under = document.elementFromPoint(held.at.x, held.at.y), lane = under && under.closest("[data-lane]");
      if (lane === held.lane) return;
      if (held.lane) held.lane.classList.remove("over");
      held.lane = lane; if (lane) lane.classList.add("over");
    }
    // Near an edge the board goes on by itself.
    function glide() {
      var b = board(); if (!b || !held || !held.at) return;
      var r = b.getBoundingClientRect(), by = held.at.x < r.left + EDGE ? -12 : held.at.x > r.right - EDGE ? 12 : 0;
      if (by) { b.scrollLeft += by; over(); }
    }
    function put() {
      if (!held) return;
      clearInterval(held.timer);
      if (held.ghost) held.ghost.remove();
      held.card.classList.remove("held"); document.body.classList.remove("dragging");
      $$("[data-lane]").forEach(function (lane) { lane.classList.remove("can", "cannot", "over"); });
      held = null;
    }
    function swallowClick() {
      function stop(e) { e.preventDefault(); e.stopPropagation(); }
      document.addEventListener("click", stop, { capture: true, once: true });
      setTimeout(function () { document.removeEventListener("click", stop, true); }, 0);
    }

    // ---- the move itself
    function move(card, id, to, version) {
      var b = board(); keepPlace(b);
      if (card) card.classList.add("busy");
      function done() { if (card) card.classList.remove("busy"); }
      htmx.ajax("POST", b.dataset.kanban + id + "/move", { target: "#dialog", swap: "innerHTML",
        values: { to: to, list: b.dataset.list, _version: version, _next: location.pathname + location.search } }).then(done, done);
    }
    document.addEventListener("click", function (e) {
      var b = e.target.closest("[data-move]"); if (!b) return;
      $("#rowmenu").hidden = true;
      move($("[data-card='" + b.dataset.move + "']"), b.dataset.move, b.dataset.moveTo, b.dataset.version);
    });
    // The page comes anew after a move: the board stands where it stood.
    function placeKey() { return "ml-board:" + location.pathname; }
    function keepPlace(b) { try { sessionStorage.setItem(placeKey(), String(b.scrollLeft)); } catch (_) { /* private mode */ } }
    function findPlace() {
      var b = board(), at; if (!b) return;
      try { at = sessionStorage.getItem(placeKey()); sessionStorage.removeItem(placeKey()); } catch (_) { return; }
      if (at) b.scrollLeft = Number(at);
    }
    findPlace();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go); else go();
})();
