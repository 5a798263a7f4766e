// A page that shows the present says when the ledger has moved on, and leaves what is being read where it is. The first event
// after its position is enough to know that, so nothing is followed any further; a server that restarts is asked again.
let source;

function follow() {
  source?.close();
  const place = document.querySelector("[data-live]");
  if (!place) return;
  source = new EventSource(place.dataset.live);
  source.addEventListener("message", () => {
    source.close();
    const link = document.createElement("a");
    link.href = place.dataset.here;
    link.textContent = "show it";
    place.replaceChildren("More was recorded since: ", link);
  });
}

export function live() {
  follow();
  document.addEventListener("runfold:replaced", follow);
  addEventListener("pagehide", () => source?.close());
}
