// The page: signing in, the list of chats, the state of the connection; which chat is open stands in the
// address, so that the browser's "back" works.

import { Conversation } from "./conversation.js";
import { KeyedList, avatar, byId, listTime, make, showAvatar } from "./elements.js";
import { Model } from "./model.js";
import { claimDevice, directChat, isName, knownDevices } from "./sdk/fastchat.js";
import { bodyText } from "./timeline.js";

/** Where this tab remembers who is signed in, over a reload. */
const SESSION_KEY = "fastchat-user";
/** Rows of the list on the screen; the rest is found by typing. */
const ROWS = 200;
/** Known names that are offered. */
const OFFERED = 4;

let model = null;
let conversation = null;
let token = "";
let renderTimer = 0;
const list = new KeyedList(byId("chats"));

// MARK: Signing in and out

/** Who this tab is signed in as: `{user, token}`, or null. */
function tabSession() {
  try {
    return JSON.parse(sessionStorage.getItem(SESSION_KEY));
  } catch {
    return null;
  }
}

function setTabSession(session) {
  try {
    if (session) sessionStorage.setItem(SESSION_KEY, JSON.stringify(session));
    else sessionStorage.removeItem(SESSION_KEY);
  } catch {
    // Without storage a reload has to sign in again; nothing else is lost.
  }
}

async function showSignIn(error) {
  byId("app").hidden = true;
  byId("status").hidden = true;
  byId("status").dataset.phase = "signed-out";
  byId("signin").hidden = false;
  byId("signin-error").hidden = !error;
  byId("signin-error").textContent = error ?? "";
  document.title = "FastChat";
  byId("name").focus();
  const devices = await knownDevices().catch(() => []);
  const users = [...new Set(devices.map(({ user }) => user))].slice(0, OFFERED);
  byId("known-users").hidden = users.length === 0;
  byId("known-users").replaceChildren(
    make("span", { className: "hint" }, "Or go on as"),
    ...users.map((user) => {
      const button = make("button", { type: "button" }, avatar(user), user);
      button.onclick = () => signIn(user, byId("token").value.trim());
      return button;
    }),
  );
}

/** `except` is a device that another window has. */
async function signIn(user, withToken, except) {
  token = withToken;
  byId("signin").hidden = true;
  setTabSession({ user, token });
  const storage = await claimDevice(user, { except });
  model = await Model.open({ user, token: token || undefined, storage, changed: later });
  byId("app").hidden = false;
  byId("me").textContent = user;
  showAvatar(byId("me-avatar"), user);
  conversation = new Conversation(model, { leave, showMembers });
  route();
  later();
}

function leavePage(error) {
  conversation?.ended.abort();
  conversation?.open(null);
  model = conversation = null;
  list.clear();
  setTabSession(null);
  history.replaceState(null, "", location.pathname);
  return showSignIn(error);
}

async function signOut() {
  const unsent = model.unsent().length;
  if (unsent > 0 && !(await confirm("Sign out?", `${messages(unsent)} not sent yet, and will be thrown away.`, "Sign out", true))) return;
  const leaving = model.signOut().catch(() => {});
  model = null;
  await leaving;
  leavePage();
}

const messages = (count) => (count === 1 ? "One message was" : `${count} messages were`);

// MARK: Which chat

function route() {
  if (!model) return;
  let id = "";
  try {
    id = decodeURIComponent(location.hash.slice(1));
  } catch {
    // Somebody typed an address that means nothing.
  }
  const known = /^(room:[A-Za-z0-9._@-]{1,64}|dm:[A-Za-z0-9._@-]{1,64}:[A-Za-z0-9._@-]{1,64})$/.test(id);
  const mine = known && (id.startsWith("room:") || id.slice(3).split(":").includes(model.user));
  const chat = mine ? model.chat(id) : null;
  byId("app").dataset.view = chat ? "chat" : "list";
  conversation.open(chat);
  if (chat) byId("search").value = "";
  // A keyboard on the screen would cover half of what is to be read.
  if (chat && !matchMedia("(pointer: coarse)").matches) conversation.focus();
  later();
}

function openChat(chat) {
  const address = `#${encodeURIComponent(chat.id)}`;
  if (location.hash === address) route();
  else location.hash = address;
  conversation.focus();
}

// MARK: The list

/** Chats worth a row: those the server told of, and those with something unsent. */
function listedChats() {
  const rows = [...model.chats.values()].filter(
    (chat) => chat.listed || chat === conversation.chat || chat.draft || model.unsent(chat).length > 0,
  );
  const when = (chat) => model.unsent(chat).at(-1)?.created ?? chat.lastMessage?.time ?? 0;
  return rows.sort((a, b) => when(b) - when(a) || b.head - a.head || (a.id < b.id ? -1 : 1));
}

function chatRow(chat, now) {
  const unsent = model.unsent(chat).at(-1);
  const last = chat.lastMessage;
  const isTyping = [...chat.typing].some(([user, until]) => until > now && user !== chat.me);
  let text = last?.deleted ? "Message deleted" : last ? bodyText(last.body) : "";
  if (last && (chat.isRoom || last.from === chat.me)) text = `${last.from === chat.me ? "You" : last.from}: ${text}`;
  if (unsent) text = `You: ${bodyText(unsent.body)}`;
  if (chat.draft && chat !== conversation.chat) text = `Draft: ${chat.draft}`;
  if (isTyping) text = "typing…";
  const { count, more } = chat.unread;
  const time = unsent?.created ?? last?.time;
  const isOpen = chat === conversation.chat;
  const view = { text: text.slice(0, 200), isTyping, count, more, when: time ? listTime(time, now) : "", isOpen };
  return { key: chat.id, signature: JSON.stringify(view), build: () => chatLink(chat, view) };
}

function chatLink(chat, { text, isTyping, count, more, when, isOpen }) {
  const row = make("a", { className: "row", href: `#${encodeURIComponent(chat.id)}`, data: { chat: chat.id } });
  if (isOpen) row.setAttribute("aria-current", "true");
  row.append(
    avatar(chat.title, chat.isRoom),
    make("span", { className: "name" }, chat.title),
    make("span", { className: "when" }, when),
    make("span", { className: isTyping ? "last typing" : "last", dir: "auto" }, text),
  );
  row.classList.toggle("unread", count > 0);
  if (count > 0) {
    const badge = make("span", { className: "badge" }, `${count}${more ? "+" : ""}`);
    badge.append(make("span", { className: "unseen" }, more ? " or more unread" : " unread"));
    row.append(badge);
  }
  return row;
}

/** What can be done with a name that was typed, as rows. */
function actions(query) {
  const isRoom = query.startsWith("#");
  const name = isRoom ? query.slice(1) : query;
  if (name === "") return [];
  if (!isName(name)) return [hint("Names are of letters, digits and . _ - @, at most 64.")];
  const act = (room, text, action) => ({
    key: `do ${room}`, signature: text,
    build: () => {
      const button = make("button", { type: "button", className: "row action", onclick: action });
      button.append(avatar(name, room), make("span", { className: "name" }, text));
      return button;
    },
  });
  const rows = [];
  if (!isRoom && !model.chats.get(directChat(model.user, name))?.listed) {
    const text = name === model.user ? "Write notes to yourself" : `Write to ${name}`;
    rows.push(act(false, text, () => openChat(model.direct(name))));
  }
  if (!model.chats.get(`room:${name}`)?.listed) {
    rows.push(act(true, `Join or make room #${name}`, () => enter(`room:${name}`)));
  }
  return rows;
}

const hint = (text) => ({ key: "hint", signature: text, build: () => make("p", { className: "hint" }, text) });

function renderList() {
  const now = Date.now();
  const query = byId("search").value.trim();
  const needle = query.replace(/^#/, "").toLowerCase();
  const matches = (chat) => chat.title.toLowerCase().includes(needle) && (query[0] !== "#" || chat.isRoom);
  const rows = listedChats().filter(matches).slice(0, ROWS).map((chat) => chatRow(chat, now));
  if (query !== "") rows.push(...actions(query));
  else if (rows.length === 0) rows.push(hint("No chats yet. Type a name above to write to somebody, or # and a name for a room."));
  list.show(rows);
  const unread = [...model.chats.values()].reduce((sum, chat) => sum + chat.unread.count, 0);
  document.title = unread > 0 ? `(${unread}) FastChat` : "FastChat";
}

// MARK: Rooms

async function enter(room) {
  const { user } = model;
  try {
    openChat(await model.join(room));
  } catch (error) {
    if (model?.user !== user) return;
    if (error.code !== "not-found") return tell("That did not work", error.text);
    makeRoom(room);
  }
}

async function makeRoom(room) {
  const words = "There is no public room of that name yet. Anybody can join it.";
  if (!(await confirm(`Make room #${room.slice(5)}?`, words, "Make room"))) return;
  try {
    openChat(await model.create(room));
  } catch (error) {
    tell("That did not work", error.code === "exists" ? "There is a private room of that name." : error.text);
  }
}

async function leave(chat) {
  if (!(await confirm(`Leave #${chat.title}?`, "It is a public room: you can join again.", "Leave", true))) return;
  try {
    await model.leave(chat);
    if (conversation?.chat === chat) location.hash = "";
  } catch (error) {
    tell("That did not work", error.text);
  }
}

async function showMembers(chat) {
  try {
    const { members, more } = await model.members(chat);
    const rows = members.map(({ user, role }) => {
      const name = make("span", { className: "name" }, user === model.user ? `${user} (you)` : user);
      return make("li", {}, avatar(user), name, role === "member" ? null : make("span", { className: "role" }, role));
    });
    if (more) rows.push(make("li", { className: "hint" }, "and more"));
    tell(`Members of #${chat.title}`, make("ul", { className: "members" }, ...rows));
  } catch (error) {
    tell("That did not work", error.text);
  }
}

// MARK: Questions

/** Asks; resolves to whether the answer was yes. */
function confirm(title, body, yes, isDanger) {
  const dialog = byId("dialog");
  byId("dialog-title").textContent = title;
  byId("dialog-body").replaceChildren(body);
  byId("dialog-yes").textContent = yes ?? "";
  byId("dialog-yes").hidden = !yes;
  byId("dialog-no").textContent = yes ? "Cancel" : "Close";
  byId("dialog-yes").classList.toggle("danger", Boolean(isDanger));
  dialog.returnValue = "";
  dialog.showModal();
  // Enter takes what does no harm.
  if (yes && !isDanger) byId("dialog-yes").focus();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}

const tell = (title, body) => confirm(title, body);

// MARK: The connection

/** What is to be said of the connection, and what can be done. */
function statusWords({ phase, error, retryAt }) {
  const waiting = model.unsent().filter((message) => !message.reason).length;
  const kept = waiting > 0 ? `${waiting === 1 ? "One message waits" : `${waiting} messages wait`} and will be sent when it is back.` : "";
  switch (phase) {
    case "connecting":
      return { head: "Connecting…", why: error?.text ?? "", kept, label: "" };
    case "catching-up":
      return { head: "Catching up…", why: "", kept: "", label: "" };
    case "waiting": {
      const seconds = Math.ceil((retryAt - Date.now()) / 1000);
      const next = seconds > 1 ? `Next try in ${seconds} s.` : "Trying again…";
      return { head: "No connection.", next, why: error.text, kept, label: "Try now" };
    }
    case "ended":
      return { head: error.text, why: "", kept: "", label: "Sign in again" };
    default:
      return { head: "", why: "", kept: "", label: "" };
  }
}

const PRESENCE = { live: "Online", ended: "Signed out", connecting: "Connecting…", "catching-up": "Catching up…" };

function renderStatus() {
  const { state } = model;
  if (state.phase === "ended" && state.error?.kind === "unauthorized") return refusedSignIn(state.error);
  const { head, next = "", why, kept, label } = statusWords(state);
  const status = byId("status");
  status.dataset.phase = state.phase;
  status.dataset.kind = state.error?.kind ?? "";
  const told = [kept, state.storage?.text].filter(Boolean).join(" ");
  status.hidden = head === "" && why === "" && told === "";
  say("status-text", head);
  // Counts down every second: for the eye only.
  say("status-next", next);
  say("status-kept", told);
  say("status-why", why);
  const action = byId("status-action");
  action.hidden = label === "";
  action.textContent = label;
  byId("phase").textContent = PRESENCE[state.phase] ?? "Offline";
  byId("phase").dataset.phase = state.phase;
}

/** Touched only where it is another: a screen reader says what is touched. */
function say(id, words) {
  if (byId(id).textContent !== words) byId(id).textContent = words;
}

/** The server does not take who we say we are. What is unsent stays for the next try. */
async function refusedSignIn(error) {
  const { user } = model;
  const unsent = model.unsent().length;
  const kept = unsent > 0 && !model.state.storage ? ` ${messages(unsent)} not sent yet: kept here, and sent when you are signed in again.` : "";
  const stopped = model.stop();
  model = null;
  await stopped;
  leavePage(error.text + kept);
  byId("name").value = user;
  byId("token-details").open = true;
  byId("token").focus();
}

async function statusAction() {
  const { user, device, state } = model;
  if (state.phase !== "ended") return model.hurry();
  const stopped = model.stop();
  conversation.ended.abort();
  list.clear();
  model = null;
  await stopped;
  // Another window has this device: be another one.
  signIn(user, token, state.error.kind === "replaced" ? device : undefined);
}

// MARK: The page

/** Shows soon what has changed, once for many changes; also in a window nobody looks at, only later. */
function later() {
  renderTimer ||= setTimeout(() => {
    renderTimer = 0;
    if (!model) return;
    renderStatus();
    if (!model) return;
    conversation.render();
    renderList();
  }, 12);
}

/** Up and down go through the list, from the field above it too. */
function walkList(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const stops = [byId("search"), ...byId("chats").querySelectorAll(".row")];
  const at = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
  if (!stops[at]) return;
  event.preventDefault();
  stops[at].focus();
}

byId("signin-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("name").value.trim();
  if (isName(name)) signIn(name, byId("token").value.trim());
});
byId("signout").addEventListener("click", signOut);
byId("back").addEventListener("click", () => (location.hash = ""));
byId("status-action").addEventListener("click", statusAction);
byId("search").addEventListener("input", () => renderList());
byId("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  // The focus moves on: the key would come to where it went.
  event.preventDefault();
  const row = byId("chats").querySelector(".row");
  row?.click();
  // To where one is already, the address does not change.
  if (row?.hash === location.hash) route();
});
byId("sidebar").addEventListener("keydown", walkList);
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (!model) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "k") {
    event.preventDefault();
    if (byId("app").dataset.view === "chat" && matchMedia("(max-width: 720px)").matches) location.hash = "";
    byId("search").focus();
  } else if (event.key === "Escape" && document.activeElement === byId("search")) {
    byId("search").value = "";
    renderList();
    conversation.focus();
  }
});
addEventListener("online", () => model?.hurry());
addEventListener("pagehide", () => model?.flush());
addEventListener("beforeunload", (event) => {
  // What the browser does not keep ends with the page: it asks before that.
  if (model?.state.storage && model.unsent().length > 0) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") model?.hurry();
  else model?.flush();
});
// Seconds are counted down, and who types may stop without a word.
setInterval(() => model && later(), 1_000);

const session = tabSession();
if (session) signIn(session.user, session.token ?? "");
else showSignIn();
