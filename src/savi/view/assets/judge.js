"use strict";
// Two replies to a question about a clip, in random order. The person says which is right, and isn't told what was chosen.

savi.view("judge", (() => {
  const { h } = savi;
  const PICKS = [["first", "The first", "1"], ["second", "The second", "2"], ["both", "Both", "3"], ["neither", "Neither", "4"]];
  let moves = {};

  async function show(content, { run }, site) {
    moves = {};
    const task = h("div", { class: "task" });
    content.append(h("h1", {}, "Judge by eye"),
      h("p", {}, "Which reply is right about the clip? The order is random, and you aren't told which one training prefers. ",
        "What you say is kept in the run's folder."),
      task, results(run));
    const data = await savi.again(`${run}/judge`);
    if (!site.live) task.append(h("p", {}, `${data.judged} pairs were judged. Judging needs the server: savi view RUN.`));
    else await next(task, data, 0, run, site);
    if (site.live) content.append(clips.keys("1 for the first, 2 for the second, 3 for both, 4 for neither, s to skip, b for the one before, p to play"));
  }

  async function next(task, data, at, run, site) {
    const pair = data.pairs[at];
    if (!pair) {
      const more = at ? await savi.again(`${run}/judge`) : data;
      if (more.pairs.length) return next(task, more, 0, run, site);
      moves = {};
      task.replaceChildren(h("p", { role: "status" }, more.judged ? "Every pair was judged." : "There is no pair to judge yet."));
      return;
    }
    const told = h("p", { role: "status" }, `${data.judged} judged`);
    const go = (to) => next(task, data, to, run, site);
    const say = async (pick) => {
      moves = {};
      const answer = await fetch(`judge/${run}`, { method: "POST", body: JSON.stringify({ pair: pair.pair, pick }),
        headers: { "X-Savi-Token": site.token, "Content-Type": "application/json" } }).catch(() => null);
      if (answer?.ok) {
        data.judged += pair.said ? 0 : 1;
        pair.said = true;
        await go(at + 1);
      } else told.textContent = answer ? await answer.text() : "The server has ended: savi view starts it again.";
    };
    const reply = (text, name) => h("section", { class: "card reply", "aria-label": name }, h("h3", {}, name), h("p", {}, text));
    const heading = h("h2", { tabindex: "-1" }, pair.question);
    task.replaceChildren(h("div", { class: "clip" },
      h("div", { class: "watch" }, clips.player(`${run}/media_${pair.clip}`, `media/${run}/${pair.clip}`, site)),
      h("div", {}, heading,
        h("div", { class: "replies" }, reply(pair.first, "First"), reply(pair.second, "Second")),
        h("p", { class: "picks", role: "group", "aria-label": "Which is right?" }, PICKS.map(([pick, text]) =>
          h("button", { type: "button", "data-pick": pick, onclick: () => say(pick) }, text)),
          h("button", { type: "button", class: "quiet", onclick: () => go(at + 1) }, "Skip"),
          at ? h("button", { type: "button", class: "quiet", onclick: () => go(at - 1) }, "The one before") : null),
        told)));
    if (at) heading.focus();
    moves = { ...Object.fromEntries(PICKS.map(([pick, , key]) => [key, () => say(pick)])), s: () => go(at + 1), p: () => clips.play(task) };
    if (at) moves.b = () => go(at - 1);
  }

  // Closed until asked for: a figure that moves with each judgment would tell what was chosen.
  function results(run) {
    const inside = h("div", {});
    const share = (one) => (one.agreement === null ? "–" : `${charts.percent(one.agreement, 0)} (${one.interval.map((end) => charts.percent(end, 0)).join(" to ")})`);
    const row = (name, one) => [name, share(one), ...["chosen", "rejected", "both", "neither"].map((pick) => one.counts[pick] || 0)];
    return h("details", { class: "agreement", ontoggle: async (event) => {
      if (!event.target.open) return;
      const data = await savi.again(`${run}/agreement`);
      inside.replaceChildren(
        h("p", {}, "How often the person found the chosen reply right and not the rejected one, with a 95 % interval."),
        charts.table(["", "agreement", "chosen", "rejected", "both", "neither"],
          [row("all", data.all), ...data.rounds.map((one) => row(`round ${one.round}`, one))]),
        h("p", { class: "path" }, `The replies found right are questions for --data.labelled: ${data.labelled}`));
    } }, h("summary", {}, "Agreement with the critic so far (look when you are done)"), inside);
  }

  return { title: "Judge by eye", show, keys: () => moves };
})());
