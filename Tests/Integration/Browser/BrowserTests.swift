import Support
import Testing

/// The page at `/` in a real browser: what people see keeps what the protocol promises.
///
/// Without Chromium and its driver these fail: `scripts/packages test` installs both.
@Suite(.serialized) struct BrowserTests {
  @Test func twoPeopleSeeEachOthersMessagesAndAReloadKeepsThem() throws {
    try withServer { server in
      try withWebDriver { driver in
        let alice = try driver.page(of: server, as: "alice")
        let bob = try driver.page(of: server, as: "bob", isPhone: true, isDark: true)
        try alice.openChat("bob")
        try alice.write("Hello Bob! Did the night build go through?")
        try bob.wait(until: "document.querySelector('.row .badge')?.textContent.startsWith('1 ')")
        try bob.picture("phone-list")
        try bob.click(".row")
        try bob.waitForMessages(1)
        try bob.write("It did: 517 of 517 cases, on both backends.")
        try bob.write("The report is at https://example.org/conformance/report.html")
        try alice.waitForMessages(3)
        try alice.write("Great news.\nI will have a look at the latency figures after lunch.")
        try alice.wait(
          until: "[...document.querySelectorAll('.own')].every((m) => m.dataset.tick === 'read')")
        try bob.waitForMessages(5)
        let expected = [
          "alice: Hello Bob! Did the night build go through?",
          "bob: It did: 517 of 517 cases, on both backends.",
          "bob: The report is at https://example.org/conformance/report.html",
          "alice: Great news.", "alice: I will have a look at the latency figures after lunch.",
        ]
        #expect(try alice.messages() == expected)
        #expect(try bob.messages() == expected)
        try bob.type("I am still writing", into: "#text")
        try alice.wait(until: "document.querySelector('#chat-subtitle').textContent === 'typing…'")
        try alice.picture("desktop")
        try bob.picture("phone-chat")
        for page in [alice, bob] {
          try page.reload()
          try page.waitUntilLive()
          try page.waitForMessages(5)
          #expect(try page.messages() == expected)
        }
        #expect(try bob.run("return document.querySelector('#text').value").string == "I am still writing")
        #expect(try alice.complaints() == [] && bob.complaints() == [])
      }
    }
  }

  @Test func messagesSentWhileTheServerIsKilledArriveOnceAndInOrder() throws {
    try withServer { server in
      try withWebDriver { driver in
        let alice = try driver.page(of: server, as: "alice")
        let bob = try driver.page(of: server, as: "bob")
        try alice.openChat("bob")
        try alice.write("first")
        try bob.openChat("alice")
        try bob.waitForMessages(1)
        // The page writes by itself, so that a kill meets requests in every state.
        let count = 120
        try alice.run(
          """
          let next = 0;
          const text = document.querySelector("#text");
          const timer = setInterval(() => {
            if (next === \(count)) return clearInterval(timer);
            text.value = `number ${next++}`;
            document.querySelector("#composer").requestSubmit();
          }, 25);
          """)
        for stored in [10, 50] {
          try bob.wait(until: "document.querySelectorAll('.message').length > \(stored)")
          server.kill()
          try server.restart()
        }
        let expected = ["alice: first"] + (0..<count).map { "alice: number \($0)" }
        try bob.waitForMessages(expected.count)
        try alice.wait(until: "document.querySelectorAll('[data-tick=sending]').length === 0")
        #expect(try bob.messages() == expected)
        #expect(try alice.messages() == expected)
        // What the server has is what both saw: no second copy waits below or behind.
        let witness = try server.attach("bob", "witness")
        #expect(
          try witness.wholeHistory("dm:alice:bob").map { "alice: \($0["body"]?["text"]?.string ?? "?")" }
            == expected)
      }
    }
  }

  @Test func messagesWrittenWhileTheServerIsDownArriveOnceAndInOrder() throws {
    try withServer { server in
      try withWebDriver { driver in
        let alice = try driver.page(of: server, as: "alice")
        let bob = try driver.page(of: server, as: "bob")
        try alice.openChat("bob")
        try alice.write("before")
        try bob.openChat("alice")
        try bob.waitForMessages(1)
        server.kill()
        try alice.wait(until: "document.querySelector('#status').dataset.phase === 'waiting'")
        for number in 0..<10 { try alice.write("offline \(number)") }
        try alice.wait(until: "document.querySelectorAll('[data-tick=sending]').length === 10")
        try alice.wait(until: "document.querySelector('#status').textContent.includes('No connection')")
        try alice.picture("desktop-offline")
        try server.restart()
        let expected = ["alice: before"] + (0..<10).map { "alice: offline \($0)" }
        try bob.waitForMessages(11)
        try alice.wait(until: "document.querySelectorAll('[data-tick=sending]').length === 0")
        #expect(try bob.messages() == expected)
        #expect(try alice.messages() == expected)
      }
    }
  }

  @Test func whatAClosedWindowHadNotSentIsSentByTheNextOneOfThatUser() throws {
    try withServer { server in
      try withWebDriver { driver in
        let alice = try driver.page(of: server, as: "alice")
        let bob = try driver.page(of: server, as: "bob")
        try alice.openChat("bob")
        let first = try alice.window()
        server.kill()
        try alice.wait(until: "document.querySelector('#status').dataset.phase === 'waiting'")
        try alice.write("written, then closed")
        try alice.openWindow()
        let second = try alice.window()
        try alice.look(at: first)
        try alice.closeWindow()
        try alice.look(at: second)
        try server.restart()
        try alice.signIn(to: server, as: "alice")
        try bob.openChat("alice")
        try bob.waitForMessages(1)
        #expect(try bob.messages() == ["alice: written, then closed"])
      }
    }
  }

  @Test func twoWindowsOfOneUserInOneBrowserAreTwoDevices() throws {
    try withServer { server in
      try withWebDriver { driver in
        let browser = try driver.page(of: server, as: "alice")
        let first = try browser.window()
        try browser.openChat("bob")
        try browser.openWindow()
        let second = try browser.window()
        try browser.signIn(to: server, as: "alice")
        try browser.openChat("bob")
        try browser.write("from the second window")
        try browser.look(at: first)
        try browser.waitForMessages(1)
        try browser.write("from the first window")
        try browser.look(at: second)
        try browser.waitForMessages(2)
        let expected = ["alice: from the second window", "alice: from the first window"]
        for window in [second, first] {
          try browser.look(at: window)
          #expect(try browser.messages() == expected)
          #expect(try browser.run("return document.querySelector('#status').dataset.phase").string == "live")
        }
      }
    }
  }

  @Test func thePastComesWhenOneScrollsUp() throws {
    try withServer(["--limits-rate", "5000"]) { server in
      let sender = try server.attach("bob", "laptop")
      for number in 0..<130 {
        try sender.ask(
          #""type":"send","to":"user:alice","body":{"text":"number \#(number)"}"#, expecting: "ack")
      }
      try withWebDriver { driver in
        let alice = try driver.page(of: server, as: "alice")
        try alice.openChat("bob")
        try alice.wait(until: "document.querySelectorAll('.message').length >= 50")
        #expect(try alice.messages().last == "bob: number 129")
        for _ in 0..<100 where try alice.messages().count < 130 {
          try alice.run("document.querySelector('#scroll').scrollTop = 0")
        }
        #expect(try alice.messages() == (0..<130).map { "bob: number \($0)" })
      }
    }
  }

  @Test func aRoomIsMadeJoinedAndLeftFromThePage() throws {
    try withServer { server in
      try withWebDriver { driver in
        let alice = try driver.page(of: server, as: "alice")
        let bob = try driver.page(of: server, as: "bob")
        try alice.type("#lobby", into: "#search")
        try alice.type("\n", into: "#search")
        try alice.wait(until: "document.querySelector('#dialog').open")
        try alice.click("#dialog-yes")
        try alice.waitForChat("lobby")
        try alice.write("Anybody here?")
        try bob.openChat("#lobby")
        try bob.waitForMessages(1)
        try bob.write("Yes.")
        try alice.waitForMessages(2)
        #expect(try alice.messages() == ["alice: Anybody here?", "bob: Yes."])
        try alice.picture("desktop-room")
        try bob.click("#leave")
        try bob.click("#dialog-yes")
        try bob.wait(until: "document.querySelectorAll('.row').length === 0")
        try alice.wait(until: "document.querySelector('#messages').textContent.includes('bob left')")
      }
    }
  }

  @Test func everyControlHasANameAndTheKeyboardReachesAll() throws {
    try withServer { server in
      try withWebDriver { driver in
        let page = try driver.page(of: server, as: "alice")
        try page.openChat("bob")
        try page.write("one")
        try page.waitForMessages(1)
        let nameless = try page.strings(
          """
          [...document.querySelectorAll("button, input, textarea, select, a")].filter((element) => element.checkVisibility() &&
            !element.getAttribute("aria-label") && !element.labels?.length && element.textContent.trim() === "")
            .map((element) => element.outerHTML)
          """)
        #expect(nameless.isEmpty, "\(nameless)")
        #expect(
          try page.strings(
            "[...document.querySelectorAll('[role=log], [role=status], [role=alert]')].map((e) => e.id)")
            == ["status", "signin-error", "messages", "composer-note"])
        // Control and K, a part of a name, down and Enter: without a mouse to a chat.
        try page.run("location.hash = ''")
        try page.wait(until: "document.querySelector('#open').hidden")
        try page.type("\u{E009}k\u{E000}", into: "body")
        try page.wait(until: "document.activeElement === document.querySelector('#search')")
        try page.type("bo\u{E015}", into: "#search")
        try page.wait(until: "document.activeElement.classList.contains('row')")
        try page.type("\n", into: ".row:focus")
        try page.waitForChat("bob")
        try page.wait(until: "document.activeElement === document.querySelector('#text')")
        // The key that chose the chat is not a line in it.
        try page.type("bob\n", into: "#search")
        try page.wait(until: "document.activeElement === document.querySelector('#text')")
        #expect(try page.run("return document.querySelector('#text').value").string == "")
      }
    }
  }
}
