"use strict";
// Two or more runs side by side: accuracy by round, the difference to the first, the settings that differ.

savi.view("compare", (() => {
  const { h } = savi;
  const { percent, signed, figure, table } = charts;

  async function show(content, parameters, site) {
    content.append(h("h1", {}, "Compare"));
    if (site.runs.length < 2) {
      content.append(h("p", {}, "This page is about one run. Name several to compare them:"), h("pre", {}, `savi view ${site.runs[0].name} ANOTHER_RUN`));
      return;
    }
    const runs = await Promise.all(site.runs.map(async (run, at) => ({ at, name: run.name,
      overview: await savi.need(`${at}/overview`), learned: await savi.need(`${at}/learned`) })));
    const names = [...new Map(runs.flatMap((run) => run.overview.benchmarks.map((one) => [one.name, one.title])))];
    const card = (inside, more = "") => (inside ? h("section", { class: `card ${more}` }, inside) : null);
    content.append(
      h("ul", { class: "runs" }, runs.map((run) => h("li", {}, h("a", { href: savi.link("overview", { run: run.at || "" }) }, run.name),
        ` ${run.overview.status.text}`))),
      h("div", { class: "cards" }, [
        ...await Promise.all(names.map(async ([name, title]) => card([curves(runs, name, title), await differences(runs, name)].filter(Boolean), "wide"))),
        card(await settings(runs), "wide"), card(margins(runs)), card(questions(runs)), card(seconds(runs)),
      ].filter(Boolean)));
  }

  function label(round) {
    return round ? `round ${round}` : "base";
  }

  function curves(runs, name, title) {
    const series = runs.flatMap((run) => {
      const found = run.overview.benchmarks.find((one) => one.name === name);
      const points = (found?.points || []).filter((point) => point.accuracy !== null);
      return points.length ? [{ name: run.name, banded: true, measured: found.measured, label: `${run.name}  ${percent(points.at(-1).accuracy)}`,
        points: points.map(({ round, accuracy, interval }) => ({ x: round, y: accuracy, low: interval?.[0], high: interval?.[1] })) }] : [];
    });
    if (!series.length) return null;
    const places = [...new Set(series.map((one) => one.measured))];
    const rounds = [...new Set(series.flatMap((one) => one.points.map((point) => point.x)))].sort((a, b) => a - b);
    const between = (point) => (point.low === undefined ? "" : ` (${percent(point.low, 0)} to ${percent(point.high, 0)})`);
    const note = places.length === 1 ? `${places[0]}. The bands are 95 % intervals.` : "Not measured alike: see below.";
    const made = figure(`${title}: accuracy by round`, note,
      (width) => charts.lines({ width, series, labels: rounds.map((round) => [round, label(round)]), format: (value) => percent(value, 0) }),
      table(["", ...rounds.map(label)], series.map((one) => [one.name, ...rounds.map((round) => {
        const point = one.points.find(({ x }) => x === round);
        return point ? percent(point.y) + between(point) : "–";
      })])));
    const apart = places.length > 1 ? h("p", { class: "problem" }, "The runs were measured on other sets, or otherwise: ",
      series.map((one) => `${one.name} on ${one.measured}`).join("; "), ".") : null;
    return [made, apart];
  }

  // What each run's last evaluation makes of the first run's questions.
  async function differences(runs, name) {
    const last = (run) => {
      const at = run.learned.benchmarks.findIndex((one) => one.name === name);
      return at < 0 ? null : { run: run.at, at, round: run.learned.benchmarks[at].rounds.at(-1).round };
    };
    const first = last(runs[0]);
    if (!first) return null;
    const rows = await Promise.all(runs.slice(1).map(async (run) => {
      const place = last(run);
      if (!place) return [run.name, "not measured", "", "", ""];
      const found = await savi.need(`difference_${first.run}_${first.at}_${first.round}_${place.run}_${place.at}_${place.round}`);
      if (!found.accuracies) return [run.name, "no question with a known answer in common", "", "", ""];
      const link = h("a", { href: savi.link("learned", { benchmark: name, from: `0-${first.round}`, to: `${run.at}-${place.round}` }) }, "question by question");
      const [before, after] = found.accuracies;
      const ends = found.interval.map((end) => signed(100 * end)).join(" to ");
      const alike = found.others ? `measured differently: ${found.others.join("; ")}` : "";
      return [run.name, `${signed(100 * (after - before))} points`, ends, `${found.questions} questions, ${found.videos} videos`, link, alike];
    }));
    const head = [`less ${runs[0].name}, ${label(first.round)}`, "difference", "95 % interval", "paired on", "", ""];
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Differences" },
      h("table", {}, h("thead", {}, h("tr", {}, head.map((one) => h("th", { scope: "col" }, one)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, at) => h(at ? "td" : "th", at ? {} : { scope: "row" }, cell)))))));
  }

  async function settings(runs) {
    const { rows } = await savi.need("settings");
    return [h("h2", {}, "Settings that differ"), rows.length
      ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Settings that differ" },
        table(["", ...runs.map((run) => run.name)], rows))
      : h("p", {}, "None: the runs have the same settings.")];
  }

  function margins(runs) {
    const series = runs.filter((run) => run.overview.rewards).map((run) => {
      const { steps, margins: values } = run.overview.rewards;
      return { name: run.name, points: steps.map((x, at) => ({ x, y: values[at] })) };
    });
    if (!series.length) return null;
    const all = series.flatMap((one) => one.points.map((point) => point.y));
    return figure("Reward margins in training", "By optimizer step.",
      (width) => charts.lines({ width, series, format: charts.decimals(Math.min(...all), Math.max(...all)) }),
      table(["", "last step", "margin"], series.map((one) => [one.name, one.points.at(-1).x, one.points.at(-1).y])));
  }

  function questions(runs) {
    const rows = runs.flatMap((run) => run.overview.flow.map((one) => {
      const [most] = Object.entries(one.filters).sort((a, b) => b[1] - a[1]);
      return [`${run.name}, round ${one.round}`, one.questions, one.pairs, percent(one.questions ? one.pairs / one.questions : null, 0),
        most ? `${most[0]} (${most[1]})` : "–"];
    }));
    return rows.length ? [h("h2", {}, "Pairs and filters"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Pairs and filters" },
      table(["", "questions", "pairs", "share", "most were taken by"], rows))] : null;
  }

  function seconds(runs) {
    const found = runs.map((run) => run.overview.seconds.reduce((sum, one) => {
      for (const [name, value] of Object.entries(one)) if (name !== "round") sum[name] = (sum[name] || 0) + value;
      return sum;
    }, {}));
    const names = [...new Set(found.flatMap((one) => Object.keys(one)))];
    if (!names.length) return null;
    const bars = runs.map((run, at) => ({ label: run.name, parts: names.map((name) => found[at][name] || 0) }));
    const made = figure("Where the time went", "Seconds, all rounds.",
      (width) => charts.stack({ width, bars, names, format: (value) => `${Math.round(value)} s` }),
      table(["", ...names], bars.map((bar) => [bar.label, ...bar.parts.map((part) => Math.round(part))])));
    made.querySelector(".chart").before(charts.legend(names));
    return made;
  }

  return { title: "Compare", show, follows: true };
})());
