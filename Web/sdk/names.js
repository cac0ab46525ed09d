// Names of users, chats and requests (PROTOCOL, "Names").

const USER = /^[A-Za-z0-9._@-]{1,64}$/;
const ID_BYTES = 12;

/** A name that nobody has used: for a device or a request. Works without a secure context. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether it can name a user, or a room behind its `room:`. */
export const isName = (name) => USER.test(name);

/** The direct chat of two users: the two in byte order, which is JavaScript's, since names are ASCII. */
export function directChat(me, other) {
  return me < other ? `dm:${me}:${other}` : `dm:${other}:${me}`;
}

/** The other user of a direct chat (oneself in the chat with oneself), or null for a room. */
export function peerOf(chat, me) {
  if (!chat.startsWith("dm:")) return null;
  const [, first, second] = chat.split(":");
  return first === me ? second : first;
}

/** The chat that `to` names: a chat, or `user:<name>`. Throws where it names none. */
export function chatOf(to, me) {
  const [kind, first = "", second = ""] = to.split(":");
  if (kind === "user" && isName(first) && second === "") return directChat(me, first);
  if (kind === "room" && isName(first) && second === "") return to;
  if (kind === "dm" && isName(first) && isName(second) && first <= second) return to;
  throw new TypeError(`${to} names no chat: it is user:<name>, room:<name> or dm:<name>:<name>`);
}
