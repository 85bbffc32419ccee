"""A page in a real browser: what it shows, what it asks for, what it complains of."""

from __future__ import annotations

CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const painted = colour => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data];
  };
  const linear = value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const ground = element => {
    const colour = painted(getComputedStyle(element).backgroundColor);
    return colour[3] === 255 ? colour : ground(element.parentElement);
  };
  const saysSomething = element => element.checkVisibility() && !element.closest("svg, [disabled], kbd, option")
    && [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  const contrast = element => {
    const lights = [painted(getComputedStyle(element).color), ground(element)].map(luminance);
    return (Math.max(...lights) + .05) / (Math.min(...lights) + .05);
  };
  return [...document.querySelectorAll("main *, .theme")].filter(saysSomething)
    .map(element => [element.outerHTML.slice(0, 90), contrast(element)]).filter(([_, ratio]) => ratio < 4.5);
}"""
"""What stands out too little from its ground, with the ratio: level AA of WCAG 2.2 (1.4.3) asks 4.5 to 1 of text."""

SIDEWAYS = """() => [...document.querySelectorAll("main, main *")]
  .filter(element => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX === "auto")
  .map(element => [element.outerHTML.slice(0, 90), element.scrollWidth, element.clientWidth])"""
"""What a reader would have to scroll sideways, with its width and that of its place."""


class Visit:
    """A page that is open, and all that it asked for or complained of."""

    def __init__(self, browser, path, **how):
        self.context = browser.new_context(viewport={"width": 1400, "height": 900}, **how)
        self.page = self.context.new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    def rows(self):
        return self.page.locator(".sources tbody tr")

    def cells(self, k):
        return self.page.locator(f".sources tbody tr td:nth-of-type({k})").all_text_contents()

    def ids(self):
        return self.page.locator(".sources tbody th small").all_text_contents()

    def current(self):
        return self.page.locator(".sources tr[aria-current] small").text_content()

    def count(self):
        return self.page.locator(".count").text_content().replace("\u202f", " ")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
