// What is kept, written in groups: one write is under way at a time, and takes all that was said before it.

import { FastChatError } from "./errors.js";

/** After how long a storage that failed is tried again, in milliseconds. */
const AGAIN_MS = 5_000;

/** What a failed write means to people. */
export function storageError(error) {
  if (error instanceof FastChatError) return error;
  const name = error?.name ?? "";
  if (name === "QuotaExceededError") {
    return new FastChatError("storage", "the browser's storage is full: unsent messages are lost with this page", "free some space, and keep the page open until all is sent");
  }
  // Chromium calls it UnknownError, and says so only in words.
  if (name === "SecurityError" || name === "NotAllowedError" || /denied|permission/i.test(error?.message ?? "")) {
    return new FastChatError("storage", "the browser forbids this page to keep anything: unsent messages are lost with it", "allow site data for this address, or keep the page open until all is sent");
  }
  return new FastChatError("storage", `the browser cannot keep anything (${error?.message || name}): unsent messages are lost with this page`, "keep the page open until all is sent");
}

/** Calls back `device()` and `chat(id)` for the rows to write, and `failed(error)`, with null when it is over. */
export class Journal {
  /** Why the last write failed; null where it did not. */
  error = null;

  #storage;
  #on;
  #delayMs;
  #timer = 0;
  #writing = null;
  #isClosed = false;
  #device = false;
  #chats = new Set();
  #forgotten = new Set();
  #added = new Map();
  #settled = new Set();
  /** To be called when what was added is stored, or cannot be. */
  #waiting = [];

  constructor(storage, delayMs, on) {
    this.#storage = storage;
    this.#delayMs = delayMs;
    this.#on = on;
  }

  /** A request that is to be stored before it leaves: resolves when it is, or when the storage has failed. */
  add(request) {
    this.#added.set(request.id, request);
    const stored = new Promise((resolve) => this.#waiting.push(resolve));
    // All that is added in one turn goes in one write.
    queueMicrotask(() => this.flush());
    return stored;
  }

  settle(id) {
    // One that never was written need not be.
    if (!this.#added.delete(id)) this.#settled.add(id);
    this.#soon();
  }

  device() {
    this.#device = true;
    this.#soon();
  }

  chat(id) {
    this.#forgotten.delete(id);
    this.#chats.add(id);
    this.#soon();
  }

  forget(id) {
    this.#chats.delete(id);
    this.#forgotten.add(id);
    this.#soon();
  }

  #soon() {
    this.#timer ||= setTimeout(() => this.flush(), this.error ? AGAIN_MS : this.#delayMs);
  }

  get #isDirty() {
    return this.#device || this.#chats.size > 0 || this.#forgotten.size > 0 || this.#added.size > 0 || this.#settled.size > 0;
  }

  /** Nothing is written from now on. */
  close() {
    clearTimeout(this.#timer);
    this.#isClosed = true;
  }

  /** Writes what is new; resolves when nothing is left to write, or the storage fails. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#isDirty || this.#isClosed) return Promise.resolve();
    return (this.#writing ??= this.#write());
  }

  async #write() {
    while (this.#isDirty && !this.#isClosed) {
      const waiting = this.#waiting;
      const taken = { chats: this.#chats, forgotten: this.#forgotten, added: this.#added, settled: this.#settled };
      const device = this.#device;
      this.#waiting = [];
      [this.#chats, this.#forgotten, this.#added, this.#settled] = [new Set(), new Set(), new Map(), new Set()];
      this.#device = false;
      try {
        await this.#attempt(device, taken);
        this.#say(this.#storage.error ?? null);
      } catch (error) {
        this.#putBack(device, taken);
        this.#say(storageError(error));
      }
      for (const resolve of waiting) resolve();
      if (this.error && this.#waiting.length === 0) {
        this.#soon();
        break;
      }
    }
    this.#writing = null;
  }

  /** Cursors, what the application makes of the chats, and requests: all of it or nothing. */
  async #attempt(device, { chats, forgotten, added, settled }) {
    const requests = { added: [...added.values()], settled: [...settled] };
    try {
      await this.#storage.write({
        device: device ? this.#on.device() : undefined,
        chats: [...chats].map((id) => this.#on.chat(id)).filter(Boolean), forgotten: [...forgotten], ...requests,
      });
    } catch (error) {
      // Where not all has room, what is unsent goes first; older cursors cost a replay only.
      if (error?.name !== "QuotaExceededError" || chats.size === 0) throw error;
      await this.#storage.write({ chats: [], forgotten: [], ...requests });
      added.clear();
      settled.clear();
      throw error;
    }
  }

  #putBack(device, { chats, forgotten, added, settled }) {
    this.#device ||= device;
    for (const id of chats) if (!this.#forgotten.has(id)) this.#chats.add(id);
    for (const id of forgotten) if (!this.#chats.has(id)) this.#forgotten.add(id);
    for (const id of settled) this.#settled.add(id);
    const rest = [...added].filter(([id]) => !this.#settled.has(id));
    this.#added = new Map([...rest, ...this.#added]);
  }

  #say(error) {
    if (error?.message === this.error?.message) return;
    this.error = error;
    this.#on.failed(error);
  }
}
