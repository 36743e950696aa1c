"use strict";
// Documents, links and elements. Classic scripts: a page that is opened from a disk may neither fetch nor import.

var savi = (() => {
  const views = new Map();
  const documents = new Map(); // name -> promise
  const waiting = new Map(); // name -> the functions that settle it
  let site = null;
  let current = null; // the element of what was asked for last: an answer that comes late is dropped

  // Called by the scripts in data/.
  function receive(name, document) {
    const settle = waiting.get(name);
    waiting.delete(name);
    if (settle) settle.resolve(document);
  }

  // A document by its name. It is read once, or anew where the run has written something.
  function load(name) {
    if (!documents.has(name)) {
      documents.set(name, new Promise((resolve, reject) => {
        waiting.set(name, { resolve, reject });
        const script = document.createElement("script");
        // A file has no versions, and some browsers take the question mark for a part of its name.
        script.src = `data/${name}.js` + (location.protocol === "file:" ? "" : `?at=${Date.now()}`);
        script.onload = () => {
          script.remove();
          if (waiting.delete(name)) reject(new Error(`${name} is damaged`));
        };
        script.onerror = () => {
          script.remove();
          documents.delete(name);
          waiting.delete(name);
          reject(new Error(`${name} can't be read`));
        };
        document.head.append(script);
      }));
    }
    return documents.get(name);
  }

  // An element. Strings become text: what a model wrote is never markup.
  function h(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }

  function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  }

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  function link(view, parameters = {}) {
    const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return `#/${view}${query ? `?${query}` : ""}`;
  }

  function place() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const view = views.has(path) ? path : views.keys().next().value;
    return { view, parameters: Object.fromEntries(new URLSearchParams(query)) };
  }

  function number(parameters) {
    const run = Number(parameters.run || 0);
    return site.runs[run] ? run : 0;
  }

  async function show({ focus = false } = {}) {
    const { view, parameters } = place();
    const run = number(parameters);
    const main = document.getElementById("main");
    for (const one of document.querySelectorAll("#views a")) {
      one.href = link(one.dataset.view, run ? { run } : {});
      if (one.dataset.view === view) one.setAttribute("aria-current", "page");
      else one.removeAttribute("aria-current");
    }
    document.getElementById("run").value = String(run);
    document.title = `${views.get(view).title} · ${site.runs[run].name} · savi`;
    const content = current = h("div", { class: `view ${view}` });
    try {
      await views.get(view).show(content, { ...parameters, run }, site);
    } catch (error) {
      content.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
    }
    if (content !== current) return;
    main.replaceChildren(content);
    views.get(view).ready?.(content, parameters);
    if (focus) main.focus();
  }

  // Raises what a document says went wrong.
  async function need(name) {
    const found = await load(name);
    if (found.problem) throw new Error(found.problem);
    return found;
  }

  // Reads a document anew, for what the page itself has changed.
  function again(name) {
    documents.delete(name);
    return need(name);
  }

  async function follow() {
    documents.delete("site");
    let now;
    try {
      now = await load("site");
    } catch {
      say("The server has ended: savi view starts it again.");
      return;
    }
    const run = number(place().parameters);
    if (now.runs[run].version !== site.runs[run].version) {
      site = now;
      documents.clear();
      documents.set("site", Promise.resolve(now));
      // What somebody reads or judges isn't taken away from them.
      if (views.get(place().view).follows) show();
      else say("The run has gone on. ", h("button", { type: "button", onclick: () => { say(); show(); } }, "Show it"));
    }
    setTimeout(follow, 3000);
  }

  function say(...parts) {
    document.getElementById("news").replaceChildren(...parts);
  }

  function remember(name, value) {
    try {
      if (value === undefined) return localStorage.getItem(`savi-${name}`);
      localStorage.setItem(`savi-${name}`, value);
    } catch { /* some browsers keep nothing for files */ }
    return value;
  }

  function theme(next) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const now = next || remember("theme") || dark;
    document.documentElement.dataset.theme = now;
    return now;
  }

  async function start() {
    theme();
    document.getElementById("theme").addEventListener("click", () => {
      remember("theme", theme(theme() === "dark" ? "light" : "dark"));
    });
    const list = document.getElementById("views");
    for (const [name, view] of views) list.append(h("li", {}, h("a", { href: link(name), "data-view": name }, view.title)));
    try {
      site = await load("site");
    } catch (error) {
      document.getElementById("main").replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
      return;
    }
    const choice = document.getElementById("run");
    site.runs.forEach((run, at) => choice.append(h("option", { value: at }, run.name)));
    document.getElementById("run-choice").hidden = site.runs.length < 2;
    choice.addEventListener("change", () => { location.hash = link(place().view, { run: choice.value }); });
    addEventListener("hashchange", () => show({ focus: true }));
    addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, select, textarea, video");
      const move = views.get(place().view).keys?.()[event.key];
      if (!move || typing || event.ctrlKey || event.metaKey || event.altKey || remember("keys") === "off") return;
      event.preventDefault();
      move();
    });
    await show();
    if (site.live) setTimeout(follow, 3000);
  }

  return {
    receive, load, need, again, h, svg, link, start, say, remember,
    view: (name, view) => views.set(name, view),
    go: (view, parameters) => { location.hash = link(view, parameters); },
    // content: of the view, whose address stays as it is once somebody has left it.
    replace: (content, view, parameters) => { if (content === current) history.replaceState(null, "", link(view, parameters)); },
  };
})();
