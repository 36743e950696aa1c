"use strict";
// A grid of clips, and one clip with every question's way through the chain.

savi.view("pairs", (() => {
  const { h } = savi;
  const ON_A_PAGE = 24;
  const FILTERS = ["aspect", "kind", "outcome"];
  const UNDECODABLE = "undecodable";
  let moves = {}; // what the keys do on what is shown

  async function show(content, parameters, site) {
    moves = {};
    const run = parameters.run;
    const rounds = site.runs[run].rounds;
    content.append(h("h1", {}, "Pairs and traces"));
    if (!rounds.length) {
      content.append(h("p", {}, "No round was begun: there are no questions to look at."));
      return;
    }
    const round = rounds.includes(Number(parameters.round)) ? Number(parameters.round) : rounds.at(-1);
    const chosen = { ...parameters, round };
    const index = await savi.need(`${run}/round_${round}`);
    if (parameters.clip !== undefined) await showClip(content, chosen, index, site);
    else await showGrid(content, chosen, index, site);
  }

  // ---- the grid

  async function showGrid(content, chosen, index, site) {
    const results = h("div", { class: "results" });
    const search = h("input", { type: "search", id: "q", value: chosen.q || "", maxlength: 1000 });
    const selects = FILTERS.map((name) => choice(name, index, chosen[name]));
    const rounds = h("select", { id: "round" },
      site.runs[chosen.run].rounds.map((one) => h("option", { value: one, selected: one === chosen.round }, `round ${one}`)));
    let turn = 0;

    async function update(page) {
      const mine = ++turn;
      const wanted = { run: chosen.run || "", round: chosen.round, q: search.value.trim(), page: page || "" };
      FILTERS.forEach((name, at) => { wanted[name] = selects[at].value; });
      savi.replace(content, "pairs", wanted);
      const tell = h("p", { role: "status" }, wanted.q ? "Searching …" : "");
      results.replaceChildren(tell);
      try {
        const found = await matches(index, wanted, site, (share) => { if (mine === turn) tell.textContent = `Searching … ${share}`; });
        if (mine === turn) draw(results, found, wanted, index, site, update);
      } catch (error) {
        if (mine === turn) tell.textContent = error.message;
      }
    }

    rounds.addEventListener("change", () => savi.go("pairs", { ...chosen, round: rounds.value, page: "", q: search.value.trim() }));
    let waits = 0;
    search.addEventListener("input", () => { clearTimeout(waits); waits = setTimeout(update, 150, 0); });
    for (const select of selects) select.addEventListener("change", () => update(0));
    content.append(
      h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); update(0); } },
        h("label", {}, "Round ", rounds), selects.map((select) => h("label", {}, `${title(select.id)} `, select)),
        h("label", { class: "grow" }, "Words in what was said ", search)),
      results, clips.keys("/ to search, j and k for the next and the previous page"));
    moves = {
      "/": () => search.focus(),
      j: () => results.querySelector("[rel=next]")?.click(),
      k: () => results.querySelector("[rel=prev]")?.click(),
    };
    await update(Number(chosen.page) || 0);
  }

  function title(name) {
    return { aspect: "Aspect", kind: "Kind of question", outcome: "Became" }[name];
  }

  function choice(name, index, value) {
    const names = [...index.names[name]];
    if (name === "kind") names.splice(0, Infinity, ...names.filter((_, at) => index.clips.some((clip) => clip.codes.some((code) => code[1] === at))));
    if (name === "outcome" && index.clips.some((clip) => clip.rejected)) names.push(UNDECODABLE);
    return h("select", { id: name }, h("option", { value: "" }, "any"),
      names.map((one) => h("option", { value: one, selected: one === value }, one)));
  }

  // What the server finds: the numbers of questions by the clip's place.
  async function search(wanted, needle) {
    const query = new URLSearchParams({ q: needle });
    const answer = await fetch(`search/${wanted.run || 0}/${wanted.round}?${query}`).catch(() => null);
    if (answer?.ok) return answer.json();
    throw new Error(answer ? await answer.text() : "The server has ended: savi view starts it again.");
  }

  // [{clip, questions: the numbers of those that match}] of the clips with one. A page of files looks at the texts.
  async function matches(index, wanted, site, tell) {
    const codes = FILTERS.map((name) => (wanted[name] ? index.names[name].indexOf(wanted[name]) : -1));
    const needle = wanted.q.toLowerCase();
    const filtered = needle || FILTERS.some((name) => wanted[name]);
    const found = [];
    const hits = needle && site.live ? await search(wanted, needle) : null;
    let said = null;
    for (const [place, clip] of index.clips.entries()) {
      if (needle && !hits && place % index.part === 0) {
        tell(`${Math.round((100 * place) / index.clips.length)} %`);
        const part = (number) => `${wanted.run || 0}/text_${wanted.round}_${number}`;
        const here = place / index.part;
        // The next part is read while this one is looked at.
        if (place + index.part < index.clips.length) savi.load(part(here + 1)).catch(() => {});
        said = (await savi.need(part(here))).said;
      }
      if (clip.rejected) {
        if (!needle && (!filtered || wanted.outcome === UNDECODABLE)) found.push({ clip, questions: [] });
        continue;
      }
      if (wanted.outcome === UNDECODABLE) continue;
      const questions = clip.codes.flatMap((code, at) => {
        const fits = codes.every((one, which) => one < 0 || one === code[which]);
        const spoken = () => (hits ? hits[place]?.includes(at) : said[place % index.part][at].includes(needle));
        return fits && (!needle || spoken()) ? [at] : [];
      });
      if (questions.length || !filtered) found.push({ clip, questions });
    }
    return found;
  }

  function draw(results, found, wanted, index, site, update) {
    const pages = Math.max(1, Math.ceil(found.length / ON_A_PAGE));
    const page = Math.min(Number(wanted.page) || 0, pages - 1);
    const questions = found.reduce((sum, one) => sum + one.questions.length, 0);
    const part = found.slice(page * ON_A_PAGE, (page + 1) * ON_A_PAGE);
    const turn = (to, rel, text) => (to < 0 || to >= pages ? null : h("a", { rel, href: savi.link("pairs", { ...wanted, page: to || "" }),
      onclick: (event) => { event.preventDefault(); update(to); } }, text));
    results.replaceChildren(
      h("p", { role: "status" }, `${found.length} of ${index.clips.length} clips, ${questions} questions`),
      h("ul", { class: "grid" }, part.map((one) => card(one, wanted, index, site))),
      h("nav", { class: "pages", "aria-label": "Pages" }, turn(page - 1, "prev", "Previous"),
        h("span", {}, `page ${page + 1} of ${pages}`), turn(page + 1, "next", "Next")));
  }

  function card({ clip, questions }, wanted, index, site) {
    const became = clip.codes.filter((code) => index.names.outcome[code[2]] === "pair").length;
    const about = clip.rejected || `${became} of ${clip.codes.length} became pairs`;
    const first = questions.length && questions.length < clip.codes.length ? `${wanted.round}-${questions[0]}` : "";
    return h("li", {}, h("a", { href: savi.link("pairs", { ...wanted, page: "", clip: clip.id, question: first }) },
      clip.rejected ? clips.blank() : clips.poster(`media/${wanted.run || 0}/${clip.number}`, site), h("b", {}, clip.id), h("span", {}, about)));
  }

  // ---- one clip

  async function showClip(content, chosen, index, site) {
    const at = index.clips.findIndex((clip) => clip.id === chosen.clip);
    if (at < 0) throw new Error(`round ${chosen.round} has no clip ${chosen.clip}`);
    const { number } = index.clips[at];
    const filters = Object.fromEntries(["run", "round", "q", "page", ...FILTERS].map((name) => [name, chosen[name] || ""]));
    const found = await matches(index, { ...filters, q: "" }, site, () => {});
    const place = found.findIndex((one) => one.clip.id === chosen.clip);
    const beside = (step) => found[place + step]?.clip.id;
    const to = (clip, text, rel) => (clip ? h("a", { rel, href: savi.link("pairs", { ...filters, clip }) }, text) : null);
    const data = await savi.need(`${chosen.run}/clip_${number}`);
    content.append(
      h("nav", { class: "trail", "aria-label": "Clips" }, h("a", { href: savi.link("pairs", filters) }, "All clips"),
        to(beside(-1), "Previous clip", "prev"), to(beside(1), "Next clip", "next")),
      h("h2", { class: "clip-name" }, data.id),
      h("div", { class: "clip" },
        h("div", { class: "watch" }, clips.player(`${chosen.run}/media_${number}`, `media/${chosen.run}/${number}`, site), h("p", { class: "path" }, data.video)),
        h("div", { class: "questions" }, data.rounds.map((one) => h("section", { "aria-labelledby": `round-${one.round}` },
          h("h3", { id: `round-${one.round}` }, `Round ${one.round}`),
          one.rejected ? h("p", {}, `The clip was left out: ${one.rejected}`) : null,
          one.no_policy && one.questions.some((question) => question.pair) ? h("p", { class: "note" }, one.no_policy) : null,
          !one.rejected && !one.questions.length ? h("p", {}, "No question about it.") : null,
          one.questions.map((question, which) => showQuestion(question, one.round, which, data, chosen, filters)))))),
      clips.keys("j and k for the next and the previous clip, p to play, , and . for the sampled frames, Escape for all clips"));
    const click = (selector) => () => content.querySelector(selector)?.click();
    moves = {
      j: click(".trail [rel=next]"), k: click(".trail [rel=prev]"), Escape: click(".trail a"),
      p: () => clips.play(content),
      ",": click("[data-step='-1']"), ".": click("[data-step='1']"),
    };
  }

  function ready(content, parameters) {
    const wanted = parameters.question && content.querySelector(`[id="q-${CSS.escape(parameters.question)}"]`);
    if (wanted) {
      wanted.classList.add("wanted");
      wanted.scrollIntoView({ block: "center" });
    }
  }

  function showQuestion(question, round, which, data, chosen, filters) {
    const said = Object.fromEntries(question.turns.map((turn) => [turn.name, turn]));
    const id = `${round}-${which}`;
    const other = question.turns.find((turn) => turn.name === "revision" || turn.name === "sample");
    const [before, after] = said.answer && other ? words.changes(said.answer.reply, other.reply) : [said.answer?.reply, other?.reply];
    const kept = question.outcome === "pair";
    const line = (name, text, turn, more = "") => h("div", { class: `turn ${more}` }, h("dt", {}, name),
      h("dd", {}, text, turn && !turn.finished ? h("em", {}, " (cut off)") : null, thought(turn)));
    return h("article", { class: `question ${kept ? "kept" : "lost"}`, id: `q-${id}`, "aria-label": question.question },
      h("h4", {}, h("a", { href: savi.link("pairs", { ...filters, clip: data.id, question: id }), title: "Link to this question" },
        question.question)),
      h("p", { class: "badges" }, h("span", {}, question.aspect),
        h("span", { class: kept ? "good" : "bad" }, kept ? "became a pair" : `filtered: ${question.outcome}`)),
      question.reason ? h("p", {}, `${question.place}: ${question.reason}`) : null,
      h("dl", { class: "chain" },
        said.answer ? line("Answer", before, said.answer, "first") : null,
        said.critique ? line("Critique", said.critique.reply, said.critique) : null,
        other ? line(other.name === "revision" ? "Revision" : "Second answer", after, other, "second") : null,
        question.turns.length ? null : question.pair && [line("Rejected", question.pair.rejected, null, "first"),
          line("Chosen", question.pair.chosen, null, "second")]),
      logps.ofOne(question, said, other), sameQuestion(question, round, data, chosen, filters), prompts(question));
  }

  function thought(turn) {
    return turn?.thought ? h("details", {}, h("summary", {}, "Its thought"), h("p", {}, turn.thought)) : null;
  }

  function sameQuestion(question, round, data, chosen, filters) {
    const plain = (text) => text.toLowerCase().replace(/[\W_]+/gu, " ").trim();
    const others = data.rounds.flatMap((one) => one.questions.map((other, which) => ({ round: one.round, other, which })))
      .filter((one) => one.round !== round && plain(one.other.question) === plain(question.question));
    if (!others.length) return null;
    return h("details", {}, h("summary", {}, `Asked in ${others.length === 1 ? "another round" : `${others.length} other rounds`} too`),
      h("ul", {}, others.map(({ round: when, other, which }) => {
        const reply = (name) => other.turns.find((turn) => turn.name === name)?.reply;
        const said = [reply("answer") ?? other.pair?.rejected, reply("revision") ?? reply("sample") ?? other.pair?.chosen].filter(Boolean);
        return h("li", {}, h("a", { href: savi.link("pairs", { ...filters, clip: data.id, question: `${when}-${which}` }) }, `Round ${when}`),
          `: ${said.join(" → ")} (${other.outcome === "pair" ? "a pair" : other.outcome})`);
      })), logps.overRounds([{ round, other: question }, ...others]));
  }

  function prompts(question) {
    if (!question.turns.length) return null;
    return h("details", {}, h("summary", {}, "Prompts and replies, word for word"), question.turns.map((turn) =>
      h("div", { class: "verbatim" }, h("h5", {}, turn.name), h("pre", { tabindex: "0" }, turn.prompt), h("pre", { tabindex: "0" }, turn.reply))));
  }

  return { title: "Pairs and traces", show, ready, keys: () => moves };
})());
