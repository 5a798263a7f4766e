// An element with data-live="address" is told of events as they are recorded; what it says of them is loaded again.
import { load } from "./partial.js";

export function live() {
  const place = document.querySelector("[data-live]");
  if (!place) return;
  const source = new EventSource(place.dataset.live);
  let waiting = 0;
  source.addEventListener("message", () => {
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = 0;
      load(location.href, [place.id], { push: false });
    }, 300);
  });
  addEventListener("pagehide", () => source.close());
}
