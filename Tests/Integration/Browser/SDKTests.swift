import Support
import Testing

/// The SDK of `Web/sdk` in a real browser: its parts by themselves, and the promise as a whole.
@Suite(.serialized) struct SDKTests {
  @Test func eachEventIsHandedOverOnceInOrderAndGapsAreRead() throws {
    let steps = try steps(
      """
      const { Chats } = await import("/sdk/chats.js");
      let log = [];
      const asked = [];
      const chats = new Chats("alice", {
        hand: (event) => log.push(event.seq ?? `${event.type} ${event.head ?? ""}`.trim()),
        changed() {}, forgotten() {}, settles: () => false, isUnderWay: () => underWay, idle() {},
        doubt: () => log.push("doubt"),
        history: (range) => new Promise((resolve, reject) => asked.push({ range, resolve, reject })),
      });
      const chat = "dm:alice:bob";
      let underWay = false;
      const message = (seq, prev, from = "bob") => chats.logged({ type: "message", chat, seq, prev, from });
      const turn = () => new Promise((resolve) => setTimeout(resolve));
      const state = () => {
        steps.push(`${log} at ${chats.get(chat)?.cursor ?? "nothing"}` + (chats.get(chat)?.gap ? " behind a gap" : ""));
        log = [];
      };
      chats.restore({ returning: true, chats: [{ chat, cursor: 0, own: [], kept: null }] });
      message(3, 0); message(3, 0); state();
      chats.sent(chat, 7); message(5, 3); state();
      message(9, 7); message(7, 5, "alice"); state();
      // What is missing may be an own one that is on its way.
      underWay = true; message(15, 12); state();
      underWay = false; chats.sent(chat, 12); chats.closeGap(chat); state();
      // Or others': it is read.
      message(30, 25); message(40, 33); state();
      steps.push(JSON.stringify(asked[0].range));
      asked.shift().resolve({ messages: [{ seq: 20, from: "bob" }, { seq: 25, from: "bob" }], more: false }); await turn(); state();
      asked.shift().resolve({ messages: [{ seq: 33, from: "bob" }], more: false }); await turn(); state();
      // The own join follows nothing.
      chats.logged({ type: "member", chat, seq: 60, prev: 50, user: "alice", role: "member" }); state();
      // A new session hands over what a gap held.
      message(80, 70); chats.lost(); asked.shift().reject({ kind: "network" }); await turn(); state();
      message(70, 60); message(80, 70); state();
      message(95, 90); chats.reset({ type: "reset", chat, head: 100 }); asked.shift().resolve({ messages: [{ seq: 90 }], more: false }); await turn(); state();
      chats.logged({ type: "member", chat, seq: 101, prev: 100, user: "alice", role: null }); state();
      """)
    #expect(
      steps == [
        "3 at 3",
        // An acknowledgement is in its place, and moves no cursor.
        "5 at 5", "9 at 9", " at 9 behind a gap", "15 at 15", " at 15 behind a gap",
        #"{"chat":"dm:alice:bob","after":15,"limit":100}"#, "20,25,30 at 30 behind a gap", "33,40 at 40",
        "60 at 60", " at 60", "70,80 at 80", "reset 100,doubt at 100", "101 at nothing",
      ])
  }

  @Test func aRequestIsRepeatedUnderItsIdUntilItIsSettled() throws {
    let steps = try steps(
      """
      const { Outbox } = await import("/sdk/outbox.js");
      const { FastChatError } = await import("/sdk/errors.js");
      const asked = [];
      const looked = [];
      let live = true;
      const outbox = new Outbox({
        isLive: () => live, serverNow: () => now, closeGap() {},
        ask: (frame) => new Promise((resolve, reject) => { asked.push({ resolve, reject }); steps.push(`${frame.id}${frame.retry ? " again" : ""}`); }),
        history: () => new Promise((resolve, reject) => looked.push({ resolve, reject })),
        settled: (request, seq) => steps.push(`${request.id} is ${seq}`),
        refused: (request, error) => steps.push(`${request.id} refused: ${error.code ?? error.kind}`),
      });
      let now = 1_000_000;
      const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
      const add = (id, isMessage = true) => outbox.add({ id, chat: "room:a", frame: { type: "send", id }, since: now, isMessage }, Promise.resolve());
      const say = (code) => new FastChatError("refused", code, "", { code });
      add("a"); add("b"); await turn();
      // One at a time, and in order; an answer that is lost with its connection leaves it doubtful.
      outbox.lost(); asked.shift().reject(new FastChatError("network", "")); await turn();
      outbox.pumpAll(); asked.shift().resolve({ seq: 5, time: 1 }); await turn();
      // "Not now" is no refusal, and what nobody knows is asked again.
      asked.shift().reject(say("busy")); await turn(250);
      asked.shift().reject(say("unavailable")); await turn(450);
      asked.shift().reject(say("forbidden")); await turn();
      // What is too old to be recognised is looked for, and made anew where it is not found.
      add("c"); await turn(); outbox.lost(); asked.shift(); now += 400_000; outbox.pumpAll();
      looked.shift().resolve({ messages: [{ id: "x", seq: 8, time: now }], more: false }); await turn();
      outbox.lost(); asked.shift(); outbox.doubt("room:a");
      looked.shift().resolve({ messages: [{ id: "c", seq: 9, time: now }], more: false }); await turn();
      add("d", false); await turn(); outbox.lost(); asked.shift(); now += 400_000; outbox.pumpAll();
      add("e"); outbox.frameBytes = 4; await turn();
      steps.push(`${outbox.requests().length} left`);
      """)
    #expect(
      steps == [
        "a", "a again", "a is 5", "b", "b", "b again", "b refused: forbidden", "c", "c again", "c is 9", "d",
        "d refused: timed-out", "e refused: too-large", "0 left",
      ])
  }

  @Test func whatIsKeptIsWrittenInGroupsAndBeforeARequestLeaves() throws {
    let steps = try steps(
      """
      const { Journal } = await import("/sdk/journal.js");
      const writes = [];
      const storage = {
        write: (changes) => new Promise((resolve, reject) => {
          const { device, chats, forgotten, added, settled } = changes;
          steps.push(`${device ? "device " : ""}${chats}|${forgotten}|${added.map((request) => request.id)}|${settled}`);
          writes.push({ resolve, reject });
        }),
      };
      const journal = new Journal(storage, 20, {
        device: () => true, chat: (id) => id, failed: (error) => steps.push(error ? `failed: ${error.message.slice(0, 29)}` : "well again"),
      });
      const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
      const add = (id) => void journal.add({ id }).then(() => steps.push(`${id} may leave`));
      // What comes in one turn is one write, and waits for it; what comes meanwhile is the next.
      journal.chat("x"); add("a"); add("b"); await turn(); add("c"); journal.settle("a"); journal.settle("c"); await turn();
      writes.shift().resolve(); await turn(); writes.shift().resolve(); await turn();
      // Cursors wait for company.
      journal.chat("x"); journal.chat("y"); journal.forget("x"); await turn(); steps.push("later"); await turn(40);
      writes.shift().resolve(); await turn();
      // Where there is no room, what is unsent goes first, and the rest is tried again.
      const full = new DOMException("", "QuotaExceededError");
      journal.device(); journal.chat("z"); add("d"); await turn();
      writes.shift().reject(full); await turn(); writes.shift().resolve(); await turn();
      add("e"); await turn(); writes.shift().resolve(); await turn();
      // Forbidden is forbidden: it leaves all the same.
      add("f"); await turn(); writes.shift().reject(new DOMException("", "SecurityError")); await turn();
      """)
    #expect(
      steps == [
        "x||a,b|", "|||a", "a may leave", "b may leave", "c may leave", "later", "y|x||",
        "device z||d|", "||d|", "failed: the browser's storage is full", "d may leave", "device z||e|",
        "well again", "e may leave", "||f|", "failed: the browser forbids this page", "f may leave",
      ])
  }

  @Test func theWaitsBetweenTriesDoubleUpToABoundAndAreRandom() throws {
    let waits = try steps(
      """
      const { ChatClient, MemoryStorage } = await import("/sdk/fastchat.js");
      // A clock that stands tells the waits themselves, and half of a window is what chance gives.
      let phase = "";
      Date.now = () => 0;
      Math.random = () => 0.5;
      await new Promise(async (resolve) => {
        const client = await ChatClient.open({
          url: `ws://${location.host}/nothing`, user: "alice", storage: new MemoryStorage(), times: { backOffFirst: 40, backOffMax: 200 },
          onEvent: (event) => {
            if (event.phase === "waiting" && phase !== "waiting") steps.push(`${event.retryAt}`);
            phase = event.phase;
            if (steps.length === 6) resolve(client.stop());
          } });
        client.start();
      });
      """)
    #expect(waits == ["20", "40", "80", "100", "100", "100"])
  }

  @Test func aListenerThatThrowsLosesNothingAndSigningOutLeavesNothing() throws {
    let steps = try steps(
      """
      const { ChatClient, knownDevices } = await import("/sdk/fastchat.js");
      const reported = [];
      globalThis.reportError = (error) => reported.push(error.message);
      const open = (user, onEvent) => ChatClient.open({ user, onEvent });
      const bob = await open("bob", (event) => {
        if (event.type !== "message") return;
        steps.push(event.body);
        if (event.body === "one") throw new Error("the listener's own");
      });
      const alice = await open("alice");
      bob.start(); alice.start();
      await bob.ask({ type: "ping" });
      const first = await alice.send("user:bob", "one").done;
      const second = await alice.send("user:bob", "two").done;
      while (!steps.includes("two")) await new Promise((resolve) => setTimeout(resolve, 10));
      steps.push(reported[0], second.seq > first.seq ? "in order" : "?", `${(await alice.history("dm:alice:bob")).messages.length} stored`);
      await alice.flush(); await bob.flush();
      steps.push((await knownDevices()).map(({ user }) => user).sort().join());
      await alice.signOut(); await bob.signOut();
      steps.push(`${(await knownDevices()).length} left`);
      try { alice.send("user:bob", "three"); } catch (error) { steps.push(error.kind); }
      try { bob.send("bob", 1); } catch (error) { steps.push(error.name); }
      """)
    #expect(
      steps == [
        "one", "two", "the listener's own", "in order", "2 stored", "alice,bob", "0 left",
        "stopped", "TypeError",
      ])
  }

  /// What a script says in `steps`, on a page of the server.
  private func steps(_ script: String) throws -> [String] {
    try withServer { server in
      try withWebDriver { driver in
        let page = try driver.browser()
        try page.go(to: "http://127.0.0.1:\(server.port)/")
        return try page.run("return (async () => { const steps = [];\n\(script)\nreturn steps; })()").array?
          .map { $0.string ?? "?" } ?? []
      }
    }
  }
}
