// What goes wrong, in words for people: each error says what is wrong, and what to do where something can be.

/**
 * `kind` is one of: `network`, `not-fastchat`, `broken-protocol`, `unauthorized`, `replaced`, `ended`,
 * `refused` (`code` says how), `too-large`, `timed-out`, `storage`, `stopped`.
 */
export class FastChatError extends Error {
  constructor(kind, message, advice = "", { code = null, retryMs = 0 } = {}) {
    super(message);
    this.name = "FastChatError";
    this.kind = kind;
    this.advice = advice;
    /** Of the protocol, where the server refused. */
    this.code = code;
    /** When the server wants to be asked again, in milliseconds; 0 where it did not say. */
    this.retryMs = retryMs;
  }

  /** The whole of it, for a line on a screen. */
  get text() {
    return this.advice ? `${sentence(this.message)} ${sentence(this.advice)}` : sentence(this.message);
  }
}

function sentence(words) {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** The connection ended before the answer came. */
export const disconnected = () => new FastChatError("network", "the connection broke before the answer came");

/** An `error` frame as an error. */
export function refusal({ code, message, retry }) {
  return new FastChatError("refused", message || code, "", { code, retryMs: retry ?? 0 });
}

/** Answers that changed nothing and may be better later. */
const LATER = new Set(["rate-limited", "busy", "unauthorized"]);
/** Answers after which nobody knows whether it happened. */
const INDEFINITE = new Set(["unavailable", "internal"]);
/** After one of those, only these refusals settle a repeat (PROTOCOL, "Errors"). */
const SETTLING = new Set(["forbidden", "not-found", "exists"]);

export const isLater = (error) => LATER.has(error.code);
export const isIndefinite = (error) => INDEFINITE.has(error.code);
export const isSettling = (error) => SETTLING.has(error.code);

/** Whether a request that only asks may be asked again. */
export const isPassing = (error) =>
  error.kind === "network" || INDEFINITE.has(error.code) || error.code === "busy" || error.code === "rate-limited";

/** What a final close code means (PROTOCOL, "Closing"). */
export function ending(code, words, { user, device, hasToken }) {
  const told = words ? `: ${words}` : "";
  switch (code) {
    case 4500:
      return hasToken
        ? new FastChatError("unauthorized", `the server does not accept the token${told}`, `get a new one; its subject must be ${user}`)
        : new FastChatError("unauthorized", `the server does not accept this user${told}`, "give an access token");
    case 4501:
      return new FastChatError("unauthorized", "the access token has expired", "get a new one and sign in again");
    case 4502:
      return new FastChatError("ended", `an administrator has ended this session${told}`, "sign in again, or ask them why");
    case 4503:
      return new FastChatError("ended", `the server has ended this session for what it took for abuse${told}`, "wait before you sign in again");
    case 4504:
      return new FastChatError("replaced", "a newer session of this device has taken over", `give each window a device of its own (this one is ${device})`);
    default:
      return new FastChatError("ended", `the server has ended this session (${code})${told}`, "sign in again");
  }
}
