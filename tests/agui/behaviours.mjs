// The nineteen behaviours that an unmodified client needs, each by its name. Prints what came of each as JSON.
import assert from "node:assert/strict";
import { agent, call, contents, finished, fresh, gate, headers, interrupts, open, plain, post, refused, run, started, text, told, until, user } from "./client.mjs";

const behaviours = {
  async "1 frames end in two line feeds"() {
    const response = await post("scripted", { threadId: fresh("t"), runId: fresh("r") });
    const body = await response.text();
    assert.match(response.headers.get("content-type"), /^text\/event-stream/);
    assert.ok(!body.includes("\r"), "a carriage return");
    for (const frame of body.split("\n\n").filter(Boolean)) {
      const data = frame.split("\n").filter((line) => !line.startsWith("id:") && !line.startsWith(":"));
      for (const line of data) JSON.parse(line.replace(/^data: /, ""));
    }
  },

  async "2 ids and comments in the stream change nothing"() {
    const held = gate("beat");
    const client = agent(fresh("t"));
    const going = run(client, { script: [started, ...text("m", "one", { gate: held }, "two"), finished] });
    setTimeout(() => open(held), 300); // the server says every 100 ms that it is alive
    assert.deepEqual((await going).errors, []);
    assert.deepEqual(contents(client), ["onetwo"]);
  },

  async "3 a history larger than one frame comes in pieces"() {
    const threadId = fresh("t");
    for (const many of [3, 3]) { // what the thread has need not be sent
      const messages = Array.from({ length: many }, () => user("x".repeat(1_900_000)));
      const response = await post("scripted", { threadId, runId: fresh("r"), messages });
      assert.match(await response.text(), /RUN_FINISHED/);
    }
    const later = agent(threadId, { path: "scripted/connect" });
    const { errors } = await run(later);
    assert.deepEqual(errors, []);
    assert.equal(later.messages.filter(({ role }) => role === "user").length, 6);
    assert.equal(new Set(later.messages.map(({ id }) => id)).size, later.messages.length);
  },

  async "4 a stream ends after its terminal event and never without one"() {
    const client = agent(fresh("t"));
    const { errors, events } = await run(client, { script: [started, ...text("m", "half")] });
    assert.equal(errors.length, 1);
    assert.equal(errors[0].code, "incomplete");
    assert.equal(events.at(-1).type, "RUN_ERROR");
    assert.deepEqual(contents(client), ["half"]);
  },

  async "5 a run starts once, first, and nothing follows its end"() {
    const client = agent(fresh("t"));
    const { errors, events } = await run(client, {
      script: [...text("early", "lost"), started, started, ...text("m", "kept"), finished, ...text("late", "lost")],
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(contents(client), ["kept"]);
    assert.equal(events.filter(({ type }) => type === "RUN_STARTED").length, 1);
  },

  async "6 nothing is open when a run finishes"() {
    const client = agent(fresh("t"));
    const { errors } = await run(client, {
      script: [
        started,
        { type: "TEXT_MESSAGE_CONTENT", messageId: "nobody", delta: "?" },
        { type: "STEP_STARTED", stepName: "look" },
        { type: "SUBAGENT_STARTED", subagentRunId: "sub", name: "helper" },
        { type: "REASONING_START", messageId: "th" },
        { type: "REASONING_MESSAGE_START", messageId: "th", role: "reasoning" },
        { type: "REASONING_MESSAGE_CONTENT", messageId: "th", delta: "hm" },
        { type: "TEXT_MESSAGE_START", messageId: "m", role: "assistant" },
        { type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "open" },
        { type: "TOOL_CALL_START", toolCallId: fresh("c"), toolCallName: "look", parentMessageId: "m" },
        finished,
      ],
    });
    assert.deepEqual(errors, []);
    assert.ok(contents(client).includes("open") && contents(client).includes("hm"));
  },

  async "7 what has no value is left out and never null"() {
    const body = await (await post("scripted", { threadId: fresh("t"), runId: fresh("r"), messages: [user("hi")] })).text();
    const nulls = (value) => (value === null ? true : typeof value === "object" ? Object.values(value).some(nulls) : false);
    for (const line of body.split("\n").filter((each) => each.startsWith("data: "))) assert.ok(!nulls(JSON.parse(line.slice(6))), line);
  },

  async "8 sub-agents are told apart, and each event of one names it"() {
    const client = agent(fresh("t"), { path: "demo", messages: [user("a refund for order 7")] });
    const { errors, events } = await run(client);
    assert.deepEqual(errors, []);
    const begun = events.find(({ type }) => type === "SUBAGENT_STARTED");
    const said = events.filter((event) => event.subagentRunId === begun.subagentRunId && event.type.startsWith("TEXT_"));
    assert.ok(said.length >= 3);
    assert.ok(events.some((event) => event.type === "SUBAGENT_FINISHED" && event.subagentRunId === begun.subagentRunId));
  },

  async "9 the ids of thread and run are those of the request"() {
    const threadId = fresh("any thread / id");
    const { events, runId } = await run(agent(threadId), { script: [{ ...started, threadId: "else", runId: "else" }, finished] });
    for (const event of events.filter(({ type }) => ["RUN_STARTED", "RUN_FINISHED"].includes(type))) {
      assert.deepEqual([event.threadId, event.runId], [threadId, runId]);
    }
  },

  async "10 what is refused before the start is an HTTP error, and what fails later a RUN_ERROR"() {
    const client = agent(fresh("t"), { path: "nobody" });
    const error = await refused(run(client));
    assert.equal(error.status, 404);
    assert.equal(error.payload.type, "urn:runfold:error:AgentNotFound");
    const orphan = agent(fresh("t"), { messages: [{ id: "x", role: "tool", toolCallId: "no-such-call", content: "42" }] });
    const second = await refused(run(orphan));
    assert.equal(second.status, 422);
    assert.match(second.payload.detail, /no tool call of this conversation is 'no-such-call'/);
    const { errors } = await run(agent(fresh("t")), { script: [started, { raise: "it fell over" }] });
    assert.equal(errors[0].code, "agent_failed");
    assert.match(errors[0].message, /it fell over/);
  },

  async "11 interrupts are answered all, in time, by who may, and once"() {
    const threadId = fresh("t");
    const client = agent(threadId, { messages: [user("two things")] });
    const ask = (id, more = {}) => ({ id, reason: "confirmation", message: id, ...more });
    const late = agent(fresh("t"), { messages: [user("in time?")] });
    const expiresAt = new Date(Date.now() + 2000);
    await run(late, { script: [started, interrupts(ask("c", { expiresAt: expiresAt.toISOString() }))] });
    await run(client, { script: [started, interrupts(ask("a"), ask("b"))] });
    const asked = client.pendingInterrupts.map(({ id }) => id);
    assert.equal(asked.length, 2);
    const yes = (interruptId) => ({ interruptId, status: "resolved", payload: { approved: true } });
    assert.match(String(await refused(run(client, { resume: [yes(asked[0])] }))), /interrupt/i);
    const stranger = () => agent(threadId, { messages: client.messages });
    const partial = await refused(run(stranger(), { resume: [yes(asked[0])] }));
    assert.deepEqual([partial.status, partial.payload.type], [409, "urn:runfold:error:ApprovalsLeftOpen"]);
    const input = await refused(run(stranger(), {}));
    assert.equal(input.status, 409);
    const unknown = await refused(run(stranger(), { resume: [yes("no-such-interrupt")] }));
    assert.equal(unknown.status, 404);
    const elsewhere = await refused(run(agent(fresh("t")), { resume: [yes(asked[0]), yes(asked[1])] }));
    assert.equal(elsewhere.status, 404);
    const other = new Headers({ ...headers, authorization: `Bearer ${told.other}` });
    const theirs = agent(threadId, { headers: Object.fromEntries(other) });
    const owned = await refused(run(theirs, { resume: [yes(asked[0]), yes(asked[1])] }));
    assert.deepEqual([owned.status, owned.payload.type], [404, "urn:runfold:error:ThreadNotFound"]);
    await run(client, { resume: asked.map(yes) });
    assert.deepEqual(client.pendingInterrupts, []);
    const twice = await refused(run(stranger(), { resume: asked.map(yes) }));
    assert.equal(twice.status, 409);
    assert.match(twice.payload.detail, /answered once/);
    const gone = agent(fresh("t"));
    const { errors } = await run(gone, { script: [started, interrupts(ask("d", { expiresAt: "2020-01-01T00:00:00Z" }))] });
    assert.match(errors[0].message, /expires_at: 2020-01-01T00:00:00\+00:00 has passed/);
    await until(() => new Date() > expiresAt);
    const [{ id }] = late.pendingInterrupts;
    const over = await refused(run(agent(late.threadId, { messages: late.messages }), { resume: [yes(id)] }));
    assert.deepEqual([over.status, over.payload.state], [409, "expired"]);
    await run(late, { resume: [{ interruptId: id, status: "cancelled" }] });
  },

  async "12 state and messages come before the interrupt, and a resumed run tells only the result"() {
    const [c, m] = [fresh("c"), fresh("m")];
    const client = agent(fresh("t"), { messages: [user("pay")] });
    const ask = { id: "ask", reason: "tool_call", toolCallId: c, message: "pay?" };
    const { events } = await run(client, {
      script: [started, { type: "STATE_SNAPSHOT", snapshot: { paid: 0 } }, ...text(m, "I will pay."), ...call(c, "pay", m, '{"sum":', "40}"), interrupts(ask)],
    });
    const last = events.slice(-3).map(({ type }) => type);
    assert.deepEqual(last, ["STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]);
    const resume = client.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "resolved", payload: { approved: true } }));
    const result = { type: "TOOL_CALL_RESULT", toolCallId: c, messageId: fresh("res"), content: "paid" };
    const again = await run(client, { resume, script: [started, ...call(c, "pay", m, '{"sum":40}'), result, finished] });
    const told = again.events.filter(({ type }) => type.startsWith("TOOL_")).map(({ type }) => type);
    assert.deepEqual(told, ["TOOL_CALL_RESULT"]);
    assert.equal(client.messages.filter(({ role }) => role === "tool").length, 1);
    assert.equal(client.messages.find(({ id }) => id === m).toolCalls[0].function.arguments, '{"sum":40}');
    const [own, said] = [fresh("c"), fresh("m")]; // a tool of the client's own: it has the result before anybody else
    await run(client, { script: [started, ...text(said, "Where are you?"), ...call(own, "locate", said, "{}"), finished] });
    client.addMessage({ id: fresh("res"), role: "tool", toolCallId: own, content: "here" });
    const before = plain(client.messages);
    await run(client, { script: [started, finished] });
    assert.deepEqual(plain(client.messages), before);
    const brought = agent(fresh("t"), { messages: before }); // all of it, to a thread that nobody knows
    await run(brought, { script: [started, ...text(fresh("m"), "welcome"), finished] });
    assert.deepEqual(plain(brought.messages).slice(0, -1), before);
  },

  async "13 a branch begins where the client says, or where its messages leave the thread"() {
    const threadId = fresh("t");
    const [one, two, three] = [user("one"), user("two"), user("three")];
    const client = agent(threadId, { messages: [one] });
    const first = await run(client);
    client.addMessage(two);
    await run(client);
    const byProps = agent(threadId, { messages: [three] });
    await run(byProps, { own: { parentRunId: first.runId } });
    assert.deepEqual(byProps.messages.map(({ id }) => id).slice(0, 3), [one.id, `${first.runId}-said`, three.id]);
    const byUse = agent(threadId, { messages: [user("four")] });
    byUse.use((input, next) => next.run({ ...input, parentRunId: first.runId }));
    await run(byUse);
    assert.equal(byUse.messages.length, 4);
    const fork = agent(threadId, { messages: [user("five")] });
    await run(fork, { own: { forkFromMessageId: one.id } });
    assert.deepEqual(fork.messages.map(({ id }) => id).slice(0, 1), [one.id]);
    assert.equal(fork.messages.length, 3);
    const edited = user("two, otherwise");
    const diverged = agent(threadId, { messages: [...client.messages.slice(0, 2), edited] });
    const { events } = await run(diverged);
    assert.equal(diverged.messages.at(-1).content, `3 messages: ${one.id} ${first.runId}-said ${edited.id}`);
    assert.ok(events.find(({ type }) => type === "RUN_STARTED").parentRunId);
  },

  async "14 a client on a branch has that branch's messages and its state"() {
    const threadId = fresh("t");
    const client = agent(threadId, { messages: [user("one")] });
    const first = await run(client, { script: [started, { type: "STATE_SNAPSHOT", snapshot: { at: 1 } }, ...text(fresh("m"), "a"), finished] });
    const before = plain(client.messages);
    client.addMessage(user("two"));
    await run(client, { script: [started, { type: "STATE_SNAPSHOT", snapshot: { at: 2 } }, ...text(fresh("m"), "b"), finished] });
    const branch = user("two again");
    client.addMessage(branch);
    client.setState({});
    await run(client, { own: { parentRunId: first.runId } });
    assert.deepEqual(plain(client.messages).slice(0, before.length), before);
    assert.equal(client.messages[before.length].id, branch.id);
    assert.equal(client.messages.length, before.length + 2);
    assert.deepEqual(client.state, { at: 1 });
  },

  async "15 a client that knows nothing is given what there is, open interrupts too"() {
    const threadId = fresh("t");
    const client = agent(threadId, { messages: [user("hello")] });
    const ask = { id: "ask", reason: "input_required", message: "name?", responseSchema: { type: "object" } };
    await run(client, { script: [started, { type: "STATE_SNAPSHOT", snapshot: { n: 1 } }, ...text(fresh("m"), "who?"), interrupts(ask)] });
    const later = agent(threadId, { path: "scripted/connect" });
    await run(later);
    assert.deepEqual(plain(later.messages), plain(client.messages));
    assert.deepEqual(later.state, { n: 1 });
    assert.deepEqual(later.pendingInterrupts.map(({ id }) => id), client.pendingInterrupts.map(({ id }) => id));
    later.url = `${told.url}/agents/scripted`;
    const resume = later.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "resolved", payload: { name: "Ada" } }));
    await run(later, { resume });
    const last = agent(threadId, { path: "scripted/connect" });
    await run(last);
    assert.deepEqual(last.pendingInterrupts, []);
    assert.deepEqual(plain(last.messages), plain(later.messages));
  },

  async "16 a run is joined in the middle of a text, of arguments, of reasoning"() {
    const threadId = fresh("t");
    const gates = [gate("text"), gate("args"), gate("thought")];
    const [m, c, th] = [fresh("m"), fresh("c"), fresh("th")];
    const script = [
      started,
      ...text(m, "Hello ", { gate: gates[0] }, "world"),
      ...call(c, "look", m, '{"a":', { gate: gates[1] }, "1}"),
      { type: "REASONING_START", messageId: th },
      { type: "REASONING_MESSAGE_START", messageId: th, role: "reasoning" },
      { type: "REASONING_MESSAGE_CONTENT", messageId: th, delta: "I " },
      { gate: gates[2] },
      { type: "REASONING_MESSAGE_CONTENT", messageId: th, delta: "see" },
      { type: "REASONING_MESSAGE_END", messageId: th },
      { type: "REASONING_END", messageId: th },
      finished,
    ];
    const question = user("hello", fresh("u"));
    const client = agent(threadId, { messages: [question] });
    const runId = fresh("r");
    const seen = new Set();
    const going = run(client, { script, runId, on: ({ type }) => seen.add(type) });
    const joining = [];
    for (const [index, kind] of ["TEXT_MESSAGE_CONTENT", "TOOL_CALL_ARGS", "REASONING_MESSAGE_CONTENT"].entries()) {
      await until(() => seen.has(kind));
      const late = agent(threadId, { messages: index % 2 ? [] : [question], path: "scripted/connect" });
      const begun = new Set();
      joining.push([late, run(late, { on: ({ type }) => begun.add(type) })]);
      await until(() => begun.has(kind.replace(/_(CONTENT|ARGS)$/, "_START")));
      open(gates[index]);
    }
    assert.deepEqual((await going).errors, []);
    for (const [late, done] of joining) {
      assert.deepEqual((await done).errors, []);
      assert.deepEqual(plain(late.messages), plain(client.messages));
    }
  },

  async "17 the same run asked for again is joined, and another under its id refused"() {
    const held = gate("same");
    const threadId = fresh("t");
    const runId = fresh("r");
    const script = [started, ...text(fresh("m"), "one ", { gate: held }, "two"), finished];
    const question = user("hello");
    const ask = () => agent(threadId, { messages: [question] });
    const [client, second] = [ask(), ask()];
    const seen = new Set();
    const going = run(client, { script, runId, on: ({ type }) => seen.add(type) });
    await until(() => seen.has("TEXT_MESSAGE_CONTENT"));
    const joined = run(second, { script, runId });
    const other = await refused(run(agent(threadId, { messages: [user("else")] }), { runId }));
    assert.equal(other.status, 409);
    open(held);
    await Promise.all([going, joined]);
    assert.deepEqual(plain(second.messages), plain(client.messages));
    const third = ask();
    await run(third, { script, runId });
    assert.deepEqual(plain(third.messages), plain(client.messages));
  },

  async "18 a stream goes on after the id that came last"() {
    const held = gate("id");
    const body = { threadId: fresh("t"), runId: fresh("r"), messages: [user("hello")], forwardedProps: { script: [started, ...text(fresh("m"), "one ", { gate: held }, "two"), finished] } };
    const client = agent(body.threadId, {
      messages: body.messages,
      // The recipe: what a stream breaks off after, it goes on after.
      fetch: async (url, request) => {
        const parts = async function* () {
          let last;
          for (let tries = 0; tries < 3; tries++) {
            const again = last ? { "last-event-id": last } : {};
            const { body: stream } = await fetch(url, { ...request, headers: { ...request.headers, ...again } });
            let given = "";
            const decoder = new TextDecoder();
            for await (const chunk of stream) {
              given += decoder.decode(chunk, { stream: true });
              yield chunk;
              const ids = [...given.matchAll(/^id: (\d+)$[^]*?\n\n/gm)];
              last = ids.at(-1)?.[1] ?? last;
              if (!tries && given.includes('data: {"type":"TEXT_MESSAGE_CONTENT"') && given.endsWith("\n\n") && last) { open(held); break; } // here the line is cut
            }
            if (given.includes('data: {"type":"RUN_FINISHED"')) return;
          }
        };
        return new Response(ReadableStream.from(parts()), { status: 200, headers: { "content-type": "text/event-stream" } });
      },
    });
    const { errors } = await run(client, { runId: body.runId, forwardedProps: body.forwardedProps });
    assert.deepEqual(errors, []);
    assert.deepEqual(contents(client).slice(-1), ["one two"]);
  },

  async "19 a thread whose run ended while a call was open is read by every client"() {
    const threadId = fresh("t");
    const client = agent(threadId, { messages: [user("look")] });
    await run(client, {
      script: [started, ...text(fresh("m"), "looking"), { type: "TOOL_CALL_START", toolCallId: fresh("c"), toolCallName: "look" }, { raise: "gone" }],
    });
    const later = agent(threadId, { path: "scripted/connect" });
    const { errors } = await run(later);
    assert.deepEqual(errors, []);
    assert.deepEqual(plain(later.messages), plain(client.messages));
  },
};

process.on("unhandledRejection", () => {}); // what a broken socket leaves behind in the client
const chosen = process.argv.slice(2);
const found = {};
for (const [name, behave] of Object.entries(behaviours)) {
  if (chosen.length && !chosen.includes(name.split(" ")[0])) continue;
  try {
    await behave();
    found[name] = "";
  } catch (error) {
    found[name] = String(error?.stack ?? error).slice(0, 3000);
  }
}
process.stdout.write(JSON.stringify(found), () => process.exit(0));
