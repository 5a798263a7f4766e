// Conversations of another AG-UI server, had again: what its client sent is sent, and what its agent said is said.
import assert from "node:assert/strict";
import { agent, plain, run, told } from "./client.mjs";

const found = {};
for (const [name, turns] of Object.entries(told.conversations)) {
  const client = agent(`replay ${name}`, { path: "replayed" });
  const outcomes = [];
  for (const { sent, replay } of turns) {
    for (const [index, message] of sent.messages.entries()) {
      const id = message.id ?? `${name}-${index}-${message.content}`;
      if (!client.messages.some((known) => known.id === id)) client.addMessage({ ...message, id });
    }
    const resume = sent.resume?.map((answer, index) => ({ ...answer, interruptId: client.pendingInterrupts[index].id }));
    const { errors, events } = await run(client, { forwardedProps: { replay }, ...(resume ? { resume } : {}) });
    assert.deepEqual(errors, []);
    outcomes.push(events.at(-1).outcome?.type);
  }
  found[name] = { outcomes, pending: client.pendingInterrupts.length, messages: plain(client.messages) };
}
process.stdout.write(JSON.stringify(found), () => process.exit(0));
