/* Light or dark: as the system has it, until the reader chooses. Runs in the head, before anything is drawn. */
(() => {
  const root = document.documentElement, choices = ["system", "light", "dark"];
  const kept = () => { try { return localStorage.getItem("diapipe.theme"); } catch { return null; } };
  const put = choice => { if (choice === "system") delete root.dataset.theme; else root.dataset.theme = choice; };
  let chosen = choices.includes(kept()) ? kept() : "system";
  put(chosen);
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".theme").forEach(button => {
    const tell = () => { button.textContent = "colours: " + chosen; };
    button.hidden = false;
    tell();
    button.addEventListener("click", () => {
      chosen = choices[(choices.indexOf(chosen) + 1) % choices.length];
      try { localStorage.setItem("diapipe.theme", chosen); } catch { /* this browser keeps nothing: for now only */ }
      put(chosen);
      tell();
    });
  }));
})();
