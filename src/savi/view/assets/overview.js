"use strict";
// What was aligned on what, and what came of it.

savi.view("overview", (() => {
  const { h } = savi;
  const { percent, signed, figure, table } = charts;

  function label(round) {
    return round ? `round ${round}` : "base";
  }

  function tiles(data) {
    const found = [];
    const add = (name, value, more) => found.push(h("li", {}, h("b", {}, value), h("span", {}, name),
      more ? h("small", {}, more) : null));
    for (const one of data.benchmarks.slice(0, 2)) {
      const [first, last] = [one.points[0], one.points.at(-1)];
      if (last.accuracy === null) continue;
      const change = one.points.length > 1 ? `${signed(100 * (last.accuracy - first.accuracy))} points since ${label(first.round)}` : "";
      add(`${one.title}, ${label(last.round)}`, percent(last.accuracy), change);
      if (last.malformed !== undefined) add("malformed replies", percent(last.malformed), `${percent(first.malformed)} at first`);
    }
    const pairs = data.flow.reduce((sum, one) => sum + one.pairs, 0);
    const questions = data.flow.reduce((sum, one) => sum + one.questions, 0);
    if (data.flow.length) {
      add(data.given ? "pairs learned from" : "pairs that the model made", pairs.toLocaleString("en"),
        questions ? `${percent(pairs / questions, 0)} of ${questions.toLocaleString("en")} questions` : "");
    }
    const seconds = data.seconds.reduce((sum, one) => sum + total(one), 0);
    if (seconds) add("in all", seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`);
    return found.length ? h("ul", { class: "tiles" }, found) : null;
  }

  function total(one) {
    return Object.entries(one).reduce((sum, [name, value]) => sum + (name === "round" ? 0 : value), 0);
  }

  function accuracy(one) {
    const points = one.points.filter((point) => point.accuracy !== null);
    if (!points.length) return h("p", {}, `${one.title}: no public answers.`);
    const tasks = [...new Set(points.flatMap((point) => Object.keys(point.by_task || {})))];
    const gain = (values) => `${percent(values.at(-1), 0)}${values.length > 1 ? ` (${signed(100 * (values.at(-1) - values[0]), 0)})` : ""}`;
    const series = tasks.length > 1 ? tasks.map((task) => {
      const found = points.filter((point) => point.by_task[task] !== undefined);
      return { name: task, label: `${task}  ${gain(found.map((point) => point.by_task[task]))}`,
        points: found.map((point) => {
          const [low, high] = point.task_intervals[task] || [];
          return { x: point.round, y: point.by_task[task], low, high };
        }) };
    }) : [];
    series.push({ name: "overall", strong: true, label: `overall  ${gain(points.map((point) => point.accuracy))}`,
      points: points.map((point) => {
        const [low, high] = point.interval || [];
        return { x: point.round, y: point.accuracy, low, high };
      }) });
    const between = (ends) => (ends ? ` (${percent(ends[0], 0)} to ${percent(ends[1], 0)})` : "");
    const rows = [["overall", ...points.map((point) => percent(point.accuracy) + between(point.interval))],
      ...tasks.map((task) => [task, ...points.map((point) => percent(point.by_task[task]) + between(point.task_intervals[task]))])];
    return figure(`${one.title}: accuracy by round`, `${one.measured}. The band is the 95 % interval of the whole.`,
      (width) => charts.lines({ width, series, labels: points.map((point) => [point.round, label(point.round)]),
        format: (value) => percent(value, 0) }),
      table(["", ...points.map((point) => label(point.round))], rows));
  }

  // What is measured without a benchmark. Agreement is no accuracy, so the note says what it is.
  function heldOut(points) {
    if (!points.length) return null;
    const names = [...new Set(points.flatMap((point) => Object.keys(point.figures)))];
    const series = names.map((name) => {
      const found = points.filter((point) => point.figures[name]);
      return { name, label: `${name}  ${percent(found.at(-1).figures[name].mean, 0)}`, points: found.map((point) => {
        const { mean, interval } = point.figures[name];
        return { x: point.round, y: mean, low: interval?.[0], high: interval?.[1] };
      }) };
    });
    const cell = (one) => (one ? percent(one.mean) + (one.interval ? ` (${percent(one.interval[0], 0)} to ${percent(one.interval[1], 0)})` : "") : "–");
    return figure("Held-out clips, by the base's judgment", `${points.at(-1).clips} clips that nothing is learned from. Only labelled questions give an `
      + "accuracy: agreement also rises where a model says the same to everything, and then fewer replies differ.",
    (width) => charts.lines({ width, series, labels: points.map((point) => [point.round, label(point.round)]), format: (value) => percent(value, 0) }),
    table(["", ...points.map((point) => label(point.round))], names.map((name) => [name, ...points.map((point) => cell(point.figures[name]))])));
  }

  function errors(one) {
    const points = one.points.filter((point) => point.errors && Object.keys(point.errors).length);
    if (!points.length) return null;
    const names = [...new Set(points.flatMap((point) => Object.keys(point.errors)))];
    const bars = points.map((point) => ({ label: label(point.round), parts: names.map((name) => point.errors[name] || 0) }));
    const made = figure(`${one.title}: errors by kind`, "Wrong choices on held-out questions.",
      (width) => charts.stack({ width, bars, names, format: String }),
      table(["", ...names], bars.map((bar) => [bar.label, ...bar.parts])));
    made.querySelector(".chart").before(charts.legend(names));
    return made;
  }

  function rewards(data) {
    if (!data) return null;
    const series = ["margins", "chosen", "rejected"].map((name) => ({ name, strong: name === "margins",
      label: `${name}  ${signed(data[name].at(-1), 2)}`, points: data.steps.map((x, at) => ({ x, y: data[name][at] })) }));
    const all = series.flatMap((one) => one.points.map((point) => point.y));
    const format = charts.decimals(Math.min(...all), Math.max(...all));
    return figure("Rewards in training", "By optimizer step; a dotted line where a round begins.",
      (width) => charts.lines({ width, series, marks: data.begins, format }),
      table(["step", "margins", "chosen", "rejected"],
        data.steps.map((step, at) => [step, data.margins[at], data.chosen[at], data.rejected[at]])));
  }

  function flow(data, run) {
    if (!data.flow.length) return null;
    return h("section", { class: "card wide" }, h("h2", {}, "What became of the questions"),
      h("div", { class: "flows" }, data.flow.map((one) => {
        const lost = Object.entries(one.filters).sort((a, b) => b[1] - a[1]);
        const parts = [{ name: "pairs", count: one.pairs, main: true }, ...lost.map(([name, count]) => ({ name, count }))];
        const notes = [
          one.complete ? "" : `so far, ${one.clips} clips`,
          Object.entries(one.aspects).map(([name, count]) => `${count} ${name}`).join(", "),
          one.undecodable ? `${one.undecodable} clips could not be decoded` : "",
        ].filter(Boolean);
        const made = figure(`Round ${one.round}`, notes.join("; "),
          (width) => charts.flow({ width, total: one.questions, label: data.given ? "rows" : "questions", parts }),
          table(["", "number"], parts.map((part) => [part.name, part.count])));
        made.querySelector("h2").replaceWith(h("h3", {}, h("a", { href: savi.link("pairs", { round: one.round, run }) }, `Round ${one.round}`)));
        return made;
      })));
  }

  function seconds(data) {
    if (!data.seconds.length) return null;
    const names = [...new Set(data.seconds.flatMap((one) => Object.keys(one)))].filter((name) => name !== "round");
    const bars = data.seconds.map((one) => ({ label: label(one.round), parts: names.map((name) => one[name] || 0) }));
    const made = figure("Where the time went", "Seconds.",
      (width) => charts.stack({ width, bars, names, format: (value) => `${Math.round(value * 10) / 10} s` }),
      table(["", ...names], bars.map((bar) => [bar.label, ...bar.parts])));
    made.querySelector(".chart").before(charts.legend(names));
    return made;
  }

  async function show(content, { run }, site) {
    const data = await savi.need(`${run}/overview`);
    const card = (inside, more = "") => (inside ? h("section", { class: `card ${more}` }, inside) : null);
    const measured = data.benchmarks.length || data.held_out.length ? null : h("p", {}, "Nothing was measured on held-out questions yet.");
    content.append(...[
      h("h1", {}, site.runs[run].name),
      h("p", { class: `status ${data.status.state}` }, h("b", {}, data.status.state), " ", data.status.text),
      data.warnings.length ? h("section", { class: "warnings", "aria-label": "Warnings" },
        h("ul", {}, data.warnings.map((text) => h("li", {}, text)))) : null,
      tiles(data),
      h("div", { class: "cards" }, [
        card(measured),
        ...data.benchmarks.map((one) => card(accuracy(one), "wide")),
        card(heldOut(data.held_out), "wide"),
        ...data.benchmarks.map((one) => card(errors(one))),
        card(rewards(data.rewards)),
        flow(data, run),
        card(data.readiness ? [h("h2", {}, "Readiness"), h("p", {}, data.readiness.line)] : null),
        card(seconds(data)),
        card([h("h2", {}, "What was aligned on what"), h("dl", {}, data.about.map(([name, value]) =>
          [h("dt", {}, name), h("dd", {}, value)])), h("p", { class: "path" }, data.folder)]),
      ].filter(Boolean)),
    ].filter(Boolean));
  }

  return { title: "Overview", show, follows: true };
})());
