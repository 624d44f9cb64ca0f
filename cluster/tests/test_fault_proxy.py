"""Laws of the fault-injecting proxy: what passes is unchanged, what is hurt is hurt as named, and seeds repeat."""

import http.client
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import unittest

PROXY = pathlib.Path(__file__).resolve().parent.parent / "fault_proxy.py"
sys.path.insert(0, str(PROXY.parent))

import fault_proxy  # noqa: E402


class Upstream(http.server.BaseHTTPRequestHandler):
    """Keeps what it was given; answers with it."""

    protocol_version = "HTTP/1.1"
    seen = []
    kept = {}

    def do_PUT(self):
        self.kept[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append(("PUT", self.path, self.headers["host"]))
        self.say(b"")

    def do_GET(self):
        self.seen.append(("GET", self.path, self.headers["host"]))
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            return
        self.say(self.kept.get(self.path, b""))

    do_HEAD = do_GET

    def say(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Proxy(unittest.TestCase):
    def setUp(self):
        Upstream.seen.clear()
        Upstream.kept.clear()
        self.upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=self.upstream.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(self.upstream.server_close)
        self.addCleanup(self.upstream.shutdown)

    def proxy(self, *words):
        to = f"127.0.0.1:{self.upstream.server_port}"
        child = subprocess.Popen([sys.executable, "-B", PROXY, "--to", to, *words], stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.address = json.loads(child.stdout.readline())["listen"]

    def client(self):
        client = http.client.HTTPConnection(self.address, timeout=10)
        self.addCleanup(client.close)
        return client

    def ask(self, method, path, body=None, client=None):
        client = client or self.client()
        client.request(method, path, body)
        answer = client.getresponse()
        return answer.status, answer.read()

    def faults(self):
        return json.loads(self.ask("GET", "/__faults")[1])

    def test_without_faults_all_passes_on_one_connection(self):
        self.proxy()
        client, big = self.client(), bytes(range(256)) * 20000
        self.assertEqual(self.ask("PUT", "/big", big, client), (200, b""))
        self.assertEqual(self.ask("GET", "/big", None, client), (200, big))
        self.assertEqual(self.ask("HEAD", "/big", None, client), (200, b""))
        self.assertEqual(self.ask("GET", "/chunked", None, client), (200, b"abcde"))
        self.assertEqual(self.ask("GET", "/none", None, client), (200, b""))
        self.assertEqual({host for _, _, host in Upstream.seen}, {self.address}, "Host is the client's: it may be signed")
        self.assertEqual(self.faults()["faults"], {})

    def test_errors_keep_the_connection_and_the_server_sees_nothing(self):
        for status in (500, 503):
            self.proxy(f"--error-{status}", "1", "--in-a-row", "2")
            client = self.client()
            answers = [self.ask("PUT", "/x", b"data", client)[0] for _ in range(3)]
            self.assertEqual(answers, [status, status, 200], "after --in-a-row it gets through")
            self.assertEqual(len(Upstream.seen), 1)
            Upstream.seen.clear()

    def test_reset_before(self):
        self.proxy("--reset", "1", "--in-a-row", "1")
        with self.assertRaises(ConnectionError):
            self.ask("PUT", "/x", b"data")
        self.assertEqual(Upstream.seen, [])
        self.assertEqual(self.ask("PUT", "/x", b"data")[0], 200)

    def test_a_lost_answer_was_applied(self):
        self.proxy("--lost-answer", "1", "--methods", "PUT")
        with self.assertRaises(ConnectionError):
            self.ask("PUT", "/x", b"data")
        self.assertEqual(self.ask("GET", "/x"), (200, b"data"), "GET is not among the methods")
        counts = self.faults()
        self.assertEqual((counts["faults"], counts["chosen"], counts["passed"]), ({"lost_answer": 1}, 1, 1))

    def test_cut_gives_half(self):
        self.proxy("--cut", "1", "--path", "/x", "--methods", "GET")
        self.ask("PUT", "/x", b"0123456789")
        client = self.client()
        client.request("GET", "/x")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            client.getresponse().read()
        self.assertEqual(self.faults()["faults"], {"cut": 1})

    def test_delay_and_path(self):
        self.proxy("--delay", "1", "--delay-ms", "300", "--path", "slow")
        done = []
        slow = threading.Thread(target=lambda: (self.ask("GET", "/slow"), done.append("slow")))
        slow.start()
        self.ask("GET", "/quick")
        self.assertEqual(done, [], "only what is chosen waits")
        slow.join()
        self.assertEqual(self.faults()["faults"], {"delay": 1})

    def test_rates_and_seeds(self):
        def plan(seed):
            words = ["--to", "x:1", "--seed", str(seed), "--error-503", "0.1", "--reset", "0.05", "--in-a-row", "99"]
            plan = fault_proxy.Plan(fault_proxy.arguments(words))
            out, sys.stdout = sys.stdout, open("/dev/null", "w", encoding="utf-8")
            try:
                return [plan.next("GET", f"/{n}") for n in range(4000)]
            finally:
                sys.stdout.close()
                sys.stdout = out

        self.assertEqual(plan(7), plan(7))
        self.assertNotEqual(plan(7), plan(8))
        drawn = plan(7)
        self.assertAlmostEqual(drawn.count("error_503") / 4000, 0.1, delta=0.02)
        self.assertAlmostEqual(drawn.count("reset") / 4000, 0.05, delta=0.015)

    def test_rates_beyond_one_are_refused(self):
        with self.assertRaises(SystemExit):
            fault_proxy.arguments(["--to", "x:1", "--reset", "0.7", "--cut", "0.7"])

    def test_a_server_that_is_gone_is_a_reset(self):
        self.proxy()
        self.upstream.shutdown()
        self.upstream.server_close()
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.ask("GET", "/x")


if __name__ == "__main__":
    unittest.main()
