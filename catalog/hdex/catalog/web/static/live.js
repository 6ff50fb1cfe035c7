/* Manners for htmx: a part is asked for only while somebody looks, changed only where it differs, and told in words.
   A page works without this file; then its links and its own reload are what there is. */
"use strict";
(() => {
  const SLOWEST = 30; // polls that are left out between two tries of a server that does not answer
  const part = () => document.getElementById("live");
  const line = () => document.getElementById("live-line");
  const is_poll = (event) => event.detail.requestConfig?.elt.id === "live-line";
  const parsed = (text, id) => new DOMParser().parseFromString(text, "text/html").getElementById(id);
  let served = ""; // the part as the server last gave it: what a reader has opened or typed in it is no change
  let tag = ""; // of the page as it was last given: desks are stored nowhere, so no browser keeps it
  let opened = []; // what the reader has unfolded in it
  let paused = false;
  let failures = 0;
  let skip = 0;

  const show = (state) => line()?.setAttribute("data-state", state);
  const ended = () => ["stopped", "signed-out"].includes(line()?.dataset.state);

  function stop(text) {
    const said = parsed(text, "live-line"); // where to sign in again
    if (said) line().replaceWith(said);
    else {
      show("stopped");
      line().replaceWith(line().cloneNode(true)); // without its timer
    }
  }

  function missed() {
    failures += 1;
    skip = Math.min(2 ** failures - 1, SLOWEST);
    show("away");
  }

  function answered(xhr) {
    failures = skip = 0;
    tag = xhr.getResponseHeader("etag") ?? tag;
    const told = Date.parse(xhr.getResponseHeader("date") ?? "");
    const clock = document.getElementById("live-at");
    if (clock && told) clock.textContent = new Date(told).toISOString().slice(11, 19);
    if (!ended()) show(paused ? "paused" : "on");
  }

  document.documentElement.classList.add("scripted");
  document.addEventListener("DOMContentLoaded", () => { served = part()?.outerHTML ?? ""; });

  document.addEventListener("htmx:configRequest", (event) => {
    if (tag && event.detail.elt.id === "live-line") event.detail.headers["If-None-Match"] = tag;
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!is_poll(event)) return;
    if (document.hidden || paused || ended() || skip > 0) event.preventDefault();
    skip = Math.max(0, skip - 1);
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!is_poll(event)) return;
    const { xhr, serverResponse } = event.detail;
    if (xhr.status === 429 || xhr.status >= 500) missed();
    else if (xhr.status >= 400) stop(serverResponse);
    else {
      const fresh = parsed(serverResponse, "live");
      event.detail.shouldSwap = fresh !== null && fresh.outerHTML !== served;
      if (event.detail.shouldSwap) {
        const news = document.getElementById("live-news");
        if (news && fresh.dataset.news !== part().dataset.news) news.textContent = fresh.dataset.news;
        served = fresh.outerHTML;
        opened = [...part().querySelectorAll("details[id][open]")].map((one) => one.id);
      }
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    opened = [];
  });

  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (is_poll(event) && event.detail.xhr.status < 400) answered(event.detail.xhr);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => { if (is_poll(event)) missed(); });
  }
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, (event) => {
      const link = event.detail.requestConfig?.elt;
      if (link instanceof HTMLAnchorElement) location.assign(link.href); // what is wrong is said by a page of its own
    });
  }

  document.addEventListener("click", (event) => {
    if (event.target.id !== "live-pause") return;
    paused = !paused;
    event.target.setAttribute("aria-pressed", String(paused));
    show(paused ? "paused" : "on");
  });

  /* Typing: letters of an unfinished Chinese word are no search, and one search of many letters is one step back. */
  let typed = false;
  document.addEventListener("input", (event) => { if (event.isComposing) event.stopPropagation(); }, true);
  document.addEventListener("compositionend", (event) => {
    event.target.dispatchEvent(new Event("input", { bubbles: true }));
  });
  document.addEventListener("htmx:beforeHistoryUpdate", (event) => {
    const typing = event.detail.requestConfig?.elt.matches("input[type=search]") ?? false;
    if (typing && typed) event.detail.history.type = "replace";
    typed = typing;
  });
})();
