// Draws the chart of the page again, to be read closely: a cursor with values, zoom by dragging, arrow keys. The server's drawing
// stays where this script can't run or its data don't come.
(function () {
  "use strict";

  var place = document.getElementById("chart");
  if (!place || typeof uPlot === "undefined") return;

  function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  function hatched(ctx, name) {
    var tile = document.createElement("canvas"), on = tile.getContext("2d");
    tile.width = tile.height = 6;
    on.strokeStyle = colour(name);
    on.lineWidth = 1.5;
    on.beginPath(); on.moveTo(0, 6); on.lineTo(6, 0); on.stroke();
    return ctx.createPattern(tile, "repeat");
  }

  function marks(data) {
    return function (u) {
      var ctx = u.ctx, box = u.bbox, dot = devicePixelRatio || 1;
      ctx.save();
      ctx.beginPath(); ctx.rect(box.left, 0, box.width, box.top + box.height); ctx.clip();
      data.gaps.forEach(function (gap) {
        var x = u.valToPos(gap[0], "x", true), end = u.valToPos(gap[1], "x", true);
        ctx.globalAlpha = .22; ctx.fillStyle = colour("--warn");
        ctx.fillRect(x, box.top, Math.max(2 * dot, end - x), box.height);
      });
      ctx.globalAlpha = 1;
      data.actions.forEach(function (action) {
        var x = u.valToPos(action[0], "x", true);
        ctx.strokeStyle = ctx.fillStyle = colour("--run");
        ctx.setLineDash([4 * dot, 4 * dot]);
        ctx.beginPath(); ctx.moveTo(x, box.top); ctx.lineTo(x, box.top + box.height); ctx.stroke();
        ctx.setLineDash([]);
        ctx.beginPath(); ctx.moveTo(x - 6 * dot, box.top); ctx.lineTo(x + 6 * dot, box.top); ctx.lineTo(x, box.top + 10 * dot); ctx.fill();
      });
      data.partial.forEach(function (n) {
        if (data.close[n] === null) return;
        var x = u.valToPos(data.ts[n], "x", true), y = u.valToPos(data.close[n], "y", true), side = 6 * dot;
        ctx.fillStyle = hatched(ctx, "--warn"); ctx.strokeStyle = colour("--warn");
        ctx.fillRect(x - side, y - side, 2 * side, 2 * side); ctx.strokeRect(x - side, y - side, 2 * side, 2 * side);
      });
      ctx.restore();
    };
  }

  // A line over a gap would show prices that are not there.
  function broken(data) {
    var columns = [[], [], [], [], [], []], gap = 0;
    data.ts.forEach(function (ts, n) {
      while (gap < data.gaps.length && data.gaps[gap][0] <= ts) {
        if (n) [data.gaps[gap][0], null, null, null, null, null].forEach(function (one, i) { columns[i].push(one); });
        gap += 1;
      }
      [ts, data.close[n], data.open[n], data.high[n], data.low[n], data.volume[n]].forEach(function (one, i) { columns[i].push(one); });
    });
    return columns;
  }

  function words(digits) {
    return function (u, one) { return one === null || one === undefined ? "–" : one.toLocaleString("en", { maximumFractionDigits: digits }); };
  }

  function draw(data) {
    var drawing = place.querySelector("svg"), holder = document.createElement("div"), plot = null;
    holder.tabIndex = 0;
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", drawing.getAttribute("aria-label") + ". Arrow keys move the cursor.");
    drawing.setAttribute("hidden", "");
    place.appendChild(holder);

    function size() { return { width: Math.max(280, place.clientWidth - 20), height: place.clientWidth < 600 ? 300 : 420 }; }

    function made() {
      if (plot) plot.destroy();
      var line = colour("--line"), soft = colour("--soft"), axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
      var box = size(), bar = data.ts.length > 1 ? (data.ts[data.ts.length - 1] - data.ts[0]) / (data.ts.length - 1) : 86400, floor = 0;

      // Half a bar and half a mark stand outside of the first and the last moment.
      function wide(u, first, last) {
        var more = Math.max(bar / 2, 10 * (last - first) / box.width);
        return [first - more, last + more];
      }

      // The lower quarter is the volume's.
      function above(u, low, high) {
        if (low === null) return [0, 1];
        var span = high - low || Math.abs(high) * .01 || 1;
        floor = low - .05 * span;
        return [low - .45 * span, high + .05 * span];
      }

      function prices(u, all) { return all.map(function (one) { return one < floor ? null : one; }); }

      plot = new uPlot({
        width: box.width, height: box.height,
        tzDate: function (ts) { return uPlot.tzDate(new Date(ts * 1000), data.zone); },
        cursor: { points: { size: 7 } },
        scales: { x: { range: wide }, y: { range: above }, volume: { range: function (u, low, high) { return [0, 4 * (high || 1)]; } } },
        axes: [axis, {
          side: 1, size: 64, stroke: soft, filter: prices, grid: { stroke: line, width: 1, filter: prices }, ticks: { stroke: line, filter: prices },
          values: function (u, all) { return all.map(function (one) { return one === null ? "" : words(4)(u, one); }); },
        }],
        series: [
          { label: "date", value: function (u, ts) { return ts === null ? "–" : uPlot.fmtDate("{YYYY}-{MM}-{DD} {HH}:{mm}")(uPlot.tzDate(new Date(ts * 1000), data.zone)).replace(" 00:00", ""); } },
          { label: "close", stroke: colour("--fill"), width: 1.6, value: words(4), points: { show: false } },
          { label: "open", paths: function () { return null; }, points: { show: false }, value: words(4) },
          { label: "high", paths: function () { return null; }, points: { show: false }, value: words(4) },
          { label: "low", paths: function () { return null; }, points: { show: false }, value: words(4) },
          { label: "volume", scale: "volume", fill: soft + "66", stroke: soft + "66", paths: uPlot.paths.bars({ size: [0.7, 12] }), points: { show: false }, value: words(0) },
        ],
        hooks: { draw: [marks(data)] },
      }, broken(data), holder);
    }

    made();
    holder.addEventListener("keydown", function (event) {
      var step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      var from = plot.cursor.idx === null || plot.cursor.idx === undefined ? plot.data[0].length - (step > 0 ? 2 : 0) : plot.cursor.idx;
      var to = Math.min(plot.data[0].length - 1, Math.max(0, from + step)), close = plot.data[1][to];
      plot.setCursor({ left: plot.valToPos(plot.data[0][to], "x"), top: close === null ? 10 : plot.valToPos(close, "y") });
    });
    new ResizeObserver(function () { var box = size(); if (box.width !== plot.width) plot.setSize(box); }).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", made);
    place.dataset.drawn = "true";
  }

  fetch(place.dataset.from, { headers: { Accept: "application/json" } })
    .then(function (response) { if (!response.ok) throw new Error(String(response.status)); return response.json(); })
    .then(draw)
    .catch(function () { place.dataset.drawn = "false"; });
})();
