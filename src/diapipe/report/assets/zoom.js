/* A map to zoom into: wheel, drag, and buttons; lines and symbols keep their width. */
"use strict";
(() => {
  for (const map of document.querySelectorAll("[data-zoom]")) {
    const svg = map.querySelector("svg"), whole = svg.viewBox.baseVal, full = [whole.x, whole.y, whole.width, whole.height];
    let box = [...full], held = null, moved = false;
    const show = () => {
      svg.setAttribute("viewBox", box.join(" "));
      svg.style.setProperty("--zoom", box[2] / full[2]);
    };
    const zoom = (factor, [u, v] = [0.5, 0.5]) => {
      const width = Math.min(full[2], Math.max(full[2] / 60, box[2] * factor)), height = width * full[3] / full[2];
      box = kept([box[0] + u * (box[2] - width), box[1] + v * (box[3] - height), width, height]);
      show();
    };
    const kept = ([x, y, w, h]) => [Math.min(Math.max(x, full[0]), full[0] + full[2] - w), Math.min(Math.max(y, full[1]), full[1] + full[3] - h), w, h];
    const at = event => { const place = svg.getBoundingClientRect(); return [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height]; };
    svg.addEventListener("wheel", event => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, at(event)); }, { passive: false });
    svg.addEventListener("pointerdown", event => { held = { from: at(event), box: [...box] }; moved = false; });
    window.addEventListener("pointermove", event => {
      if (!held) return;
      const [u, v] = at(event), [du, dv] = [u - held.from[0], v - held.from[1]];
      moved ||= Math.hypot(du, dv) > 0.005;
      if (moved) { box = kept([held.box[0] - du * box[2], held.box[1] - dv * box[3], box[2], box[3]]); show(); }
    });
    window.addEventListener("pointerup", () => { held = null; });
    svg.addEventListener("click", event => { if (moved) event.preventDefault(); }, true);
    svg.addEventListener("dragstart", event => event.preventDefault());
    const bar = document.createElement("div");
    bar.className = "bar zoom";
    for (const [text, name, act] of [["+", "Zoom in", () => zoom(1 / 1.5)], ["\u2212", "Zoom out", () => zoom(1.5)], ["whole field", "Whole field", () => { box = [...full]; show(); }]]) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = text; button.setAttribute("aria-label", name); button.onclick = act;
      bar.append(button);
    }
    map.prepend(bar);
  }
})();
