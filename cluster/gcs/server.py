#!/usr/bin/env python3
"""A double of Google Cloud Storage for tests: the XML API as object_store and GDAL use it, and some of the JSON API.

usage: server.py --port PORT --data FOLDER --bucket NAME [--modulus HEX --issuer EMAIL]

Shown by it: requests, their encoding, generation preconditions, ranges, multipart uploads (order, ETags, smallest part),
listing with pages, service account tokens. Not shown: the real service's throttling, latency, permissions, resumable
uploads, object holds, and its consistency under load. Python's standard library only; listens on 127.0.0.1.
"""

import argparse
import email.utils
import http.server
import json
import sys
import urllib.parse
import xml.etree.ElementTree as xml
from datetime import datetime, timezone
from xml.sax.saxutils import escape

from bearer import why_refused
from objects import PIECE, Objects, Refused

KEPT = ("content-type", "content-encoding", "content-language", "content-disposition", "cache-control", "x-goog-storage-class")


def element(name, value):
    return f"<{name}>{escape(str(value))}</{name}>"


def instant(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def byte_range(text, size):
    """(first, last) of a Range header; None when it asks for no single range."""
    if not text or not text.startswith("bytes=") or "," in text:
        return None
    first, _, last = text[len("bytes=") :].partition("-")
    if not first:
        first, last = max(size - int(last), 0), size - 1
    else:
        first, last = int(first), min(int(last) if last else size - 1, size - 1)
    if first > last:
        raise Refused(416, "InvalidRange", "The requested range cannot be satisfied.")
    return first, last


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = None
    modulus = None
    issuer = None

    # ---- requests

    def handle_one(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.left = int(self.headers.get("content-length") or 0)
        try:
            if "transfer-encoding" in self.headers:
                self.close_connection = True
                raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
            if url.path == "/_health":
                return self.answer(200, b"ok\n")
            reason = self.modulus and why_refused(self.headers.get("authorization"), self.modulus, self.issuer)
            if reason:
                raise Refused(401, "AuthenticationRequired", reason)
            if url.path.startswith(("/storage/v1/b/", "/upload/storage/v1/b/")):
                return self.json_api(url.path)
            bucket, _, name = url.path[1:].partition("/")
            key = (urllib.parse.unquote(bucket), urllib.parse.unquote(name))
            return self.bucket(key[0]) if not name else self.object(key)
        except Refused as refused:
            self.refuse(refused)
        except (ValueError, KeyError) as wrong:
            self.refuse(Refused(400, "InvalidArgument", f"{type(wrong).__name__}: {wrong}"))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one

    def object(self, key):
        handlers = {"GET": self.get, "HEAD": self.get, "PUT": self.put, "POST": self.post, "DELETE": self.remove}
        handlers[self.command](key)

    def match(self, name="x-goog-if-generation-match"):
        value = self.headers.get(name)
        return None if value is None else int(value)

    def take(self):
        """The body, in a file."""
        left, self.left = self.left, 0
        try:
            return self.store.spool(self.rfile, left)
        except ConnectionError:
            self.close_connection = True
            raise

    def text(self):
        left, self.left = self.left, 0
        return self.rfile.read(left)

    def attributes(self):
        kept = {name: self.headers[name] for name in KEPT if name in self.headers}
        kept.update({k.lower(): v for k, v in self.headers.items() if k.lower().startswith("x-goog-meta-")})
        return kept

    def put(self, key):
        source = self.headers.get("x-goog-copy-source")
        if source:
            bucket, _, name = source.lstrip("/").partition("/")
            meta = self.store.copy((urllib.parse.unquote(bucket), urllib.parse.unquote(name)), key, self.match())
            body = element("LastModified", instant(meta["updated"])) + element("ETag", f'"{meta["md5"]}"')
            return self.answer_xml("CopyObjectResult", body, self.described(meta))
        if "uploadId" in self.query:
            self.no_precondition()
            md5 = self.store.part(key, self.query["uploadId"], int(self.query["partNumber"]), self.take())
            return self.answer(200, b"", {"ETag": f'"{md5}"'})
        meta = self.store.commit(key, self.take(), self.attributes(), self.match())
        self.answer(200, b"", {"ETag": f'"{meta["md5"]}"', "x-goog-generation": str(meta["generation"])})

    def no_precondition(self):
        if self.match() is not None:  # the service documents none for multipart uploads: nobody may build on one
            raise Refused(400, "NotImplemented", "Preconditions are not supported for multipart uploads.")

    def post(self, key):
        self.no_precondition()
        if "uploads" in self.query:
            upload = self.store.begin(key, self.attributes())
            body = element("Bucket", key[0]) + element("Key", key[1]) + element("UploadId", upload)
            return self.answer_xml("InitiateMultipartUploadResult", body)
        if "uploadId" not in self.query:
            raise Refused(400, "InvalidArgument", "POST needs uploads or uploadId.")
        try:
            parts = [part for part in xml.fromstring(self.text()).iter() if part.tag.rpartition("}")[2] == "Part"]
            fields = [{f.tag.rpartition("}")[2]: f.text for f in part} for part in parts]
            wanted = [(int(f["PartNumber"]), f["ETag"].strip('"')) for f in fields]
        except (xml.ParseError, KeyError) as broken:
            raise Refused(400, "MalformedCompleteMultipartUploadRequest", str(broken)) from broken
        meta = self.store.complete(key, self.query["uploadId"], wanted)
        body = element("Bucket", key[0]) + element("Key", key[1]) + element("ETag", f'"{meta["md5"]}"')
        self.answer_xml("CompleteMultipartUploadResult", body, {"x-goog-generation": str(meta["generation"])})

    def remove(self, key):
        if "uploadId" in self.query:
            self.store.abort(key, self.query["uploadId"])
        else:
            self.store.delete(key, self.match())
        self.answer(204, b"")

    def get(self, key):
        generation = self.query.get("generation")
        meta, body = self.store.open(key, generation and int(generation))
        with body:
            self.send_body(meta, body)

    def send_body(self, meta, body):
        etag = f'"{meta["md5"]}"'
        if self.headers.get("if-match", etag) not in (etag, "*"):
            raise Refused(412, "PreconditionFailed", "If-Match does not hold.")
        if self.match() not in (None, meta["generation"]):
            raise Refused(412, "PreconditionFailed", "The generation differs.")
        unchanged = self.headers.get("if-none-match") in (etag, "*") or self.untouched_since(meta, "if-modified-since")
        if unchanged:
            return self.answer(304, None, self.described(meta))
        if "if-unmodified-since" in self.headers and not self.untouched_since(meta, "if-unmodified-since"):
            raise Refused(412, "PreconditionFailed", "If-Unmodified-Since does not hold.")
        wanted = byte_range(self.headers.get("range"), meta["size"])
        first, last = wanted or (0, meta["size"] - 1)
        headers = dict(self.described(meta), **{"Content-Length": str(last - first + 1)})
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{last}/{meta['size']}"
        self.head(206 if wanted else 200, headers)
        if self.command == "HEAD":
            return
        body.seek(first)
        left = last - first + 1
        while left:
            piece = body.read(min(PIECE, left))
            self.wfile.write(piece)
            left -= len(piece)

    def untouched_since(self, meta, name):
        since = self.headers.get(name)
        return since is not None and int(meta["updated"]) <= email.utils.parsedate_to_datetime(since).timestamp()

    def described(self, meta):
        given = {"content-type": "application/octet-stream", **meta["attributes"]}
        given["ETag"] = f'"{meta["md5"]}"'
        given["Last-Modified"] = email.utils.formatdate(meta["updated"], usegmt=True)
        given.update({"x-goog-generation": str(meta["generation"]), "x-goog-metageneration": "1", "Accept-Ranges": "bytes"})
        return given

    def bucket(self, bucket):
        if self.command not in ("GET", "HEAD"):
            raise Refused(405, "MethodNotAllowed", "Buckets are made when the double starts.")
        if "uploads" in self.query:
            return self.list_uploads(bucket)
        token, start = self.query.get("continuation-token", ""), self.query.get("start-after", "")
        most = min(int(self.query.get("max-keys", 1000)), 1000)
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        found, prefixes, more = self.store.list(bucket, prefix, delimiter, start, token, most)
        body = element("Name", bucket) + element("Prefix", prefix) + element("KeyCount", len(found) + len(prefixes))
        body += element("IsTruncated", str(more is not None).lower())
        body += element("NextContinuationToken", more) if more is not None else ""
        for meta in found:
            fields = element("Key", meta["name"]) + element("Generation", meta["generation"]) + element("Size", meta["size"])
            fields += element("LastModified", instant(meta["updated"])) + element("ETag", f'"{meta["md5"]}"')
            body += f"<Contents>{fields}</Contents>"
        body += "".join(f"<CommonPrefixes>{element('Prefix', p)}</CommonPrefixes>" for p in prefixes)
        self.answer_xml("ListBucketResult", body)

    def list_uploads(self, bucket):
        prefix, body = self.query.get("prefix", ""), element("Bucket", bucket) + element("IsTruncated", "false")
        for upload, meta in sorted(self.store.uploads.items(), key=lambda u: (u[1]["name"], u[0])):
            if meta["bucket"] == bucket and meta["name"].startswith(prefix):
                fields = element("Key", meta["name"]) + element("UploadId", upload) + element("Initiated", instant(meta["begun"]))
                body += f"<Upload>{fields}</Upload>"
        self.answer_xml("ListMultipartUploadsResult", body)

    # ---- JSON API: list, describe, read, write, delete

    def json_api(self, path):
        upload = path.startswith("/upload/")
        bucket, _, rest = path.removeprefix("/upload").removeprefix("/storage/v1/b/").partition("/")
        bucket, name = urllib.parse.unquote(bucket), urllib.parse.unquote(rest.removeprefix("o").removeprefix("/"))
        match = self.query.get("ifGenerationMatch")
        match = None if match is None else int(match)
        if upload and self.command == "POST" and self.query.get("uploadType") == "media":
            key = (bucket, self.query["name"])
            return self.answer_json(self.resource(self.store.commit(key, self.take(), self.attributes(), match)))
        if self.command == "GET" and not name:
            return self.json_list(bucket)
        if self.command == "GET" and self.query.get("alt") == "media":
            return self.get((bucket, name))
        if self.command == "GET":
            return self.answer_json(self.resource(self.store.find((bucket, name))))
        if self.command == "DELETE" and name:
            self.store.delete((bucket, name), match)
            return self.answer(204, b"")
        raise Refused(501, "NotImplemented", "The double does not know this request.")

    def json_list(self, bucket):
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        most = min(int(self.query.get("maxResults", 1000)), 1000)
        found, prefixes, more = self.store.list(bucket, prefix, delimiter, "", self.query.get("pageToken", ""), most)
        answer = {"kind": "storage#objects", "items": [self.resource(m) for m in found], "prefixes": prefixes}
        if more is not None:
            answer["nextPageToken"] = more
        self.answer_json(answer)

    @staticmethod
    def resource(meta):
        return {"kind": "storage#object", "bucket": meta["bucket"], "name": meta["name"], "size": str(meta["size"]),
                "generation": str(meta["generation"]), "metageneration": "1", "etag": meta["md5"], "updated": instant(meta["updated"])}

    # ---- answers

    def refuse(self, refused):
        body = element("Code", refused.code) + element("Message", refused.text)
        text = f"<?xml version='1.0' encoding='UTF-8'?><Error>{body}</Error>".encode()
        self.answer(refused.status, text, {"Content-Type": "application/xml; charset=UTF-8"})

    def answer_xml(self, root, body, headers=None):
        text = f"<?xml version='1.0' encoding='UTF-8'?><{root}>{body}</{root}>".encode()
        self.answer(200, text, {**(headers or {}), "content-type": "application/xml; charset=UTF-8"})

    def answer_json(self, value):
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"})

    def answer(self, status, body, headers=None):
        self.drain()
        length = {} if body is None or status == 204 else {"Content-Length": str(len(body))}
        self.head(status, {**(headers or {}), **length})
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def drain(self):
        """Reads what was not asked for: the connection goes on with the next request."""
        while self.left > 0:
            piece = self.rfile.read(min(PIECE, self.left))
            self.left = self.left - len(piece) if piece else 0

    def head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format, *args):
        sys.stderr.write(f"{self.log_date_time_string()} {format % args}\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that goes away is no news
            super().handle_error(request, client_address)


def serve(port, folder, bucket, modulus=None, issuer=None):
    """A server that is ready to run, on 127.0.0.1."""
    store = Objects(folder)
    store.buckets.add(bucket)
    handler = type("Bound", (Handler,), {"store": store, "modulus": modulus, "issuer": issuer})
    return Server(("127.0.0.1", port), handler)


def main():
    args = argparse.ArgumentParser(description="A double of Google Cloud Storage for tests.")
    args.add_argument("--port", type=int, required=True)
    args.add_argument("--data", required=True)
    args.add_argument("--bucket", required=True)
    args.add_argument("--modulus", help="of the service account's RSA key, in hex: tokens are checked")
    args.add_argument("--issuer", help="the service account's address")
    args = args.parse_args()
    modulus = args.modulus and int(args.modulus, 16)
    serve(args.port, args.data, args.bucket, modulus, args.issuer).serve_forever()


if __name__ == "__main__":
    main()
