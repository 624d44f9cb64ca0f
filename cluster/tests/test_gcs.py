"""Laws of the double of Google Cloud Storage, asked over HTTP with Python's own client."""

import base64
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as xml

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "gcs"
sys.path.insert(0, str(FOLDER))

import bearer  # noqa: E402
import server  # noqa: E402


class Service(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.start()

    def start(self, **options):
        server.Handler.log_message = lambda *_: None
        self.server = server.serve(0, self.folder, "bucket", **options)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def ask(self, method, path, body=b"", **headers):
        client = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        client.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = client.getresponse()
        data = answer.read()
        client.close()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), data

    def put(self, name, body, **headers):
        return self.ask("PUT", "/bucket/" + urllib.parse.quote(name, safe=""), body, **headers)

    def test_generation_zero_means_absent(self):
        absent = {"x_goog_if_generation_match": "0"}
        status, headers, _ = self.put("a/b", b"one", **absent)
        self.assertEqual(status, 200)
        self.assertEqual(self.put("a/b", b"two", **absent)[0], 412)
        self.assertEqual(self.ask("GET", "/bucket/a%2Fb")[2], b"one")
        first = headers["x-goog-generation"]
        status, headers, _ = self.put("a/b", b"three", x_goog_if_generation_match=first)
        self.assertEqual(status, 200)
        self.assertNotEqual(headers["x-goog-generation"], first)
        self.assertEqual(self.put("a/b", b"four", x_goog_if_generation_match=first)[0], 412)

    def test_of_many_creators_one_wins(self):
        answers = []
        many = [
            threading.Thread(target=lambda i=i: answers.append(self.put("x", b"%d" % i, x_goog_if_generation_match="0")[0]))
            for i in range(16)
        ]
        for one in many:
            one.start()
        for one in many:
            one.join()
        self.assertEqual(sorted(answers), [200] + [412] * 15)

    def test_ranges(self):
        self.put("r", bytes(range(100)))
        for text, status, wanted in [
            ("bytes=10-19", 206, bytes(range(10, 20))), ("bytes=90-", 206, bytes(range(90, 100))),
            ("bytes=-5", 206, bytes(range(95, 100))), ("bytes=95-500", 206, bytes(range(95, 100))),
        ]:
            got = self.ask("GET", "/bucket/r", Range=text)
            self.assertEqual((got[0], got[2]), (status, wanted), text)
            self.assertTrue(got[1]["content-range"].endswith("/100"))
        self.assertEqual(self.ask("GET", "/bucket/r", Range="bytes=100-")[0], 416)
        self.assertEqual(self.ask("HEAD", "/bucket/r")[1]["content-length"], "100")
        self.assertEqual(self.ask("GET", "/bucket/r", Range="bytes=1-x")[0], 400)

    def test_multipart_keeps_the_rules_of_parts(self):
        big = bytes(5 << 20)
        body = self.ask("POST", "/bucket/m?uploads", **{"x-goog-meta-who": "me"})[2]
        upload = xml.fromstring(body).findtext("UploadId")
        part = lambda n, data: self.ask("PUT", f"/bucket/m?partNumber={n}&uploadId={upload}", data)[1]["etag"]
        tags = {2: part(2, b"tail"), 1: part(1, big), 3: part(3, b"more")}
        listed = self.ask("GET", "/bucket?uploads")[2]
        self.assertEqual([u.text for u in xml.fromstring(listed).iter("UploadId")], [upload])
        self.assertEqual(self.complete(upload, [(2, tags[2]), (1, tags[1])])[0], 400)
        self.assertEqual(self.complete(upload, [(1, '"wrong"')])[0], 400)
        small = self.complete(upload, [(1, tags[1]), (2, tags[2]), (3, tags[3])])
        self.assertIn(b"EntityTooSmall", small[2])
        self.assertEqual(self.ask("GET", "/bucket/m")[0], 404, "nothing is seen before the end")
        done = self.complete(upload, [(1, tags[1]), (2, tags[2])])
        self.assertEqual(done[0], 200)
        got = self.ask("GET", "/bucket/m")
        self.assertEqual((got[2], got[1]["x-goog-meta-who"]), (big + b"tail", "me"))
        self.assertEqual(self.complete(upload, [(1, tags[1])])[0], 404)
        self.assertEqual(self.ask("POST", "/bucket/m?uploads", x_goog_if_generation_match="0")[0], 400)

    def complete(self, upload, parts):
        text = "".join(f"<Part><ETag>{tag}</ETag><PartNumber>{n}</PartNumber></Part>" for n, tag in parts)
        body = f"<CompleteMultipartUpload>{text}</CompleteMultipartUpload>".encode()
        return self.ask("POST", f"/bucket/m?uploadId={upload}", body)

    def test_lists_in_pages(self):
        names = ["a", "d/1", "d/2", "e", "f/x", "ä", "z&<"]
        for name in names:
            self.put(name, b"")
        seen, token, pages = [], "", 0
        while token is not None:
            after = f"&continuation-token={urllib.parse.quote(token)}" if token else ""
            root = xml.fromstring(self.ask("GET", f"/bucket?list-type=2&delimiter=/&max-keys=2{after}")[2])
            seen += [e.text for e in root.findall("Contents/Key") + root.findall("CommonPrefixes/Prefix")]
            token, pages = root.findtext("NextContinuationToken"), pages + 1
        self.assertEqual(sorted(seen), sorted(["a", "d/", "e", "f/", "ä", "z&<"]))
        self.assertEqual(pages, 3)
        root = xml.fromstring(self.ask("GET", "/bucket?list-type=2&prefix=d/&start-after=d/1")[2])
        self.assertEqual([e.text for e in root.iter("Key")], ["d/2"])

    def test_a_restart_forgets_nothing_acknowledged(self):
        self.put("k", b"old")
        generation = self.put("k", b"new")[1]["x-goog-generation"]
        self.start()
        got = self.ask("GET", "/bucket/k")
        self.assertEqual((got[2], got[1]["x-goog-generation"]), (b"new", generation))
        self.assertGreater(int(self.put("k", b"newer")[1]["x-goog-generation"]), int(generation))

    def test_copy_delete_and_the_json_api(self):
        self.put("from", b"data", content_type="text/plain")
        self.assertEqual(self.ask("PUT", "/bucket/to", x_goog_copy_source="bucket/from")[0], 200)
        self.assertEqual(self.ask("PUT", "/bucket/to", x_goog_copy_source="bucket/from", x_goog_if_generation_match="0")[0], 412)
        got = self.ask("GET", "/storage/v1/b/bucket/o/to?alt=media")
        self.assertEqual((got[2], got[1]["content-type"]), (b"data", "text/plain"))
        self.assertEqual(json.loads(self.ask("GET", "/storage/v1/b/bucket/o/to")[2])["size"], "4")
        listed = json.loads(self.ask("GET", "/storage/v1/b/bucket/o")[2])
        self.assertEqual([item["name"] for item in listed["items"]], ["from", "to"])
        self.assertEqual(self.ask("DELETE", "/bucket/to")[0], 204)
        self.assertEqual(self.ask("DELETE", "/bucket/to")[0], 404)
        self.assertEqual(self.ask("GET", "/other/x")[0], 404)

    def test_a_refused_body_does_not_break_the_connection(self):
        self.put("k", b"1")
        client = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        for body, wanted in [(bytes(6 << 20), 412), (b"", 412)]:
            client.request("PUT", "/bucket/k", body, {"x-goog-if-generation-match": "0"})
            answer = client.getresponse()
            answer.read()
            self.assertEqual(answer.status, wanted)
        client.close()

    def test_tokens_are_checked(self):
        key = pathlib.Path(self.folder) / "key.pem"
        made = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", key], capture_output=True, check=False)
        self.assertEqual(made.returncode, 0, made.stderr)
        out = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-modulus"], capture_output=True, check=True).stdout
        modulus = int(out.decode().strip().removeprefix("Modulus="), 16)
        self.start(modulus=modulus, issuer="me")
        now = int(time.time())
        good = self.token(key, {"iss": "me", "iat": now, "exp": now + 60})
        self.assertEqual(self.put("t", b"1", Authorization=good)[0], 200)
        late = self.token(key, {"iss": "me", "iat": now - 7200, "exp": now - 3600})
        other = self.token(key, {"iss": "you", "iat": now, "exp": now + 60})
        for bad in (late, other, good[:-8] + "AAAAAAAA", "Bearer x", "Bearer a.b.c", "Basic x"):
            self.assertEqual(self.put("t", b"2", Authorization=bad)[0], 401, bad)
        self.assertEqual(self.put("t", b"2")[0], 401)
        self.assertEqual(bearer.why_refused(good, modulus + 2, "me"), "the token's signature is wrong")

    @staticmethod
    def token(key, claims):
        encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        text = f"{encode(json.dumps({'alg': 'RS256'}).encode())}.{encode(json.dumps(claims).encode())}"
        sign = ["openssl", "dgst", "-sha256", "-sign", key]
        signed = subprocess.run(sign, input=text.encode(), capture_output=True, check=True).stdout
        return f"Bearer {text}.{encode(signed)}"


if __name__ == "__main__":
    unittest.main()
