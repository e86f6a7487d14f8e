// Charts of the workbench: drawn from the data in each fragment, in the colours of the theme, every slice and point a link.
(function () {
  "use strict";
  var ml = window.metaloom, $$ = ml.$$;
  var PALETTE = {
    light: { blue: "#3b7ddd", green: "#3fa66a", orange: "#e58a2e", red: "#d9534f", purple: "#8b67cf", cyan: "#2fa3b8", yellow: "#d6b12a", grey: "#a3adb9" },
    dark: { blue: "#6aa5f2", green: "#63c58c", orange: "#f0a65a", red: "#f0827e", purple: "#b295ec", cyan: "#5fc4d6", yellow: "#e3c860", grey: "#7d8997" }
  };
  var ORDER = ["blue", "cyan", "green", "yellow", "orange", "purple", "red", "grey"];
  function dark() { return document.documentElement.getAttribute("data-bs-theme") === "dark"; }
  function token(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
  function colour(name, at) { var p = PALETTE[dark() ? "dark" : "light"]; return p[name] || p[ORDER[at % ORDER.length]]; }

  function short(value, locale) {
    var abs = Math.abs(value);
    if (locale === "zh") {
      if (abs >= 1e8) return trim(value / 1e8) + "亿";
      if (abs >= 1e4) return trim(value / 1e4) + "万";
    } else {
      if (abs >= 1e6) return trim(value / 1e6) + "M";
      if (abs >= 1e3) return trim(value / 1e3) + "k";
    }
    return trim(value);
  }
  function trim(value) { return String(Math.round(value * 100) / 100); }

  function common(data) {
    return {
      animationDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 300,
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: token("--ml-ink-2") },
      tooltip: {
        renderMode: "richText", confine: true, backgroundColor: token("--ml-raised"), borderColor: token("--ml-line"), borderWidth: 1,
        padding: [8, 12], textStyle: { color: token("--ml-ink"), fontSize: 13 }
      },
      unit: data.unit
    };
  }
  function legend(names) {
    return { show: names.length > 1, bottom: 0, icon: "roundRect", itemWidth: 12, itemHeight: 8, textStyle: { color: token("--ml-ink-2"), fontSize: 12.5 }, data: names };
  }
  function axis(data) {
    return { type: "value", minInterval: data.unit ? 0 : 1, splitNumber: 4, axisLabel: { color: token("--ml-ink-3"), formatter: function (v) { return short(v, data.locale); } },
      splitLine: { lineStyle: { color: token("--ml-line") } } };
  }
  function words(labels) {
    return { type: "category", data: labels, axisLabel: { color: token("--ml-ink-3"), hideOverlap: true }, axisTick: { show: false }, axisLine: { lineStyle: { color: token("--ml-line-strong") } } };
  }
  function unit(data) { return data.unit ? " " + data.unit : ""; }

  var KINDS = {
    trend: function (data) {
      var o = common(data), bar = data.kind === "bar";
      o.grid = { left: 8, right: 16, top: 16, bottom: data.series.length > 1 ? 30 : 4, containLabel: true };
      o.xAxis = words(data.labels); o.yAxis = axis(data); o.legend = legend(data.series.map(function (s) { return s.name; }));
      o.xAxis.boundaryGap = bar;
      o.tooltip.trigger = "axis"; o.tooltip.axisPointer = { type: bar ? "shadow" : "line", lineStyle: { color: token("--ml-line-strong") } };
      o.tooltip.formatter = function (all) {
        return data.labels[all[0].dataIndex] + all.map(function (p) { return "\n" + p.seriesName + "  " + data.series[p.seriesIndex].said[p.dataIndex] + unit(data); }).join("");
      };
      o.series = data.series.map(function (s, at) {
        var c = colour(s.colour, at);
        return { name: s.name, type: bar ? "bar" : "line", data: s.values, smooth: false, showSymbol: data.labels.length <= 31, symbolSize: 6, barMaxWidth: 28, connectNulls: false,
          itemStyle: { color: c, borderRadius: bar ? [3, 3, 0, 0] : 0 }, lineStyle: { width: 2, color: c }, areaStyle: data.kind === "area" ? { opacity: 0.14, color: c } : undefined };
      });
      return o;
    },
    bars: function (data) {
      var o = common(data);
      o.grid = { left: 8, right: 64, top: 4, bottom: 4, containLabel: true };
      o.yAxis = words(data.items.map(function (i) { return i.name; })); o.yAxis.inverse = true; o.yAxis.axisLabel.width = 110; o.yAxis.axisLabel.overflow = "truncate";
      o.xAxis = axis(data); o.xAxis.axisLabel.show = false; o.xAxis.splitLine.show = false;
      o.tooltip.formatter = function (p) { var i = data.items[p.dataIndex]; return i.name + "\n" + i.said + unit(data) + (i.share ? "  " + i.share : ""); };
      o.series = [{ type: "bar", barMaxWidth: 22, data: data.items.map(function (i) { return { value: i.value, itemStyle: { color: colour(i.colour || "blue", 0), borderRadius: [0, 3, 3, 0] } }; }),
        label: { show: true, position: "right", color: token("--ml-ink-2"), formatter: function (p) { return p.value === null ? "" : short(p.value, data.locale); } } }];
      return o;
    },
    pie: function (data) {
      var o = common(data), narrow = data.width < 420;
      o.tooltip.formatter = function (p) { var i = data.items[p.dataIndex]; return i.name + "\n" + i.said + unit(data) + "  " + i.share; };
      o.legend = legend(data.items.map(function (i) { return i.name; })); o.legend.show = true;
      if (!narrow) { o.legend.orient = "vertical"; o.legend.right = 8; o.legend.top = "middle"; o.legend.bottom = null; }
      o.legend.type = "scroll"; o.legend.pageTextStyle = { color: token("--ml-ink-3") };
      o.legend.formatter = function (name) { var i = data.items.filter(function (x) { return x.name === name; })[0]; return (name.length > 10 ? name.slice(0, 9) + "…" : name) + (i && i.share ? "  " + i.share : ""); };
      o.series = [{ type: "pie", radius: ["52%", "78%"], center: narrow ? ["50%", "42%"] : ["30%", "50%"], label: { show: false }, itemStyle: { borderColor: token("--ml-surface"), borderWidth: 2 },
        data: data.items.map(function (i, at) { return { name: i.name, value: i.value, itemStyle: { color: colour(i.colour, at) } }; }) }];
      return o;
    }
  };
  KINDS.line = KINDS.area = KINDS.bar = KINDS.trend;

  function draw(box) {
    var echarts = window.echarts; if (!echarts || !box.isConnected) return;
    var data = JSON.parse(box.dataset.chart); data.width = box.clientWidth;
    var chart = echarts.getInstanceByDom(box) || echarts.init(box, null, { renderer: "canvas" });
    chart.setOption(KINDS[data.kind](data), true);
    chart.off("click");
    chart.on("click", function (p) {
      var href = data.series ? data.series[p.seriesIndex].href[p.dataIndex] : data.items[p.dataIndex].href;
      if (href) location.href = href;
    });
    if (!box.dataset.watched) { box.dataset.watched = "1"; sizes.observe(box); }
  }
  var sizes = new ResizeObserver(function (seen) {
    seen.forEach(function (one) {
      var chart = window.echarts && window.echarts.getInstanceByDom(one.target); if (!chart) return;
      if (!one.target.isConnected) { sizes.unobserve(one.target); chart.dispose(); return; }
      if (chart.getWidth() !== one.target.clientWidth || chart.getHeight() !== one.target.clientHeight) { chart.resize(); draw(one.target); }
    });
  });
  function all(root) { $$("[data-chart]", root).forEach(draw); if (root.matches && root.matches("[data-chart]")) draw(root); }
  ml.ready.push(all);
  // What is about to be replaced lets go of its canvas first.
  document.addEventListener("htmx:beforeSwap", function (e) {
    if (e.detail.target && e.detail.target.classList.contains("widget-body")) $$("[data-chart]", e.detail.target).forEach(function (box) {
      var chart = window.echarts && window.echarts.getInstanceByDom(box); if (chart) { sizes.unobserve(box); chart.dispose(); }
    });
  });
  new MutationObserver(function () { all(document); }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });

  // ---- a fragment that did not come says so in its place
  document.addEventListener("htmx:sendError", trouble); document.addEventListener("htmx:responseError", trouble);
  function trouble(e) {
    var body = e.detail.elt && (e.detail.elt.closest(".widget-body") || document.querySelector(e.detail.elt.getAttribute("hx-target") || "#none"));
    if (body && body.querySelector(".skeleton")) { body.textContent = ""; body.append(ml.el("div", { "class": "empty small", role: "alert" }, ml.say("js.failed"))); }
  }
  document.addEventListener("click", function (e) { if (e.target.closest("[data-board-refresh]")) document.body.dispatchEvent(new CustomEvent("board-refresh")); });
  all(document);
})();
