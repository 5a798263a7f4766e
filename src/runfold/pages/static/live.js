// What comes while a page is read. A list with an id and data-tail="address" shows what was recorded last: as more comes there it is
// loaded again, unless somebody is reading in it. data-newer says that the ledger has moved on, and leaves what is being read where it
// is: the first event is enough to know that, so it is followed no further. A server that restarts is asked again.
import { load } from "./partial.js";

const sources = [];
let waiting = 0;

function loadAgain(list) {
  waiting ||= setTimeout(() => {
    waiting = 0;
    if (!list.contains(document.activeElement)) load(location.href, [list.id], { push: false });
  }, 300);
}

function tell(place, source) {
  source.close();
  const link = document.createElement("a");
  link.href = place.dataset.here;
  link.textContent = "show it";
  place.replaceChildren("More was recorded since: ", link);
}

function hear(name, act) {
  const place = document.querySelector(`[data-${name}]`);
  if (!place) return;
  const source = new EventSource(place.dataset[name]);
  source.addEventListener("message", () => act(place, source));
  sources.push(source);
}

function leave() {
  for (const source of sources.splice(0)) source.close();
}

function follow() {
  leave();
  hear("tail", loadAgain);
  hear("newer", tell);
}

export function live() {
  follow();
  document.addEventListener("runfold:replaced", follow);
  addEventListener("pagehide", leave);
}
