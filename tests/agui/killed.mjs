// A client that says what it has seen, until it is killed; or one that joins its run, and says what it has at the end.
import { agent, contents, run, told, user } from "./client.mjs";

const client = agent(told.thread, { messages: [user("go", "u1")] });
const on = ({ type }) => type === "TEXT_MESSAGE_CONTENT" && process.stdout.write("seen\n");
const { errors } = await run(client, { script: told.script, runId: told.run, on: told.quiet ? undefined : on });
process.stdout.write(JSON.stringify({ contents: contents(client), errors: errors.length }), () => process.exit(0));
