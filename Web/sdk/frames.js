// The frames of a server: what each must have. A frame that has it not comes from something else.

const text = (value) => typeof value === "string";
const seq = (value) => Number.isSafeInteger(value) && value >= 0;
const flag = (value) => typeof value === "boolean";
const list = (value) => Array.isArray(value);
const role = (value) => value === null || text(value);
const limits = (value) => seq(value?.frame) && seq(value?.dedupe);
const prev = (value) => value === undefined || seq(value);
const rows = (value) => list(value) && value.every((row) => text(row?.chat) && seq(row.head) && seq(row.read ?? 0));
const messages = (value) => list(value) && value.every((row) => seq(row?.seq) && text(row.from) && seq(row.time));

const SHAPES = {
  welcome: { user: text, log: text, time: seq, heartbeat: seq, limits, chats: rows },
  live: {},
  message: { chat: text, seq, prev, from: text, time: seq },
  edited: { chat: text, seq, prev, of: seq, from: text },
  deleted: { chat: text, seq, prev, of: seq, from: text },
  member: { chat: text, seq, prev, user: text, role },
  reset: { chat: text, head: seq },
  read: { chat: text, user: text, seq },
  typing: { chat: text, user: text, on: flag },
  ack: { id: text, chat: text, seq, time: seq },
  ok: { id: text },
  pong: {},
  history: { id: text, messages },
  chats: { id: text, chats: rows },
  members: { id: text, members: list },
  error: { code: text },
};

/** The frame that a text is, or null where it is none of the protocol; words of a newer server are let by. */
export function readFrame(data) {
  if (!text(data)) return null;
  let frame = null;
  try {
    frame = JSON.parse(data);
  } catch {
    return null;
  }
  if (frame === null || typeof frame !== "object" || !text(frame.type)) return null;
  for (const [name, fits] of Object.entries(SHAPES[frame.type] ?? {})) if (!fits(frame[name])) return null;
  return frame;
}
