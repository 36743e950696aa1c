"use strict";
// Charts as SVG. Each comes with its numbers as a table, for those who can't see it and those who want to copy them.

var charts = (() => {
  const { h, svg } = savi;
  const SHADES = 9;

  function percent(value, digits = 1) {
    return value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`;
  }

  function signed(value, digits = 1) {
    return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
  }

  function shade(at) {
    return `c${at % SHADES}`;
  }

  // A chart and its table. draw: gives the picture for a width in pixels; it is called anew where the width changes.
  function figure(title, note, draw, table) {
    const holder = h("div", { class: "chart" });
    let width = 0;
    new ResizeObserver(([entry]) => {
      const now = Math.round(entry.contentRect.width);
      if (now && now !== width) {
        width = now;
        const picture = draw(width);
        picture.setAttribute("role", "img");
        picture.setAttribute("aria-label", `${title}. The numbers are in the table below.`);
        holder.replaceChildren(picture);
      }
    }).observe(holder);
    return h("figure", {}, h("figcaption", {}, h("h2", {}, title), note ? h("p", {}, note) : null), holder,
      table ? h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll", tabindex: "0", role: "region",
        "aria-label": `${title}, numbers` }, table)) : null);
  }

  function table(head, rows) {
    const cell = (value, at) => h(at ? "td" : "th", at ? {} : { scope: "row" }, value === null ? "–" : String(value));
    return h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))));
  }

  // Places at least `gap` apart within low..high, in the order of the wanted ones and as close to them as can be:
  // neighbors that would overlap are pooled around their mean.
  function spread(wanted, gap, low, high) {
    const order = wanted.map((_, at) => at).sort((a, b) => wanted[a] - wanted[b]);
    const step = order.length > 1 ? Math.min(gap, (high - low) / (order.length - 1)) : gap;
    const pools = [];
    order.forEach((at, rank) => {
      let pool = { mean: wanted[at] - rank * step, size: 1 };
      while (pools.length && pools.at(-1).mean > pool.mean) {
        const other = pools.pop();
        const size = pool.size + other.size;
        pool = { mean: (pool.mean * pool.size + other.mean * other.size) / size, size };
      }
      pools.push(pool);
    });
    const flat = pools.flatMap((pool) => Array(pool.size).fill(pool.mean));
    const places = [];
    order.forEach((at, rank) => {
      places[at] = Math.min(Math.max(flat[rank], low), high - (order.length - 1) * step) + rank * step;
    });
    return places;
  }

  // Pixels for labels, most: a share of the width.
  function room(labels, width, most = 0.5) {
    return Math.min(7 * Math.max(...labels.map((label) => label.length)), width * most);
  }

  function ticks(low, high, count = 5) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + 1e-9; at += step) found.push(at);
    return found;
  }

  // series: [{name, points: [{x, y, low, high}], strong, banded}]. x: a number with a label in `labels`, or plain numbers.
  function lines({ width, series, labels, format, marks = [], height = 300, bounds }) {
    const right = room(series.map((one) => one.label || one.name), width) + 22;
    const box = { left: 52, right: width - right, top: 12, bottom: height - 34 };
    const points = series.flatMap((one) => one.points);
    const values = points.flatMap((one) => [one.y, one.low ?? one.y, one.high ?? one.y]);
    const xs = points.map((one) => one.x);
    let [low, high] = bounds || [Math.min(...values), Math.max(...values)];
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    const margin = 0.05 * (high - low);
    if (!bounds) [low, high] = [low - margin, high + margin];
    const first = Math.min(...xs), last = Math.max(...xs);
    const x = (value) => box.left + (last > first ? (value - first) / (last - first) : 0.5) * (box.right - box.left - 8) + 4;
    const y = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
    for (const tick of ticks(low, high)) {
      picture.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }),
        svg("text", { class: "tick", x: box.left - 8, y: y(tick) + 4, "text-anchor": "end" }, format(tick)));
    }
    for (const mark of marks) {
      picture.append(svg("line", { class: "mark", x1: x(mark), x2: x(mark), y1: box.top, y2: box.bottom }));
    }
    // Labels that would overlap are left out.
    const apart = labels ? Math.ceil((room(labels.map((one) => one[1]), width) + 8) / ((x(last) - x(first)) / Math.max(last - first, 1))) : 1;
    for (const tick of labels ? labels.filter((_, at) => at % apart === 0).map((one) => one[0]) : ticks(first, last).filter(Number.isInteger)) {
      const label = labels ? labels.find((one) => one[0] === tick)[1] : String(tick);
      picture.append(svg("text", { class: "tick", x: x(tick), y: height - 12, "text-anchor": "middle" }, label));
    }
    const ends = spread(series.map((one) => y(one.points.at(-1).y)), 17, box.top + 6, box.bottom);
    series.forEach((one, at) => {
      const style = one.strong ? "strong" : shade(at);
      const path = one.points.map((point, i) => `${i ? "L" : "M"}${x(point.x)} ${y(point.y)}`).join("");
      const group = svg("g", { class: `series ${style}` }, svg("title", {}, one.name));
      if ((one.strong || one.banded) && one.points.every((point) => point.low !== undefined && point.low !== null)) {
        const up = one.points.map((point, i) => `${i ? "L" : "M"}${x(point.x)} ${y(point.high)}`).join("");
        const down = [...one.points].reverse().map((point) => `L${x(point.x)} ${y(point.low)}`).join("");
        group.append(svg("path", { class: "band", d: `${up}${down}Z` }));
      }
      group.append(svg("path", { class: "line", d: path }));
      if (one.points.length < 40) {
        for (const point of one.points) {
          const about = point.low === undefined || point.low === null ? ""
            : ` (95 %: ${format(point.low)} to ${format(point.high)})`;
          group.append(svg("circle", { cx: x(point.x), cy: y(point.y), r: one.strong ? 4.5 : 3 },
            svg("title", {}, `${one.name}: ${format(point.y)}${about}`)));
        }
      }
      const end = one.points.at(-1);
      group.append(svg("path", { class: "leader", d: `M${x(end.x) + 5} ${y(end.y)}L${box.right + 14} ${ends[at]}` }),
        svg("text", { x: box.right + 18, y: ends[at] + 4 }, one.label || one.name));
      picture.append(group);
    });
    return picture;
  }

  // bars: [{label, parts: [numbers in the order of names]}].
  function stack({ width, bars, names, format }) {
    const row = 34, left = Math.max(70, room(bars.map((bar) => bar.label), width, 0.4) + 12);
    const top = Math.max(...bars.map((bar) => bar.parts.reduce((a, b) => a + b, 0)), 1e-9);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${bars.length * row}`, width, height: bars.length * row });
    bars.forEach((bar, at) => {
      const total = bar.parts.reduce((a, b) => a + b, 0);
      let place = left;
      picture.append(svg("text", { class: "tick", x: left - 8, y: at * row + 21, "text-anchor": "end" }, bar.label));
      bar.parts.forEach((part, which) => {
        const size = (part / top) * (width - left - 76);
        if (!part) return;
        picture.append(svg("g", { class: `part ${shade(which)}` }, svg("title", {}, `${names[which]}: ${format(part)}`),
          svg("rect", { x: place, y: at * row + 5, width: Math.max(size - 1, 0.5), height: row - 10, rx: 2 })));
        place += size;
      });
      picture.append(svg("text", { class: "total", x: place + 6, y: at * row + 21 }, format(total)));
    });
    return picture;
  }

  function legend(names) {
    return h("ul", { class: "legend" }, names.map((name, at) => h("li", { class: shade(at) }, h("i", {}), name)));
  }

  // One block at the left that divides into ribbons. parts: [{name, count, main}], the first one on top.
  function flow({ width, total, label, parts }) {
    const height = Math.max(120, parts.length * 26 + 20);
    const share = (part) => `${part.name}  ${part.count}${part.count > total / 200 ? ` (${percent(part.count / total, 0)})` : ""}`;
    const left = 74, right = width - room(parts.map(share), width, 0.65) - 10;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
    const scale = (height - 20) / Math.max(total, 1);
    picture.append(svg("text", { class: "total", x: 0, y: height / 2 - 4 }, total.toLocaleString("en")),
      svg("text", { class: "tick", x: 0, y: height / 2 + 13 }, label));
    const middles = [];
    let from = 10;
    for (const part of parts) {
      middles.push(from + (part.count * scale) / 2);
      from += part.count * scale;
    }
    const places = spread(middles, 24, 12, height - 12);
    from = 10;
    parts.forEach((part, at) => {
      const size = Math.max(part.count * scale, 0.75);
      const to = places[at] - size / 2;
      const half = (left + right) / 2;
      picture.append(svg("g", { class: `part ${part.main ? "c2" : "soft"}` }, svg("title", {}, share(part)),
        svg("path", { d: `M${left} ${from}C${half} ${from} ${half} ${to} ${right} ${to}V${to + size}` +
          `C${half} ${to + size} ${half} ${from + size} ${left} ${from + size}Z` }),
        svg("text", { class: part.main ? "total" : "", x: right + 8, y: places[at] + 4 }, share(part))));
      from += part.count * scale;
    });
    return picture;
  }

  // A format with as many digits as a range needs.
  function decimals(low, high) {
    const digits = Math.min(4, Math.max(0, 1 - Math.floor(Math.log10((high - low) / 5 || 1))));
    return (value) => (Math.abs(value) < 10 ** -digits / 2 ? 0 : value).toFixed(digits).replace("-", "−");
  }

  return { figure, table, decimals, lines, stack, legend, flow, percent, signed };
})();
