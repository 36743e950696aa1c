"use strict";
// Held-out questions as two evaluations answered them: what was won, what was lost.

savi.view("learned", (() => {
  const { h } = savi;
  const { percent, signed, table } = charts;
  const ON_A_PAGE = 20;
  const CHANGES = ["won", "lost", "both right", "both wrong"];
  const MOST_ANSWERS = 10; // of a task, for a table of right answers against given ones
  let moves = {};

  async function show(content, parameters, site) {
    moves = {};
    content.append(h("h1", {}, "What was learned"));
    const { benchmarks, places } = await evaluations(parameters, site);
    if (places.length < 2) {
      content.append(h("p", {}, "This view sets two evaluations on the same held-out questions side by side. ",
        places.length ? "There is one so far." : "There is none yet."));
      return;
    }
    const own = places.filter((one) => one.run === parameters.run);
    const ends = own.length > 1 ? own : places;
    const find = (id) => places.find((one) => one.id === id);
    const [from, to] = [find(parameters.from) || ends[0], find(parameters.to) || ends.at(-1)];
    const chosen = { ...parameters, benchmark: places[0].name, from: from.id, to: to.id };
    const pairs = await paired(from, to);
    if (parameters.item) await showItem(content, chosen, pairs, from, to, site);
    else await showAll(content, chosen, benchmarks, places, pairs, from, to);
  }

  // The benchmarks' titles by name, and where one of them was evaluated: in which run, after which round.
  async function evaluations(parameters, site) {
    const benchmarks = new Map();
    const all = [];
    for (const [run, { name: called }] of site.runs.entries()) {
      const { benchmarks: found } = await savi.need(`${run}/learned`);
      for (const [at, { name, title, rounds }] of found.entries()) {
        benchmarks.set(name, title);
        for (const { round, measured } of rounds) {
          const label = (site.runs.length > 1 ? `${called}, ` : "") + (round ? `round ${round}` : "base");
          all.push({ id: `${run}-${round}`, run, name, at, round, measured, label });
        }
      }
    }
    const own = all.find((one) => one.run === parameters.run);
    const name = benchmarks.has(parameters.benchmark) ? parameters.benchmark : own?.name;
    return { benchmarks, places: all.filter((one) => one.name === name) };
  }

  // The questions that both evaluations answered.
  async function paired(from, to) {
    const [a, b] = await Promise.all([from, to].map((one) => savi.need(`${one.run}/outcomes_${one.at}_${one.round}`)));
    const places = new Map(b.rows.flatMap((row, place) => (row ? [[row[0], place]] : [])));
    return a.rows.flatMap((row, place) => {
      if (!row || !places.has(row[0])) return [];
      const [key, task, question, right, before, wasRight] = row;
      const [, , , , after, isRight] = b.rows[places.get(key)];
      const change = CHANGES[wasRight ? (isRight ? 2 : 1) : (isRight ? 0 : 3)];
      return [{ key, task, question, right, before, after, wasRight, isRight, change, places: [place, places.get(key)], part: a.part }];
    });
  }

  // ---- all questions

  async function showAll(content, chosen, benchmarks, places, pairs, from, to) {
    const select = (id, options, value) => h("select", { id },
      options.map(([name, text]) => h("option", { value: name, selected: name === value }, text)));
    const ends = places.map((one) => [one.id, one.label]);
    const heads = { benchmark: select("benchmark", [...benchmarks], chosen.benchmark), from: select("from", ends, from.id), to: select("to", ends, to.id) };
    const tasks = [...new Set(pairs.map((one) => one.task))];
    const change = select("change", [["", "any"], ...CHANGES.map((one) => [one, one])], chosen.change);
    const task = select("task", [["", "any"], ...tasks.map((one) => [one, one])], chosen.task);
    const search = h("input", { type: "search", id: "q", value: chosen.q || "" });
    const results = h("div", { class: "results" });

    const now = (page = "") => ({ run: chosen.run || "", benchmark: heads.benchmark.value, from: heads.from.value, to: heads.to.value,
      change: change.value, task: task.value, q: search.value.trim(), page: page || "" });
    const update = (page) => {
      const wanted = now(page);
      savi.replace(content, "learned", wanted);
      draw(results, pairs.filter((one) => fits(one, wanted)), pairs, wanted, update);
    };
    heads.benchmark.addEventListener("change", () => savi.go("learned", { run: chosen.run || "", benchmark: heads.benchmark.value }));
    for (const name of ["from", "to"]) heads[name].addEventListener("change", () => savi.go("learned", now()));
    for (const one of [change, task]) one.addEventListener("change", () => update());
    let waits = 0;
    search.addEventListener("input", () => { clearTimeout(waits); waits = setTimeout(update, 200); });

    const label = (text, inside, more = "") => h("label", { class: more }, `${text} `, inside);
    const form = (...inside) => h("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); update(); } }, inside);
    content.append(...[
      form(benchmarks.size > 1 ? label("Benchmark", heads.benchmark) : null, label("From", heads.from), label("To", heads.to)),
      await gain(pairs, from, to, (found) => savi.link("learned", { ...now(), ...found, page: "" })),
      confusion(pairs, tasks, from, to),
      h("h2", { id: "questions" }, "Questions"),
      form(label("Became", change), label("Task", task), label("Words in question or answers", search, "grow")),
      results, clips.keys("/ to search, j and k for the next and the previous page"),
    ].filter(Boolean));
    moves = {
      "/": () => search.focus(),
      j: () => results.querySelector("[rel=next]")?.click(),
      k: () => results.querySelector("[rel=prev]")?.click(),
    };
    update(Number(chosen.page) || 0);
  }

  function fits(one, wanted) {
    const words = wanted.q.toLowerCase();
    return (!wanted.change || one.change === wanted.change) && (!wanted.task || one.task === wanted.task)
      && (!words || `${one.question}\n${one.right}\n${one.before}\n${one.after}`.toLowerCase().includes(words));
  }

  // What both make of the questions, as `savi compare` says it; by task, with links to what was won and lost.
  async function gain(pairs, from, to, to_list) {
    const [first, second, turned] = order(from, to);
    const found = from.id === to.id ? null : await savi.need(`difference_${first}_${second}`);
    const sign = turned ? -1 : 1;
    const count = (change, task) => pairs.filter((one) => one.change === change && (!task || one.task === task)).length;
    const linked = (change, task) => h("a", { href: to_list({ change, task: task || "" }) }, String(count(change, task)));
    const said = [];
    if (found?.accuracies) {
      const [before, after] = turned ? [...found.accuracies].reverse() : found.accuracies;
      const ends = found.interval.map((end) => 100 * sign * end).sort((a, b) => a - b).map((end) => signed(end));
      said.push(`${percent(before)} → ${percent(after)}: ${signed(100 * (after - before))} points`,
        ` (95 % interval ${ends.join(" to ")}, p ${found.p < 0.0002 ? "below 0.0002" : `= ${found.p.toFixed(4)}`}) `,
        `on ${found.questions} questions about ${found.videos} videos.`);
    }
    if (found?.left_out) said.push(` ${found.left_out} questions were answered in one of the two alone.`);
    const others = found?.others && (turned ? [...found.others].reverse() : found.others);
    const share = (rows, name) => percent(rows.length ? rows.filter((one) => one[name]).length / rows.length : null, 0);
    const row = (name, task) => {
      const rows = pairs.filter((one) => !task || one.task === task);
      return h("tr", {}, h("th", { scope: "row" }, name), [rows.length, share(rows, "wasRight"), share(rows, "isRight"),
        linked("won", task), linked("lost", task)].map((cell) => h("td", {}, cell)));
    };
    const tasks = [...new Set(pairs.map((one) => one.task))];
    return h("section", { class: "card", "aria-label": "The change" },
      pairs.length ? h("p", { class: "gain" }, said) : h("p", {}, "No question with a known answer was answered in both."),
      others ? h("p", { class: "problem" }, `They were measured differently: ${others.join("; ")}.`) : null,
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The change by task" },
        h("table", {}, h("thead", {}, h("tr", {}, ["", "questions", from.label, to.label, "won", "lost"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, row("all"), tasks.length > 1 ? tasks.map((task) => row(task, task)) : null))));
  }

  // Documents about two evaluations name the earlier one first.
  function order(from, to) {
    const turned = from.run > to.run || (from.run === to.run && from.round > to.round);
    const name = (one) => `${one.run}_${one.at}_${one.round}`;
    return turned ? [name(to), name(from), true] : [name(from), name(to), false];
  }

  // Right answers against given ones, for the tasks with few answers.
  function confusion(pairs, tasks, from, to) {
    const sets = tasks.map((task) => {
      const rows = pairs.filter((one) => one.task === task);
      return { task, rows, answers: [...new Set(rows.map((one) => one.right))].sort() };
    }).filter((one) => one.answers.length > 1 && one.answers.length <= MOST_ANSWERS);
    if (!sets.length) return null;
    const one = ({ task, rows, answers }, name, label) => {
      const count = (right, said) => rows.filter((row) => row.right === right && (said === null ? !answers.includes(row[name]) : row[name] === said)).length;
      const others = rows.some((row) => !answers.includes(row[name]));
      const cell = (right, said) => {
        const found = count(right, said);
        const most = Math.max(1, ...answers.map((given) => count(right, given)));
        const depth = found ? Math.ceil((4 * found) / most) : 0;
        return h("td", { class: `depth${depth}${right === said ? " diagonal" : ""}` }, String(found));
      };
      return h("figure", {}, h("figcaption", {}, h("p", {}, `${task}, ${label}`)), h("div", { class: "scroll", tabindex: "0", role: "region",
        "aria-label": `${task}, ${label}: right answers by given answers` },
      h("table", { class: "confusion" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "right ↓ given →"),
        answers.map((said) => h("th", { scope: "col" }, said)), others ? h("th", { scope: "col" }, "other") : null)),
      h("tbody", {}, answers.map((right) => h("tr", {}, h("th", { scope: "row" }, right), answers.map((said) => cell(right, said)),
        others ? cell(right, null) : null))))));
    };
    return h("details", { class: "card confusions" }, h("summary", {}, "Right answers against given ones, by task"),
      h("div", { class: "flows" }, sets.map((set) => [one(set, "before", from.label), one(set, "after", to.label)])));
  }

  function draw(results, found, pairs, wanted, update) {
    const pages = Math.max(1, Math.ceil(found.length / ON_A_PAGE));
    const page = Math.min(Number(wanted.page) || 0, pages - 1);
    const turn = (to, rel, text) => (to < 0 || to >= pages ? null : h("a", { rel, href: savi.link("learned", { ...wanted, page: to || "" }),
      onclick: (event) => { event.preventDefault(); update(to); } }, text));
    results.replaceChildren(
      h("p", { role: "status" }, `${found.length} of ${pairs.length} questions`),
      h("ul", { class: "answers" }, found.slice(page * ON_A_PAGE, (page + 1) * ON_A_PAGE).map((one) => h("li", { class: one.change.replace(" ", "-") },
        h("a", { href: savi.link("learned", { ...wanted, item: one.key }) }, one.question.split("\n")[0]),
        h("span", { class: "badges" }, badge(one), h("span", {}, one.task)),
        h("span", {}, said(one.before, one.wasRight), " → ", said(one.after, one.isRight), one.isRight ? null : ` (right: ${one.right})`)))),
      h("nav", { class: "pages", "aria-label": "Pages" }, turn(page - 1, "prev", "Previous"),
        h("span", {}, `page ${page + 1} of ${pages}`), turn(page + 1, "next", "Next")));
  }

  function badge(one) {
    return h("span", { class: { won: "good", lost: "bad" }[one.change] || "" }, one.change);
  }

  function said(answer, right) {
    return h("span", { class: right ? "right" : "wrong" }, answer === null ? "(unread)" : answer);
  }

  // ---- one question

  async function showItem(content, chosen, pairs, from, to, site) {
    const filters = Object.fromEntries(["run", "benchmark", "from", "to", "change", "task", "q", "page"].map((name) => [name, chosen[name] || ""]));
    const one = pairs.find((pair) => pair.key === chosen.item);
    if (!one) throw new Error("the two evaluations have no such question in common");
    const [a, b] = await Promise.all([from, to].map(async (place, at) => {
      const row = one.places[at];
      const { rows } = await savi.need(`${place.run}/answers_${place.at}_${place.round}_${Math.floor(row / one.part)}`);
      return rows[row % one.part];
    }));
    const found = pairs.filter((pair) => fits(pair, filters));
    const at = found.findIndex((pair) => pair.key === one.key);
    const beside = (step, text, rel) => (at >= 0 && found[at + step]
      ? h("a", { rel, href: savi.link("learned", { ...filters, item: found[at + step].key }) }, text) : null);
    const watch = h("div", { class: "watch" },
      clips.player(`${to.run}/held_${b.number}`, `media/${to.run}/held_${b.number}`, site), h("p", { class: "path" }, b.video));
    content.append(
      h("nav", { class: "trail", "aria-label": "Questions" }, h("a", { href: savi.link("learned", filters) }, "All questions"),
        beside(-1, "Previous question", "prev"), beside(1, "Next question", "next")),
      h("div", { class: "clip" }, watch, h("div", {}, h("h2", { class: "asked" }, one.question),
        h("p", { class: "badges" }, badge(one), h("span", {}, one.task)), options(one, a, b, from, to), replies(a, b, from, to))),
      clips.keys("j and k for the next and the previous question, p to play, Escape for all questions"));
    const click = (selector) => () => content.querySelector(selector)?.click();
    moves = { j: click(".trail [rel=next]"), k: click(".trail [rel=prev]"), Escape: click(".trail a"), p: () => clips.play(content) };
  }

  // The options, with what each evaluation chose and how likely it found them.
  function options(one, a, b, from, to) {
    if (!b.options?.length) {
      return charts.table(["", "answer"], [["right", one.right], [from.label, one.before ?? "(unread)"], [to.label, one.after ?? "(unread)"]]);
    }
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const cell = (row, at) => (row.pred === letters[at] ? "● " : "") + (row.logps ? row.logps[at].toFixed(2).replace("-", "−") : "");
    const right = letters.indexOf(b.answer);
    return h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Options" },
      table(["option", from.label, to.label], b.options.map((text, at) => [at === right ? `${text} (right)` : text, cell(a, at), cell(b, at)]))),
    h("p", { class: "note" }, "● was chosen.", b.logps ? " The numbers are log-probabilities." : ""));
  }

  function replies(a, b, from, to) {
    const [name, more] = b.free_form === undefined ? ["response", "Reply"] : ["free_form", "In its own words"];
    if (b.logps && name === "response") return null;
    const [before, after] = words.changes(String(a[name] ?? ""), String(b[name] ?? ""));
    const line = (label, text, row, style) => h("div", { class: `turn ${style}` }, h("dt", {}, label),
      h("dd", {}, text, row.malformed ? h("em", {}, " (malformed)") : null));
    return h("section", {}, h("h3", {}, more), h("dl", { class: "chain" }, line(from.label, before, a, "first"), line(to.label, after, b, "second")));
  }

  return { title: "What was learned", show, keys: () => moves };
})());
