"""The suites that run the real server beside the floor, over loopback."""
import contextlib
import json
import shutil
import statistics
import subprocess
import tempfile

BACKENDS = ["io_uring", "epoll"]
LISTENERS = 1000
# Messages a second to all listeners: both sides sleep between two, as in life, and meet equally cold caches.
FANOUT_RATE = 50
PAIRS = 100
BODY_BYTES = 180
IDLE_CONNECTIONS = 5000
# What a send's frame is longer than its body, and a message's than the ack: the relay's frames are as long.
ENVELOPE_BYTES = 90


class Bench:
    def __init__(self, server, load, floor, scratch, options):
        self.server, self.load, self.floor, self.scratch = server, load, floor, scratch
        self.options = options

    # Processes

    @contextlib.contextmanager
    def _process(self, command):
        """Starts a server on its core; gives its pid and port when it is ready, and ends it."""
        pinned = ["taskset", "-c", str(self.options.server_core), *command]
        process = subprocess.Popen(pinned, stdout=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            if not line.startswith("ready ws="):
                raise SystemExit(f"{command[0]} did not get ready: {line!r}")
            yield process.pid, int(line.split()[1].rsplit(":", 1)[1])
        finally:
            process.terminate()
            process.wait()

    def _measure(self, pid, port, path, arguments):
        url = f"ws://127.0.0.1:{port}{path}"
        command = [
            "taskset", "-c", str(self.options.load_core), self.load, *arguments, "--url", url, "--json",
            "--server-pid", str(pid), "--seconds", str(self.options.seconds)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {result.stderr.strip()}")
        return json.loads(result.stdout)

    def _ours(self, backend, path, arguments):
        data = tempfile.mkdtemp(prefix="bench-", dir=self.scratch)
        command = [
            self.server, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data, "--echo",
            "--shards", "1", "--backend", backend, "--log-level", "warning", "--limits-rate", "1000000",
            "--limits-pending", "4096"]
        try:
            with self._process(command) as (pid, port):
                return self._measure(pid, port, path, arguments)
        finally:
            shutil.rmtree(data, ignore_errors=True)

    def _floor(self, mode, backend, arguments):
        with self._process([self.floor, mode, backend, "0"]) as (pid, port):
            return self._measure(pid, port, "/", arguments)

    # Figures

    def _compare(self, name, ours, floor, threads=""):
        """Runs both in turn, so many rounds; who begins changes. `threads`: of ours, only those count whose
        names begin so."""
        rounds = []
        for index in range(self.options.rounds):
            if index % 2 == 0:
                first = ours()
                rounds.append((first, floor(first)))
            else:
                # The floor's frames are as long as ours were in the round before.
                first = floor(rounds[-1][0])
                rounds.append((ours(), first))
        key = "cpu_us_per_message"

        def cost(result):
            if not threads:
                return result[key]
            return sum(thread[key] for thread in result["threads"] if thread["name"].startswith(threads))

        figure = {
            "name": name,
            "value": statistics.median(cost(o) for o, _ in rounds),
            "floor": statistics.median(f[key] for _, f in rounds),
            "ratio": statistics.median(cost(o) / f[key] for o, f in rounds),
            "per_second": statistics.median(o["per_second"] for o, _ in rounds),
        }
        times = []
        for what in ["answered", "delivered"]:
            if f"{what}_p50_ms" not in rounds[0][0]:
                continue
            p50, p99 = (statistics.median(o[f"{what}_{p}_ms"] for o, _ in rounds) for p in ["p50", "p99"])
            times.append(f"{what} p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        figure["times"] = "; ".join(times)
        return figure

    def echo(self):
        figures = []
        for depth in [1, 16]:
            for size, words in [(64, "64 B"), (1024, "1 KiB")]:
                arguments = ["echo", "--connections", "100", "--depth", str(depth), "--size", str(size)]
                for backend in BACKENDS:
                    figures.append(self._compare(
                        f"echo depth {depth}, {words}, {backend}",
                        lambda: self._ours(backend, "/echo", arguments),
                        lambda _: self._floor("echo", backend, arguments)))
        return figures

    def fanout(self):
        figures = []
        for backend in BACKENDS:
            arguments = ["fanout", "--connections", str(LISTENERS), "--rate", str(FANOUT_RATE)]
            figures.append(self._compare(
                f"fan-out copy, {LISTENERS} listeners, {backend}",
                lambda: self._ours(backend, "/ws", [*arguments, "--size", str(BODY_BYTES)]),
                lambda ours: self._floor(
                    "fanout", backend, [*arguments, "--raw", "--size", str(ours["message_bytes"])]),
                # That the message is stored once is not the copies' cost.
                threads="fc-shard"))
        return figures

    def pairs(self):
        figures = []
        for depth in [1, 16]:
            arguments = ["pairs", "--pairs", str(PAIRS), "--depth", str(depth)]
            size = BODY_BYTES + ENVELOPE_BYTES
            for backend in BACKENDS:
                figures.append(self._compare(
                    f"stored direct message, depth {depth}, {backend}",
                    lambda: self._ours(backend, "/ws", [*arguments, "--size", str(BODY_BYTES)]),
                    lambda _: self._floor("relay", backend, [*arguments, "--raw", "--size", str(size)])))
        return figures

    def idle(self):
        figures = []
        for path in ["/echo", "/ws"]:
            for backend in BACKENDS:
                arguments = ["idle", "--connections", str(IDLE_CONNECTIONS)]
                result = self._ours(backend, path, arguments)
                figures.append({
                    "name": f"idle connection, {path}, {backend}", "unit": "B",
                    "value": result["bytes_per_connection"]})
        return figures
