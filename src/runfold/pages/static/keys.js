// Keys. A screen adds its own by on("x", action); none of them is taken while somebody writes.
const actions = new Map();
let went = false;

export function on(key, action) { actions.set(key, action); }

export function items() { return [...document.querySelectorAll("[data-item]")].filter((item) => item.offsetParent !== null); }

export function choose(item) {
  document.querySelector("[data-item].at")?.classList.remove("at");
  item.classList.add("at");
  const link = item.querySelector("a[href], button, summary") ?? item;
  if (link === item) item.tabIndex = -1;
  link.focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = items();
  const at = all.findIndex((item) => item.classList.contains("at"));
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
  if (next) choose(next);
}

function go(key) {
  if (key === "h") { document.querySelector(".home").click(); return; }
  document.querySelector(`[data-go="${CSS.escape(key)}"]`)?.click();
}

function isWriting(target) {
  return target.isContentEditable || (target.matches?.("input, textarea, select") && !["range", "checkbox", "radio"].includes(target.type));
}

export function keys() {
  on("j", () => step(1));
  on("k", () => step(-1));
  on("g", () => { went = true; });
  on("y", () => document.querySelector("[data-copy]")?.click());
  on("f", () => {
    const filters = document.getElementById("filters");
    if (!filters) return;
    filters.open = true;
    filters.querySelector("input:not([type=hidden]), select").focus();
  });
  on("?", () => document.getElementById("keys").showModal());
  on("/", () => {
    const field = document.querySelector("[data-search]");
    if (field) { field.focus(); field.select?.(); } else go("/");
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || document.querySelector("dialog[open]")) return;
    const name = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
    const wasGoing = went;
    went = false;
    const action = wasGoing ? () => go(event.key) : actions.get(name);
    if (!action) return;
    event.preventDefault();
    action(event);
  });
  document.addEventListener("focusin", (event) => {
    const item = event.target.closest("[data-item]");
    if (item && !item.classList.contains("at")) {
      document.querySelector("[data-item].at")?.classList.remove("at");
      item.classList.add("at");
    }
  });
}
