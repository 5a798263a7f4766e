// What comes while a page is read. An element with an id and data-live="address" is loaded again when an event comes there. On
// a page without one, data-newer says that the ledger has moved on, and leaves what is being read where it is: the first event
// is enough to know that, so nothing is followed any further. A server that restarts is asked again.
import { load } from "./partial.js";

let source, waiting = 0;

function loadAgain(id) {
  if (waiting) return;
  waiting = setTimeout(() => {
    waiting = 0;
    load(location.href, [id], { push: false });
  }, 300);
}

function tell(place) {
  source.close();
  const link = document.createElement("a");
  link.href = place.dataset.here;
  link.textContent = "show it";
  place.replaceChildren("More was recorded since: ", link);
}

function follow() {
  source?.close();
  const part = document.querySelector("[data-live]"), notice = document.querySelector("[data-newer]");
  if (!part && !notice) return;
  source = new EventSource(part ? part.dataset.live : notice.dataset.newer);
  source.addEventListener("message", () => part ? loadAgain(part.id) : tell(notice));
}

export function live() {
  follow();
  document.addEventListener("runfold:replaced", follow);
  addEventListener("pagehide", () => source?.close());
}
