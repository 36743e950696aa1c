"use strict";
// The log-probabilities of a question's replies as tables.

var logps = (() => {
  const { h } = savi;

  // A sum over the tokens of a reply. In four bits it may come out a trace above zero.
  function nats(value) {
    return Math.min(value, 0).toFixed(2).replace("-0.00", "0.00").replace("-", "−");
  }

  // A difference, whose sign tells.
  function signed(value) {
    const text = Math.abs(value).toFixed(2);
    return text === "0.00" ? text : (value < 0 ? "−" : "+") + text;
  }

  // The chosen and the rejected reply of a pair, each at every step that learned from it: [step, log-probability, reward].
  function passes(pair) {
    const { steps, chosen_logps: chosen, rejected_logps: rejected, beta } = pair.policy || { steps: [] };
    return steps.map((step, at) => ({
      step,
      chosen: [chosen[at], beta * (chosen[at] - pair.reference_chosen_logp)],
      // Some losses need no rejected replies: then the model isn't asked for these.
      rejected: rejected ? [rejected[at], beta * (rejected[at] - pair.reference_rejected_logp)] : null,
    }));
  }

  function ofOne(question, said, other) {
    const written = (turn) => (turn ? nats(turn.logp) : "–");
    const { pair } = question;
    if (!pair && !said.answer) return null;
    const about = h("summary", {}, "Log-probabilities");
    if (!pair) {
      const rows = question.turns.filter((turn) => turn.name !== "question").map((turn) => [turn.name, written(turn)]);
      return h("details", {}, about, charts.table(["nats, summed", "as written"], rows));
    }
    const chosenIsOther = !other || pair.rejected === said.answer?.reply.trim() || pair.chosen !== said.answer?.reply.trim();
    const seen = passes(pair);
    const head = seen.flatMap(({ step }) => [`policy at step ${step}`, "reward"]);
    const side = (name) => seen.flatMap((one) => (one[name] ? [nats(one[name][0]), signed(one[name][1])] : ["–", "–"]));
    const margins = seen.flatMap(({ chosen, rejected }) => [0, 1].map((at) => (rejected ? signed(chosen[at] - rejected[at]) : "–")));
    const rows = [
      ["chosen", written(chosenIsOther ? other : said.answer), nats(pair.reference_chosen_logp), ...side("chosen")],
      ["rejected", written(chosenIsOther ? said.answer : other), nats(pair.reference_rejected_logp), ...side("rejected")],
      ["chosen − rejected", "", signed(pair.reference_chosen_logp - pair.reference_rejected_logp), ...margins],
    ];
    return h("details", { open: true }, about, scrolled("Log-probabilities", ["nats, summed", "as written", "reference", ...head], rows));
  }

  // asked: [{round, other: a question}] of one wording. Each round has replies of its own.
  function overRounds(asked) {
    const rows = asked.filter(({ other }) => other.pair?.policy).sort((a, b) => a.round - b.round)
      .flatMap(({ round, other: { pair } }) => passes(pair).map(({ step, chosen, rejected }) => [
        `${round}, step ${step}`, nats(pair.reference_chosen_logp), nats(chosen[0]), nats(pair.reference_rejected_logp),
        rejected ? nats(rejected[0]) : "–", rejected ? signed(chosen[1] - rejected[1]) : "–"]));
    if (rows.length < 2) return null;
    const head = ["round", "chosen: reference", "policy", "rejected: reference", "policy", "reward margin"];
    return scrolled("Log-probabilities over the rounds", head, rows);
  }

  function scrolled(label, head, rows) {
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, charts.table(head, rows));
  }

  return { ofOne, overRounds };
})();
