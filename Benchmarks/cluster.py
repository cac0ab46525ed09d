"""Two instances, one broker and one Redis, beside what bare librdkafka does on the same broker.

Each message goes from a user at one instance to a user at the other, so that it passes the log, the view and
an inbox. The floor (Floors/two_hops.c) makes the same two hops, of records as long, and nothing else."""
import contextlib
import glob
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

# Messages a second at which ours and the floor alternate, and those that follow until latency breaks.
RATE = 1_000
RISING = [2_000, 5_000, 10_000, 20_000, 40_000]
PAIRS = 100
BODY_BYTES = 180
# In flight of each pair at full speed, and of the floor in all.
DEPTH = 64
# Latency is broken where half of the messages take longer, or fewer arrive than this share of the rate.
BROKEN_MILLISECONDS = 100
BROKEN_SHARE = 0.95
# What a Java process needs before it does the same work for the same time.
WARM_UP_SECONDS = 15
# A broker's JVM compiles what was called often: so many a second that it is done with it.
WARM_UP_RATE = 4_000
PATIENCE_SECONDS = 60
# What servers send while messages flow; other calls are those of their scripts.
COMMANDS = ["evalsha", "hgetall"]
STAGES = ["append", "apply", "lookup", "inbox_dispatch", "store_commit", "turn"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def median(values):
    return statistics.median(list(values))


def half_of(grown, name, count):
    """Milliseconds that half of a distribution does not exceed: as if its bucket were filled evenly."""
    low, below = 0.0, 0.0
    bounds = [(float(re.search(r'le="([^"]+)"', k)[1]), v) for k, v in grown.items() if k.startswith(name + "{")]
    for high, upto in sorted(bounds):
        if upto >= count / 2:
            return 1_000 * (low + (min(high, 10) - low) * (count / 2 - below) / max(1, upto - below))
        low, below = high, upto
    return 0.0


class Process:
    """A process and its CPU clock."""

    def __init__(self, name, pid):
        self.name, self.pid = name, pid

    def cpu(self):
        # The kernel's number for the clock of a process (clock_getcpuclockid).
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def threads(self):
        """Nanoseconds by the threads' names; a number at a name's end is left out."""
        found = {}
        for folder in glob.glob(f"/proc/{self.pid}/task/*"):
            with contextlib.suppress(OSError):
                with open(folder + "/comm", encoding="utf-8") as file:
                    name = re.sub(r"[-:]?\d+$", "", file.read().strip())
                with open(folder + "/schedstat", encoding="utf-8") as file:
                    found[name] = found.get(name, 0) + int(file.read().split()[0])
        return found


class Cluster:
    """The broker, Redis and two instances; all of it ends with the block."""

    def __init__(self, root, server, scratch, partitions):
        self.root, self.server, self.partitions = root, server, partitions
        self.folder = tempfile.mkdtemp(prefix="cluster-", dir=scratch)
        self.ends = contextlib.ExitStack()
        self.instances, self.ports, self.admins = [], [], []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.ends.close()
            raise
        return self

    def __exit__(self, *_):
        self.ends.close()

    def _start(self):
        self.ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        script, kafka = os.path.join(self.root, "scripts", "kafka"), os.path.join(self.folder, "kafka")
        started = subprocess.run(
            [script, "start", kafka, "--owner", str(os.getpid())], stdout=subprocess.PIPE, text=True)
        if started.returncode != 0:
            raise SystemExit("there is no Kafka broker to measure on")
        self.ends.callback(subprocess.run, [script, "stop", kafka])
        self.brokers = started.stdout.strip()
        with open(os.path.join(kafka, "brokers", "1", "pid"), encoding="utf-8") as file:
            self.broker = Process("broker", int(file.read()))
        self.data = os.path.join(kafka, "brokers", "1", "data")

        self.redis_port = free_port()
        os.mkdir(os.path.join(self.folder, "redis"))
        self.redis = Process("Redis", self._launch(
            "redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1",
            "--dir", os.path.join(self.folder, "redis"), "--save", "", "--appendonly", "yes",
            "--maxmemory-policy", "noeviction", "--loglevel", "warning").pid)
        self._await("redis-server", lambda: self.info("server"))

        for name in ["bench-1", "bench-2"]:
            started = self._launch(
                self.server, "serve", "--server-id", name, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                "--kafka", self.brokers, "--redis", f"127.0.0.1:{self.redis_port}", "--shards", "1",
                "--partitions", str(self.partitions), "--limits-rate", "1000000", "--limits-pending", "4096",
                "--log-level", "warning", stdout=subprocess.PIPE)
            line = started.stdout.readline()
            found = re.match(r"ready ws=\S+:(\d+) admin=\S+:(\d+)", line)
            if not found:
                raise SystemExit(f"instance {name} did not get ready: {line!r}")
            self.instances.append(Process(name, started.pid))
            self.ports.append(int(found[1]))
            self.admins.append(int(found[2]))
        for name, admin in zip(["bench-1", "bench-2"], self.admins):
            self._await(name, lambda: self._get(admin, "/readyz")[0] == 200)

    def _launch(self, *command, stdout=subprocess.DEVNULL):
        # Variables of ours are for scripts, and no options of the server.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FASTCHAT_")}
        # It ends with this program, however that ends; the number of the process stays the same.
        command = ["setpriv", "--pdeathsig", "KILL", *command]
        process = subprocess.Popen(command, stdout=stdout, text=True, env=environment)
        self.ends.callback(process.wait)
        self.ends.callback(process.terminate)
        return process

    @staticmethod
    def _await(name, is_there):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if is_there():
                    return
            time.sleep(0.1)
        raise SystemExit(f"{name} does not answer")

    # What they say of themselves

    @staticmethod
    def _get(port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """All series, added up over the instances."""
        sums = {}
        for admin in self.admins:
            for line in self._get(admin, "/metrics")[1].splitlines():
                if line and line[0] != "#":
                    name, value = line.rsplit(" ", 1)
                    sums[name] = sums.get(name, 0) + float(value)
        return sums

    def info(self, section):
        with socket.create_connection(("127.0.0.1", self.redis_port), timeout=10) as link:
            link.sendall(f"INFO {section}\r\n".encode())
            file = link.makefile("rb")
            return file.read(int(file.readline()[1:])).decode()

    def commands(self):
        found = re.findall(r"^cmdstat_(\S+?):calls=(\d+)", self.info("commandstats"), re.M)
        return {name: int(calls) for name, calls in found}

    def redis_reads(self):
        """Times that Redis found something to read at a connection."""
        found = re.search(r"^total_reads_processed:(\d+)", self.info("stats"), re.M)
        return int(found[1]) if found else 0

    def segments(self, topic):
        """Where each file of a topic ends now."""
        return {path: os.path.getsize(path) for path in glob.glob(f"{self.data}/{topic}*/*.log")}

    @staticmethod
    def batches_since(before, now):
        """Batches, records and bytes that a topic's files got: a batch is what one request brought a partition."""
        batches = records = size = 0
        for path, end in now.items():
            with open(path, "rb") as file:
                at = before.get(path, 0)
                while at + 61 <= end:
                    file.seek(at)
                    head = file.read(61)
                    if len(head) < 61:
                        break
                    length = struct.unpack(">i", head[8:12])[0]
                    if length <= 0:
                        break
                    batches += 1
                    records += struct.unpack(">i", head[57:61])[0]
                    at += 12 + length
                    size += 12 + length
        return {"batches": batches, "records": records, "bytes": size}

    def snapshot(self):
        processes = [*self.instances, self.broker, self.redis]
        return {
            "time": time.monotonic(), "cpu": {p.name: p.cpu() for p in processes},
            "threads": {p.name: p.threads() for p in self.instances}, "metrics": self.metrics(),
            "commands": self.commands(), "reads": self.redis_reads(),
            "log": self.segments("fastchat.log."), "inbox": self.segments("fastchat.inbox."),
        }

    def between(self, before, after):
        """What each message cost between two snapshots."""
        grown = {k: v - before["metrics"].get(k, 0) for k, v in after["metrics"].items()}
        messages = max(1, grown["fastchat_messages_accepted_total"])
        calls = {k: v - before["commands"].get(k, 0) for k, v in after["commands"].items()}
        threads = {}
        for name in after["threads"]:
            for thread, used in after["threads"][name].items():
                used -= before["threads"][name].get(thread, 0)
                threads[thread] = threads.get(thread, 0) + used / 1_000 / messages
        stages = {}
        for stage in STAGES:
            count = grown.get(f"fastchat_{stage}_seconds_count", 0)
            if count > 0:
                stages[stage] = {
                    "count": count / messages, "mean_ms": grown[f"fastchat_{stage}_seconds_sum"] * 1_000 / count,
                    "p50_ms": half_of(grown, f"fastchat_{stage}_seconds_bucket", count)}
        applies = max(1, grown.get("fastchat_apply_seconds_count", 0))
        return {
            "messages": messages,
            "seconds": after["time"] - before["time"],
            "cpu_us": {k: (v - before["cpu"][k]) / 1_000 / messages for k, v in after["cpu"].items()},
            "threads_us": threads,
            "stages": stages,
            "records_per_apply": grown["fastchat_applied_records_total"] / applies,
            "inbox_batches": grown["fastchat_inbox_batches_total"] / messages,
            # The servers' own count moves once a second, which is too coarse here.
            "redis_commands": sum(calls.get(name, 0) for name in COMMANDS) / messages,
            "redis_reads": (after["reads"] - before["reads"]) / messages,
            "redis_calls": {k: v / messages for k, v in sorted(calls.items()) if v * 100 > messages},
            "log": self.batches_since(before["log"], after["log"]),
            "inbox": self.batches_since(before["inbox"], after["inbox"]),
        }


class Bench:
    def __init__(self, root, server, load, floor, scratch, options):
        self.root, self.server, self.load, self.two_hops, self.scratch = root, server, load, floor, scratch
        self.options = options
        # What a record of ours takes on the log, and what a message of ours takes in the inbox.
        self.log_bytes = self.inbox_bytes = 400

    def floor(self, cluster, *arguments, warm_up=1):
        command = [
            self.two_hops, *map(str, arguments), "--seconds", str(self.options.seconds), "--warmup", str(warm_up),
            "--partitions", str(self.options.partitions), "--log-bytes", str(self.log_bytes),
            "--inbox-bytes", str(self.inbox_bytes), cluster.brokers]
        before = cluster.broker.cpu(), time.monotonic()
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            return {"failure": result.stderr.strip()}
        figures = json.loads(result.stdout)
        figures["broker_cores"] = (cluster.broker.cpu() - before[0]) / 1e9 / (time.monotonic() - before[1])
        figures["load_average"] = os.getloadavg()[0]
        return figures

    def ours(self, cluster, *arguments, warm_up=1):
        """A run of the load, and what it cost between its warm-up and its end."""
        urls = [f"ws://127.0.0.1:{port}/ws" for port in cluster.ports]
        seconds = self.options.seconds
        command = [
            self.load, "pairs", *map(str, arguments), "--url", urls[0], "--peer-url", urls[1], "--json",
            "--pairs", str(PAIRS), "--size", str(BODY_BYTES), "--seconds", str(seconds),
            "--warmup", str(warm_up)]
        accepted = "fastchat_messages_accepted_total"
        start = cluster.metrics()[accepted]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and cluster.metrics()[accepted] == start:
            time.sleep(0.05)
        time.sleep(warm_up)
        before = cluster.snapshot()
        time.sleep(max(0.5, seconds - 0.5))
        after = cluster.snapshot()
        output, error = process.communicate()
        if process.returncode != 0:
            return {"failure": error.strip()}
        figures = json.loads(output)
        figures.update(cluster.between(before, after))
        figures["load_average"] = os.getloadavg()[0]
        return figures

    def cluster(self):
        """Runs it all; gives (figures for the table of verdicts, everything for a file)."""
        def say(words):
            print(words, file=sys.stderr)

        rounds = []
        with Cluster(self.root, self.server, self.scratch, self.options.partitions) as cluster:
            say("warming up")
            self.floor(cluster, "--rate", WARM_UP_RATE, warm_up=WARM_UP_SECONDS)
            self.ours(cluster, "--rate", WARM_UP_RATE, warm_up=WARM_UP_SECONDS)
            warm = self.ours(cluster, "--rate", RATE)
            if "failure" in warm:
                raise SystemExit(warm["failure"])
            self.log_bytes = max(64, int(warm["log"]["bytes"] / max(1, warm["log"]["records"])) - 61)
            self.inbox_bytes = max(64, int(warm["inbox"]["bytes"] / warm["messages"]) - 61)
            for index in range(self.options.rounds):
                say(f"{RATE} a second, round {index + 1}")
                first = self.floor(cluster, "--rate", RATE)
                rounds.append({"rate": RATE, "floor": first, "ours": self.ours(cluster, "--rate", RATE)})
            for rate in RISING:
                say(f"{rate} a second")
                rounds.append({
                    "rate": rate, "floor": self.floor(cluster, "--rate", rate),
                    "ours": self.ours(cluster, "--rate", rate)})
                ours = rounds[-1]["ours"]
                if "failure" in ours or ours["per_second"] < BROKEN_SHARE * rate \
                        or ours["delivered_p50_ms"] > BROKEN_MILLISECONDS:
                    break
            say("full speed")
            under_way = PAIRS * DEPTH
            full = {
                "two_hops": self.floor(cluster, "--under-way", under_way),
                "one_hop": self.floor(cluster, "--under-way", under_way, "--hops", 1),
                "ours": self.ours(cluster, "--depth", DEPTH)}
        everything = {
            "cluster": rounds, "full_speed": full, "log_bytes": self.log_bytes, "inbox_bytes": self.inbox_bytes,
            "partitions": self.options.partitions}
        return self._figures(rounds, full), everything

    @staticmethod
    def _figures(rounds, full):
        same = [r for r in rounds if r["rate"] == RATE and "failure" not in r["ours"] and "failure" not in r["floor"]]
        figures = []
        for what, words in [("answered", "acknowledged"), ("delivered", "delivered")] if same else []:
            key = f"{what}_p50_ms"
            figures.append({
                "name": f"two instances, {RATE:,}/s, {words}, p50", "unit": "ms",
                "value": median(r["ours"][key] for r in same), "floor": median(r["floor"][key] for r in same),
                "ratio": median(r["ours"][key] / r["floor"][key] for r in same),
                "per_second": median(r["ours"]["per_second"] for r in same)})
        if "failure" not in full["ours"] and "failure" not in full["two_hops"]:
            ours, floor = full["ours"], full["two_hops"]
            figures.append({
                "name": "two instances, full speed, messages/s", "unit": "/s", "value": ours["per_second"],
                "floor": floor["per_second"], "ratio": floor["per_second"] / ours["per_second"]})
        return figures


# In words

def lines(everything):
    """The tables of a run, in Markdown."""
    def times(run, what):
        if "failure" in run:
            return "failed"
        return f"{run[what + '_p50_ms']:.2f} / {run[what + '_p99_ms']:.1f}"

    yield "| a second | floor's ack, p50 / p99 ms | ours | floor's delivery | ours | reached | load average |"
    yield "|" + " --- |" * 7
    runs = everything["cluster"]
    for run in runs:
        floor, ours = run["floor"], run["ours"]
        reached = ours.get("failure") or f"{ours['per_second']:,.0f} (floor {floor.get('per_second', 0):,.0f})"
        yield (f"| {run['rate']:,} | {times(floor, 'answered')} | {times(ours, 'answered')} | "
               f"{times(floor, 'delivered')} | {times(ours, 'delivered')} | {reached} | "
               f"{ours.get('load_average', 0):.0f} |")
    full = everything["full_speed"]
    speeds = [f"{name} {run['per_second']:,.0f}" if "failure" not in run else f"{name} failed: {run['failure']}"
              for name, run in [("librdkafka, one hop", full["one_hop"]), ("two hops", full["two_hops"]),
                                ("ours", full["ours"])]]
    yield ""
    yield f"Full speed, {PAIRS * DEPTH:,} under way, messages a second: {', '.join(speeds)}."
    yield ""
    yield ("| a second | CPU us a message: instances | broker | Redis | floor's process | records a log batch | "
           "an apply | messages an inbox record | Redis: commands | reads | calls in scripts |")
    yield "|" + " --- |" * 11
    for name, ours, floor in [(f"{r['rate']:,}", r["ours"], r["floor"]) for r in runs] + [
            ("full speed", full["ours"], full["two_hops"])]:
        if "failure" in ours:
            continue
        cpu = ours["cpu_us"]
        inner = sum(ours["redis_calls"].values()) - ours["redis_commands"]
        yield (f"| {name} | {cpu['bench-1'] + cpu['bench-2']:.0f} | {cpu['broker']:.0f} | {cpu['Redis']:.0f} | "
               f"{floor.get('cpu_us_per_message', 0):.0f} | "
               f"{ours['log']['records'] / max(1, ours['log']['batches']):.2f} | {ours['records_per_apply']:.2f} | "
               f"{ours['messages'] / max(1, ours['inbox']['records']):.2f} | {ours['redis_commands']:.2f} | "
               f"{ours['redis_reads']:.2f} | {max(0, inner):.1f} |")
    yield ""
    yield "| a second | " + " | ".join(f"{s}, p50 / mean ms" for s in STAGES) + " |"
    yield "|" + " --- |" * (len(STAGES) + 1)
    for name, ours in [(f"{r['rate']:,}", r["ours"]) for r in runs] + [("full speed", full["ours"])]:
        if "failure" not in ours:
            found = ours["stages"]
            cells = [f"{found[s]['p50_ms']:.3f} / {found[s]['mean_ms']:.3f}" if s in found else "" for s in STAGES]
            yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    for name, ours in [(f"At {RATE:,} a second", runs[0]["ours"]), ("At full speed", full["ours"])]:
        if "failure" in ours:
            continue
        top = sorted(ours["threads_us"].items(), key=lambda item: -item[1])[:8]
        yield f"{name}, CPU us a message by thread, both instances: " + ", ".join(f"{k} {v:.1f}" for k, v in top) + "."
        yield ("Redis calls a message: " + ", ".join(f"{k} {v:.2f}" for k, v in ours["redis_calls"].items()) + ".")
        yield ""
