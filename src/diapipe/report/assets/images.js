/* The three images of a pair: marks of sources, and a view in which the images blink in place. */
"use strict";
(() => {
  const $ = s => document.querySelector(s), all = s => [...document.querySelectorAll(s)];
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  $("#marks").onchange = e => $("#triptych").classList.toggle("unmarked", !e.target.checked);
  $("#bad-marks").onchange = e => $("#triptych").classList.toggle("unbad", !e.target.checked);
  const dialog = $("#blink"), view = dialog.firstChild, bar = dialog.lastChild, pictures = all("#triptych .pic");
  let tick = 0, current = 0;
  const captions = pictures.map(p => p.parentNode.querySelector("figcaption").textContent);
  const paint = i => { current = i; view.className = "pic px-" + pictures[i].dataset.name; [...bar.querySelectorAll("[data-i]")].forEach(b => b.setAttribute("aria-pressed", b.dataset.i == i)); };
  const stop = () => { clearInterval(tick); tick = 0; play.setAttribute("aria-pressed", false); };
  const run = () => { stop(); tick = setInterval(() => paint((current + 1) % pictures.length), 700); play.setAttribute("aria-pressed", true); };
  captions.forEach((text, i) => { const b = document.createElement("button"); b.textContent = text; b.dataset.i = i; b.onclick = () => { stop(); paint(i); }; bar.append(b); });
  const play = document.createElement("button"); play.textContent = "blink"; play.onclick = () => tick ? stop() : run();
  const close = document.createElement("button"); close.textContent = "close"; close.onclick = () => dialog.close();
  bar.append(play, close);
  pictures.forEach((p, i) => p.onclick = e => {
    const mark = e.target.closest("circle");
    if (mark && window.diapipe && diapipe.goTo($(".sources").id, Number(mark.id.slice(1)))) return;
    paint(i);
    dialog.showModal();
    if (!calm) run();
  });
  // beside a list of sources: the selected one is lit on the difference
  document.addEventListener("diapipe:select", e => {
    all(".marks .lit").forEach(mark => mark.classList.remove("lit"));
    document.getElementById("m" + e.detail)?.classList.add("lit");
  });
  dialog.onclose = stop;
  dialog.onclick = e => e.target === dialog && dialog.close();
  dialog.onkeydown = e => { const i = "123".indexOf(e.key); if (i >= 0 && i < pictures.length) { stop(); paint(i); } };
})();
