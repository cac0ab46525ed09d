// What a device keeps between two loads of the page: its id, its cursors and recent messages ("state"),
// and what it has not sent yet ("pending").
//
// A device is one tab, not one browser. Its cursors say what *this* page was handed, and the server ends
// the older of two sessions of one device (4504): two windows that shared a device would throw each other
// out for ever. So the id stands in sessionStorage, which belongs to the tab and outlives a reload, and
// what the id names stands in localStorage, which outlives the tab.
//
// Two things remain, and a Web Lock held while the page lives answers both. A duplicated tab starts with a
// copy of its parent's sessionStorage: it finds the lock taken and becomes another device. And what a
// closed window had not sent yet must not be forgotten: a new window takes up a device of the same user
// whose lock is free, before it makes a new one. Where there are no locks (plain HTTP from elsewhere than
// this machine) a tab keeps to its own id.

const PREFIX = "fastchat/";
const SESSION_KEY = "fastchat";
/** How long a reload waits for the lock of the page it replaces, in milliseconds. */
const LOCK_WAIT_MS = 1500;
/** A device that was not used for longer and has nothing to send is forgotten, in milliseconds. */
const FORGOTTEN_AFTER_MS = 30 * 24 * 3600 * 1000;
/** How many closed windows of one user are tried before a new device is made. */
const ORPHANS_MAX = 8;

/** A random name for a device or a request; works without a secure context. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readJSON(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}

/** Who this tab is signed in as: `{user, device, token}`, or null. */
export function tabSession() {
  return readJSON(sessionStorage, SESSION_KEY);
}

export function setTabSession(session) {
  try {
    if (session) sessionStorage.setItem(SESSION_KEY, JSON.stringify(session));
    else sessionStorage.removeItem(SESSION_KEY);
  } catch {
    // Without storage a reload has to sign in again; nothing else is lost.
  }
}

/** The devices that localStorage knows, those with the newest state first. */
function storedDevices() {
  const devices = new Map();
  for (const key of Object.keys(localStorage)) {
    if (!key.startsWith(PREFIX)) continue;
    const [, user, device] = key.split("/");
    devices.set(`${user}/${device}`, { user, device, saved: 0, pending: 0 });
  }
  for (const entry of devices.values()) {
    const base = `${PREFIX}${entry.user}/${entry.device}`;
    entry.saved = readJSON(localStorage, `${base}/state`)?.saved ?? 0;
    entry.pending = readJSON(localStorage, `${base}/pending`)?.length ?? 0;
  }
  return [...devices.values()].sort((a, b) => b.saved - a.saved);
}

/** The users who were signed in in this browser, the latest first. */
export function knownUsers() {
  try {
    return [...new Set(storedDevices().map((entry) => entry.user))];
  } catch {
    return [];
  }
}

/** Takes the lock of a device; resolves to a function that gives it back, or null if another page has it. */
function lock(user, device, waitMs) {
  return new Promise((resolve) => {
    const options = waitMs > 0 ? { signal: AbortSignal.timeout(waitMs) } : { ifAvailable: true };
    navigator.locks
      .request(`${PREFIX}${user}/${device}`, options, (held) => {
        if (!held) return resolve(null);
        return new Promise((release) => resolve(release));
      })
      .catch(() => resolve(null));
  });
}

/** What one device keeps. */
export class DeviceStore {
  constructor(user, device, release) {
    this.user = user;
    this.device = device;
    this.release = release;
    this.base = `${PREFIX}${user}/${device}`;
    /** Whether the browser refused to keep something: what is unsent would be lost with the page. */
    this.failed = false;
  }

  /** The device that this tab is for `user`: its own, a closed window's, or a new one; never `except`. */
  static async claim(user, except) {
    const session = tabSession();
    const own = session?.user === user && session.device !== except ? session.device : null;
    if (!navigator.locks) return new DeviceStore(user, own ?? randomId(), () => {});
    if (own) {
      const release = await lock(user, own, LOCK_WAIT_MS);
      if (release) return new DeviceStore(user, own, release);
    }
    let orphans = [];
    try {
      orphans = storedDevices().filter((entry) => entry.user === user && ![own, except].includes(entry.device));
    } catch {
      // No localStorage: every load is a new device.
    }
    for (const { device } of orphans.slice(0, ORPHANS_MAX)) {
      const release = await lock(user, device, 0);
      if (release) return new DeviceStore(user, device, release);
    }
    const device = randomId();
    return new DeviceStore(user, device, (await lock(user, device, 0)) ?? (() => {}));
  }

  loadState() {
    return readJSON(localStorage, `${this.base}/state`);
  }

  loadPending() {
    const pending = readJSON(localStorage, `${this.base}/pending`);
    return Array.isArray(pending) ? pending : [];
  }

  /** Cursors and messages stand in one entry: a cursor is never ahead of what was kept. */
  saveState(state) {
    this.#write("state", JSON.stringify({ ...state, saved: Date.now() }));
  }

  /** Written before a request leaves, so that a page that dies still knows what it may have sent. */
  savePending(pending) {
    this.#write("pending", JSON.stringify(pending));
  }

  #write(name, text) {
    try {
      localStorage.setItem(`${this.base}/${name}`, text);
      this.failed = false;
    } catch {
      this.failed = true;
    }
  }

  /** Signing out: nothing of the chats stays in the browser. */
  erase() {
    try {
      localStorage.removeItem(`${this.base}/state`);
      localStorage.removeItem(`${this.base}/pending`);
    } catch {
      // Nothing was kept, then.
    }
    this.release();
  }

  /** Forgets devices that nobody came back to. */
  static prune() {
    try {
      for (const entry of storedDevices()) {
        if (entry.pending > 0 || Date.now() - entry.saved < FORGOTTEN_AFTER_MS) continue;
        localStorage.removeItem(`${PREFIX}${entry.user}/${entry.device}/state`);
        localStorage.removeItem(`${PREFIX}${entry.user}/${entry.device}/pending`);
      }
    } catch {
      // No localStorage, nothing to forget.
    }
  }
}
