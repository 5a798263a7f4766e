// The unmodified client of AG-UI, and what the behaviours need around it.
import { HttpAgent, parseSSEStream } from "@ag-ui/client";
import { writeFileSync } from "node:fs";
import assert from "node:assert/strict";

export const told = JSON.parse(process.env.RUNFOLD_TOLD);
export const headers = { authorization: `Bearer ${told.key}` };
let count = 0;
export const fresh = (name) => `${name}-${++count}-${Math.random().toString(36).slice(2, 8)}`;
export const gate = (name) => `${told.folder}/${fresh(name)}`;
export const open = (path) => writeFileSync(path, "");
export const user = (content, id = fresh("u")) => ({ id, role: "user", content });

export function agent(threadId, { path = "scripted", messages = [], state = {}, ...more } = {}) {
  return new HttpAgent({ url: `${told.url}/agents/${path}`, headers, threadId, initialMessages: messages, initialState: state, ...more });
}

export async function run(client, { script, own, on, runId = fresh("r"), ...more } = {}) {
  const errors = [];
  const events = [];
  const seen = {
    onEvent: ({ event }) => { events.push(event); on?.(event); },
    onRunErrorEvent: ({ event }) => { errors.push(event); },
  };
  const forwardedProps = script || own || more.forwardedProps ? { ...(script ? { script } : {}), ...(own ? { runfold: own } : {}), ...more.forwardedProps } : undefined;
  const result = await client.runAgent({ runId, ...more, forwardedProps }, seen);
  return { result, errors, events, runId };
}

export const started = { type: "RUN_STARTED" };
export const finished = { type: "RUN_FINISHED" };
export const text = (id, ...deltas) => [
  { type: "TEXT_MESSAGE_START", messageId: id, role: "assistant" },
  ...deltas.map((delta) => (typeof delta === "string" ? { type: "TEXT_MESSAGE_CONTENT", messageId: id, delta } : delta)),
  { type: "TEXT_MESSAGE_END", messageId: id },
];
export const call = (id, name, parent, ...deltas) => [
  { type: "TOOL_CALL_START", toolCallId: id, toolCallName: name, parentMessageId: parent },
  ...deltas.map((delta) => (typeof delta === "string" ? { type: "TOOL_CALL_ARGS", toolCallId: id, delta } : delta)),
  { type: "TOOL_CALL_END", toolCallId: id },
];
export const interrupts = (...asked) => ({ type: "RUN_FINISHED", outcome: { type: "interrupt", interrupts: asked } });

export async function post(path, body, more = {}) {
  return fetch(`${told.url}/agents/${path}`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", accept: "text/event-stream", ...more },
    body: JSON.stringify({ tools: [], context: [], state: {}, forwardedProps: {}, messages: [], ...body }),
  });
}

// What a message says, without where the ledger has it.
export const plain = (messages) =>
  messages.map(({ metadata, ...message }) => ({
    ...message,
    ...(message.toolCalls ? { toolCalls: message.toolCalls.map(({ metadata: _, ...each }) => each) } : {}),
  }));

export const contents = (client) => client.messages.map((message) => message.content);

export async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("it was not refused");
}

export async function until(found) {
  for (let tries = 0; tries < 1000; tries++) {
    const value = await found();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail("it never came");
}
