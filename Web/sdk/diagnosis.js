// Why a WebSocket does not open: browsers do not say, so the address is asked in other ways.

import { FastChatError } from "./errors.js";

export const SUBPROTOCOL = "fastchat.v1";

/** Asks the address by plain HTTP, then for a WebSocket without a subprotocol; resolves to what it found. */
export async function diagnose(url, ms) {
  const { host, protocol } = new URL(url);
  const answer = await plainAnswer(url, ms);
  if (answer === "silence") return silent(host);
  if (answer === null) {
    return new FastChatError("network", `${host} cannot be reached`, protocol === "wss:"
      ? "check the network, that the server runs there, and that it speaks TLS"
      : "check the network, that the server runs there, and that it does not want wss://");
  }
  if (answer.type === "opaque") {
    return new FastChatError("network", `${host} answers, but takes no WebSocket from this page`,
      `let it in with --origins ${globalThis.location?.origin ?? "<origin>"}`);
  }
  return judge(host, answer, url, ms);
}

export const otherProtocol = (host) =>
  new FastChatError("not-fastchat", `${host} speaks WebSocket, but not ${SUBPROTOCOL}`, "check the address; a proxy in between must pass Sec-WebSocket-Protocol on");

export const silent = (host) =>
  new FastChatError("network", `${host} takes the connection and says nothing`, "check that it is a FastChat server, and what stands before it");

async function judge(host, { type, status, headers }, url, ms) {
  const isPage = headers.get("content-type")?.includes("text/html");
  if (type === "opaqueredirect") {
    return new FastChatError("not-fastchat", `${host} sends us elsewhere`, "give the address that it points to, or sign in to the network first");
  }
  // What a FastChat server answers to a request that is no upgrade.
  if (status === 426 && !isPage) {
    return (await opensWithout(url, ms))
      ? otherProtocol(host)
      : new FastChatError("network", `${host} runs, but no WebSocket gets through to it`, "a proxy in between must pass upgrades on; otherwise it is full and takes you later");
  }
  if (status === 403) return new FastChatError("network", `${host} refuses this page (HTTP 403)`, "let its address in with --origins");
  if (status === 404) return new FastChatError("not-fastchat", `there is nothing of that path at ${host} (HTTP 404)`, "the path of a FastChat server is /ws");
  if (status === 429 || status >= 500) return new FastChatError("network", `${host} has no room now (HTTP ${status})`, "it is tried again by itself");
  if (isPage) {
    return new FastChatError("not-fastchat", `a web page answers at ${host} in place of FastChat (HTTP ${status})`, "check the address, or whether a network login or a proxy stands in between");
  }
  if (await opensWithout(url, ms)) return otherProtocol(host);
  return new FastChatError("not-fastchat", `something else than FastChat answers at ${host} (HTTP ${status})`, "check the address");
}

async function plainAnswer(url, ms) {
  const address = url.replace(/^ws/, "http");
  const ask = (mode) =>
    fetch(address, { mode, cache: "no-store", credentials: "omit", redirect: mode === "cors" ? "manual" : "follow", signal: AbortSignal.timeout(ms) });
  try {
    return await ask("cors");
  } catch (error) {
    if (error.name === "TimeoutError") return "silence";
  }
  // Another origin lets nothing be read; that something answered can be seen.
  if (new URL(address).origin === globalThis.location?.origin) return null;
  return ask("no-cors").catch((error) => (error.name === "TimeoutError" ? "silence" : null));
}

/** Whether a WebSocket without subprotocol opens. */
function opensWithout(url, ms) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    const end = (opens) => {
      clearTimeout(timer);
      socket.onopen = socket.onclose = null;
      socket.close();
      resolve(opens);
    };
    const timer = setTimeout(() => end(false), ms);
    socket.onopen = () => end(true);
    socket.onclose = () => end(false);
  });
}
