// A list with data-tail="address" shows what was recorded last: as more comes it is loaded again, unless somebody is reading in it.
import { load } from "./partial.js";

let source, waiting = 0;

function follow() {
  source?.close();
  const place = document.querySelector("[data-tail]");
  if (!place) return;
  source = new EventSource(place.dataset.tail);
  source.addEventListener("message", () => {
    waiting ||= setTimeout(() => {
      waiting = 0;
      if (!place.contains(document.activeElement)) load(location.href, [place.id], { push: false });
    }, 300);
  });
}

export function tail() {
  follow();
  document.addEventListener("runfold:replaced", follow);
  addEventListener("pagehide", () => source?.close());
}
