"use strict";
// Clips on the page: posters, the player with the frames that the model saw, and the keys.

var clips = (() => {
  const { h, svg } = savi;

  function blank() {
    return h("span", { class: "poster" });
  }

  // base: the path of the clip's files without their ends.
  function poster(base, site) {
    if (site.clips === "none") return blank();
    return h("img", { class: "poster", src: `${base}.jpg`, alt: "", loading: "lazy",
      onerror: (event) => event.target.replaceWith(blank()) });
  }

  // A player, and below it a line of the clip's time with a mark for each frame that the model saw.
  // name: the document about the clip. base: as above.
  function player(name, base, site) {
    const holder = h("div", { class: "player" }, h("p", { class: "note" }, "Reading the video …"));
    savi.load(name).then((media) => show(holder, media, base, site), (error) => holder.replaceChildren(error.message));
    return holder;
  }

  function show(holder, media, base, site) {
    if (media.problem || site.clips === "none") {
      holder.replaceChildren(h("p", { class: "note" }, media.problem || "The videos were left out of this copy."));
      return;
    }
    const video = h("video", { controls: true, muted: true, playsinline: true, loop: true, preload: "metadata",
      poster: `${base}.jpg`, src: `${base}.mp4`, "aria-label": "The clip, without sound" });
    video.muted = true; // the model hears nothing either
    const x = (time) => (1000 * time) / media.duration;
    const now = svg("line", { class: "now", x1: 0, x2: 0, y1: 0, y2: 30 });
    const line = svg("svg", { class: "timeline", viewBox: "0 0 1000 30", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { x: 0, y: 12, width: 1000, height: 6 }),
      media.times.map((time) => svg("line", { class: "sampled", x1: x(time), x2: x(time), y1: 5, y2: 25 })), now);
    const seek = (time) => { video.pause(); video.currentTime = Math.min(time + 0.001, media.duration); };
    line.addEventListener("click", (event) => {
      const time = (event.offsetX / line.clientWidth) * media.duration;
      seek(media.times.reduce((a, b) => (Math.abs(b - time) < Math.abs(a - time) ? b : a)));
    });
    const step = (way) => {
      const time = video.currentTime;
      const later = media.times.filter((one) => (way > 0 ? one > time + 0.002 : one < time - 0.002));
      if (later.length) seek(way > 0 ? later[0] : later.at(-1));
    };
    const where = h("output", {}, "");
    const tell = () => {
      now.setAttribute("x1", x(video.currentTime));
      now.setAttribute("x2", x(video.currentTime));
      where.textContent = `${video.currentTime.toFixed(2)} of ${media.duration.toFixed(2)} s`;
    };
    video.addEventListener("timeupdate", tell);
    const button = (way, text) => h("button", { type: "button", "data-step": way, onclick: () => step(way) }, text);
    holder.replaceChildren(video, line, h("p", { class: "steps" }, button(-1, "Frame before"), where, button(1, "Next frame")),
      h("p", { class: "note" }, `The marks are the ${media.times.length} frames that the model saw.`));
    tell();
  }

  function play(holder) {
    const video = holder.querySelector("video");
    if (video) video.paused ? video.play() : video.pause();
  }

  // The line that names a view's keys, and switches them off: they get in the way of some aids.
  function keys(text) {
    const on = savi.remember("keys") !== "off";
    return h("p", { class: "keys" }, h("label", {}, h("input", { type: "checkbox", checked: on,
      onchange: (event) => savi.remember("keys", event.target.checked ? "on" : "off") }), ` Keys: ${text}`));
  }

  return { blank, poster, player, play, keys };
})();
