// A link or form with data-part="id" changes only the elements with these ids (several are separated by spaces), and the
// address, so that back, forward and a copied address show the same. Without scripts it is a link or form like any other.
const PARTS = ["main", "inspector"], FOCUSABLE = "a[href], button, input, select, textarea, summary";
const policy = globalThis.trustedTypes?.createPolicy("runfold", { createHTML: (text) => text });
let asked, shown = whole(location.href);

function whole(address) { return new URL(address, location.href).href.split("#")[0]; }

function parsed(text) {
  return new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");  // scripts in it never run
}

// Where the focus is: the nearest element with an id, and which it is of those in it that take the focus; of a whole part, none.
function placeOf(element) {
  const near = element?.closest("[id]");
  return near && [near.id, PARTS.includes(near.id) ? -1 : [...near.querySelectorAll(FOCUSABLE)].indexOf(element)];
}

function focusAt([id, number]) {
  const near = document.getElementById(id);
  (number < 0 ? near : near?.querySelectorAll(FOCUSABLE)[number])?.focus({ preventScroll: true });
}

export function replace(other, ids) {
  for (const id of ids) {
    const here = document.getElementById(id), there = other.getElementById(id);
    if (here && there) here.replaceWith(document.importNode(there, true));
  }
  const banner = document.querySelector(".as-of"), newer = other.querySelector(".as-of");
  if (banner && newer) banner.replaceWith(document.importNode(newer, true));
  document.title = other.title;
  document.dispatchEvent(new CustomEvent("runfold:replaced", { detail: ids }));
}

export async function load(address, ids, { push = true, top = "" } = {}) {
  asked?.abort();
  const mine = asked = new AbortController();
  try {
    const answer = await fetch(address, { signal: mine.signal, headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) { location.href = address; return; }
    const other = parsed(await answer.text());
    if (mine.signal.aborted) return;
    const focused = top ? [top, 0] : placeOf(document.activeElement);
    replace(other, ids);
    document.getElementById(top)?.scrollIntoView({ block: "start" });  // another window is read from its beginning
    if (focused) focusAt(focused);  // else who uses no mouse would have to begin again from the top
    shown = whole(address);
    if (push) history.pushState(null, "", address);
  } catch (error) {
    if (error.name !== "AbortError") location.href = address;
  }
}

export function partial() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-part]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    load(link.href, link.dataset.part.split(" "), { top: link.rel ? "conversation" : "" });
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-part]");
    if (!form || form.method !== "get") return;
    event.preventDefault();
    const said = [...new FormData(form)].filter(([, value]) => value !== "");
    load(`${form.action}?${new URLSearchParams(said)}`, form.dataset.part.split(" "));
  });
  // Wherever one comes to, back or forward, all that the address says is shown; another place of the same page is there already.
  addEventListener("popstate", () => {
    if (whole(location.href) === shown) asked?.abort(); else load(location.href, PARTS, { push: false });
  });
}
