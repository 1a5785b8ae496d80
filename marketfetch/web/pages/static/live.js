// Keeps the live part of a page up to date. The server says what has changed (server-sent events), and htmx then asks for the
// part again, once a second at most; so there is one rendering, the server's. Without this script the page is a snapshot.
(function () {
  "use strict";

  var OFTEN_MS = 1000, LATER_MS = 5000, POLL_MS = 15000, HIDDEN_MS = 5000, SAID_EVERY_MS = 10000;
  var banner = document.getElementById("banner"), spoken = document.getElementById("progress-said");
  var source = null, again = null, hidden = null, due = null, poll = null;
  // `shown`: when the content came that is on the page, which is before an outage is found.
  var lost = null, shown = new Date(), away = "", failed = "", asked = 0, busy = false, said = 0, waits = 1000;

  // Why it polls beside the events: the server looks for changes once a second, and a page that is made between two looks may show
  // what is undone before the second one, which then has nothing to say.
  function part() { return document.querySelector("[data-live]"); }

  function clock(at) { return at.toISOString().slice(11, 19) + " UTC"; }

  function show() {
    var words = failed || away;
    if (!words && lost) words = "Not live since " + clock(lost) + ", trying again.";
    else if (words && lost) words += " What is shown is from " + clock(shown) + "; trying again.";
    if (banner.textContent !== words) banner.textContent = words;
    banner.hidden = !words;
  }

  function isLost() { lost = lost || new Date(); show(); }

  function isLive() { if (!failed && !away && source && source.readyState === 1) lost = null; show(); }

  // One request at a time, and one more behind it if something has changed meanwhile.
  function refresh() {
    if (due || document.hidden) return;
    due = setTimeout(function () {
      due = null;
      if (busy) return refresh();
      var one = part();
      if (!one) return;
      asked = Date.now();
      busy = true;
      htmx.trigger(one, "live");
    }, Math.max(50, asked + (failed ? LATER_MS : OFTEN_MS) - Date.now()));
  }

  function localTimes() {
    document.querySelectorAll("time[datetime]").forEach(function (one) {
      one.title = new Date(one.dateTime).toLocaleString(undefined, { timeZoneName: "short" });
    });
  }

  function say() {
    var one = part(), words = one && one.dataset.said;
    if (!words || words === spoken.textContent || Date.now() - said < SAID_EVERY_MS) return;
    said = Date.now();
    spoken.textContent = words;
  }

  function open() {
    var one = part();
    close();
    if (!one || !one.dataset.live || document.hidden) return;
    source = new EventSource("/live?" + one.dataset.live);
    source.onopen = function () { waits = 1000; isLive(); };
    source.onerror = function () {
      isLost();
      // A browser comes back by itself, except from a refusal.
      if (source.readyState === 2) { close(); again = setTimeout(open, waits); waits = Math.min(2 * waits, 30000); refresh(); }
    };
    source.addEventListener("job", refresh);
    source.addEventListener("key", refresh);
    source.addEventListener("service", function (event) {
      var state = JSON.parse(event.data);
      away = state.ok ? "" : state.detail;
      if (away) isLost(); else { isLive(); refresh(); }
    });
    source.addEventListener("end", function () { close(); location.reload(); });
  }

  function close() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  // A page that is not looked at costs nothing: browsers also allow only six connections to a server.
  document.addEventListener("visibilitychange", function () {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(close, HIDDEN_MS);
    else if (part()) { if (!source) open(); refresh(); }
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", function (event) { if (event.persisted) { open(); refresh(); } });

  document.addEventListener("htmx:after:request", function (event) {
    var status = event.detail.ctx.response.status;
    if (status === 401) { location.reload(); return; }
    failed = status < 400 ? "" : status === 503 ? "Redis or the database does not respond." : "This server can't show the page now (" + status + ").";
    if (failed) { isLost(); } else { shown = new Date(); isLive(); }
  });
  document.addEventListener("htmx:error", function () { failed = "The server does not respond."; isLost(); });
  document.addEventListener("htmx:finally:request", function () { busy = false; if (failed) refresh(); });
  document.addEventListener("htmx:after:swap", function () { localTimes(); say(); });

  document.addEventListener("DOMContentLoaded", function () {
    localTimes();
    if (!part()) return;
    open();
    poll = setInterval(refresh, POLL_MS);
  });
})();
