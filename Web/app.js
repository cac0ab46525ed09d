// The page: signing in, the list of chats, the state of the connection; which chat is open stands in the
// address, so that the browser's "back" works.

import { Client } from "./client.js";
import { Conversation } from "./conversation.js";
import { KeyedList, avatar, byId, listTime, make, showAvatar } from "./elements.js";
import { DeviceStore, knownUsers, setTabSession, tabSession } from "./storage.js";
import { bodyText, directChat } from "./timeline.js";

const NAME = /^[A-Za-z0-9._@-]{1,64}$/;
/** Rows of the list on the screen; the rest is found by typing. */
const ROWS = 200;
/** Known names that are offered. */
const OFFERED = 4;

let client = null;
let conversation = null;
let token = "";
let renderTimer = 0;
const list = new KeyedList(byId("chats"));

// MARK: Signing in and out

function showSignIn(error) {
  byId("app").hidden = true;
  byId("status").hidden = true;
  byId("status").dataset.phase = "signed-out";
  byId("signin").hidden = false;
  byId("signin-error").hidden = !error;
  byId("signin-error").textContent = error ?? "";
  document.title = "FastChat";
  const users = knownUsers().slice(0, OFFERED);
  byId("known-users").hidden = users.length === 0;
  byId("known-users").replaceChildren(
    make("span", { className: "hint" }, "Or go on as"),
    ...users.map((user) => {
      const button = make("button", { type: "button" }, avatar(user), user);
      button.onclick = () => signIn(user, byId("token").value.trim());
      return button;
    }),
  );
  byId("name").focus();
}

async function signIn(user, withToken, except) {
  token = withToken;
  byId("signin").hidden = true;
  const store = await DeviceStore.claim(user, except);
  setTabSession({ user, device: store.device, token });
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
  client = new Client(store, { url, token, changed: later });
  byId("app").hidden = false;
  byId("me").textContent = user;
  showAvatar(byId("me-avatar"), user);
  conversation = new Conversation(client, leave, showMembers);
  client.start();
  route();
  later();
}

function leavePage(error) {
  conversation?.ended.abort();
  conversation?.open(null);
  client = conversation = null;
  list.clear();
  setTabSession(null);
  history.replaceState(null, "", location.pathname);
  showSignIn(error);
}

async function signOut() {
  const unsent = client.outbox.requests.length;
  if (unsent > 0) {
    const what = unsent === 1 ? "One message was not sent yet. It" : `${unsent} messages were not sent yet. They`;
    if (!(await confirm("Sign out?", `${what} will be thrown away.`, "Sign out"))) return;
  }
  client.signOut();
  leavePage();
}

// MARK: Which chat

function route() {
  if (!client) return;
  let id = "";
  try {
    id = decodeURIComponent(location.hash.slice(1));
  } catch {
    // Somebody typed an address that means nothing.
  }
  const known = /^(room:[A-Za-z0-9._@-]{1,64}|dm:[A-Za-z0-9._@-]{1,64}:[A-Za-z0-9._@-]{1,64})$/.test(id);
  const mine = known && (id.startsWith("room:") || id.slice(3).split(":").includes(client.user));
  const chat = mine ? client.chat(id) : null;
  byId("app").dataset.view = chat ? "chat" : "list";
  conversation.open(chat);
  if (chat && matchMedia("(hover: hover)").matches) conversation.focus();
  later();
}

function openChat(chat) {
  byId("search").value = "";
  const address = `#${encodeURIComponent(chat.id)}`;
  if (location.hash === address) route();
  else location.hash = address;
  conversation.focus();
}

// MARK: The list

/** Chats worth a row: those the server told of, and those with something unsent. */
function listedChats() {
  const rows = [...client.chats.values()].filter(
    (chat) => chat.listed || chat === conversation.chat || chat.draft || client.outbox.of(chat.id).length > 0,
  );
  const when = (chat) => client.outbox.of(chat.id).at(-1)?.created ?? chat.lastMessage?.time ?? 0;
  return rows.sort((a, b) => when(b) - when(a) || b.head - a.head || (a.id < b.id ? -1 : 1));
}

function chatRow(chat, now) {
  const unsent = client.outbox.of(chat.id).at(-1);
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
  if (!NAME.test(name)) return [hint("Names are of letters, digits and . _ - @, at most 64.")];
  const act = (room, text, action) => ({
    key: `do ${room}`, signature: text,
    build: () => {
      const button = make("button", { type: "button", className: "row action", onclick: action });
      button.append(avatar(name, room), make("span", { className: "name" }, text));
      return button;
    },
  });
  const rows = [];
  if (!isRoom && !client.chats.get(directChat(client.user, name))?.listed) {
    const text = name === client.user ? "Write notes to yourself" : `Write to ${name}`;
    rows.push(act(false, text, () => openChat(client.direct(name))));
  }
  if (!client.chats.get(`room:${name}`)?.listed) {
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
  const unread = [...client.chats.values()].reduce((sum, chat) => sum + chat.unread.count, 0);
  document.title = unread > 0 ? `(${unread}) FastChat` : "FastChat";
}

// MARK: Rooms

async function enter(room) {
  const { user } = client;
  try {
    openChat(await client.join(room));
  } catch (refusal) {
    if (client?.user !== user) return;
    if (refusal.code !== "not-found") return tell("That did not work", refusal.message);
    const name = room.slice(5);
    if (!(await confirm(`Make room #${name}?`, "There is no public room of that name. Anybody can join it.", "Make it"))) return;
    try {
      openChat(await client.create(room));
    } catch (again) {
      tell("That did not work", again.code === "exists" ? "There is a private room of that name." : again.message);
    }
  }
}

async function leave(chat) {
  if (!(await confirm(`Leave #${chat.title}?`, "It is a public room: you can join again.", "Leave"))) return;
  try {
    await client.leave(chat);
    if (conversation.chat === chat) location.hash = "";
  } catch (refusal) {
    tell("That did not work", refusal.message);
  }
}

async function showMembers(chat) {
  try {
    const { members, more } = await client.members(chat);
    const rows = members.map(({ user, role }) =>
      make("li", {}, avatar(user), make("span", { className: "name" }, user), make("span", { className: "hint" }, role)));
    if (more) rows.push(make("li", { className: "hint" }, "and more"));
    tell(`Members of #${chat.title}`, make("ul", { className: "members" }, ...rows));
  } catch (refusal) {
    tell("That did not work", refusal.code === "disconnected" ? "There is no connection." : refusal.message);
  }
}

// MARK: Questions

/** Asks; resolves to whether the answer was yes. */
function confirm(title, body, yes) {
  const dialog = byId("dialog");
  byId("dialog-title").textContent = title;
  byId("dialog-body").replaceChildren(body);
  byId("dialog-yes").textContent = yes ?? "";
  byId("dialog-yes").hidden = !yes;
  byId("dialog-no").textContent = yes ? "Cancel" : "Close";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}

const tell = (title, body) => confirm(title, body);

// MARK: The connection

const ENDINGS = {
  4501: "Your access token has expired.",
  4502: "An administrator has ended this session.",
  4503: "The server has ended this session because of what it took for abuse.",
  4504: "Another window has taken over this session.",
};

function renderStatus() {
  const { connection } = client;
  const { phase } = connection;
  const action = byId("status-action");
  let text = "";
  let label = "";
  if (phase === "connecting") text = "Connecting…";
  if (phase === "catching-up") text = "Catching up…";
  if (phase === "waiting") {
    const seconds = Math.ceil((connection.nextTry - Date.now()) / 1000);
    text = seconds > 1 ? `No connection. Next try in ${seconds} s` : "No connection. Trying again…";
    label = "Try now";
  }
  if (phase === "ended") {
    text = ENDINGS[connection.ending.code] ?? connection.ending.reason;
    label = "Sign in again";
    if (connection.ending.code === 4500 || connection.ending.code === 4501) return refusedSignIn(text);
  }
  if (!client.keeps) text = `${text} This browser keeps nothing: unsent messages are lost with the page.`.trim();
  const status = byId("status");
  status.dataset.phase = phase;
  status.hidden = text === "";
  byId("status-text").textContent = text;
  action.hidden = label === "";
  action.textContent = label;
  byId("phase").textContent = phase === "live" ? "Online" : phase === "ended" ? "Signed out" : "Offline";
  byId("phase").dataset.phase = phase;
}

/** The server does not take who we say we are. What is unsent stays for the next try. */
function refusedSignIn(reason) {
  const { user } = client;
  client.stop();
  leavePage(reason || "The server does not accept this sign-in.");
  byId("name").value = user;
  byId("token-details").open = true;
}

function statusAction() {
  if (client.connection.phase !== "ended") return client.connection.hurry();
  const { user, device } = client;
  client.stop();
  conversation.ended.abort();
  list.clear();
  // Another window has this device: be another one.
  signIn(user, token, device);
}

// MARK: The page

/** Shows soon what has changed, once for many changes; also in a window nobody looks at, only later. */
function later() {
  renderTimer ||= setTimeout(() => {
    renderTimer = 0;
    if (!client) return;
    renderStatus();
    if (!client) return;
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
  if (NAME.test(name)) signIn(name, byId("token").value.trim());
});
byId("signout").addEventListener("click", signOut);
byId("back").addEventListener("click", () => (location.hash = ""));
byId("status-action").addEventListener("click", statusAction);
byId("search").addEventListener("input", () => renderList());
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") byId("chats").querySelector(".row")?.click();
});
byId("sidebar").addEventListener("keydown", walkList);
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (!client) return;
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
addEventListener("online", () => client?.connection.hurry());
addEventListener("pagehide", () => client?.save());
document.addEventListener("visibilitychange", () => {
  if (!client) return;
  if (document.visibilityState === "visible") client.connection.hurry();
  else client.save();
});
// Seconds are counted down, and who types may stop without a word.
setInterval(() => client && later(), 1_000);

const session = tabSession();
if (session) signIn(session.user, session.token ?? "");
else showSignIn();
