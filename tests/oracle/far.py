#!/usr/bin/env python3
"""What really lies in a store, asked without mapfold: another client, in Python's standard library.

    far.py ls LOC         names of all objects or files below LOC, relative to it, sorted
    far.py get LOC FILE   the bytes of one object
    far.py tree LOC DIR   all below LOC: the bytes of the n-th name that ls gives become DIR/n; prints the names
    far.py uploads LOC…   uncompleted multipart uploads of LOC and of its first parts (S3 and Google; else nothing).
                          One by one, because MinIO lists those of one exact name only.
    far.py mkdir LOC      a folder, and those above it (HDFS; in object stores there is nothing to make)
    far.py begin LOC      begins a multipart upload to LOC and forgets its id (S3), as who dies at that moment does

LOC is s3://, gs://, az:// or hdfs://; servers and credentials come from the environment that `cluster/part.sh PART vars`
prints. Signatures are made as the stores' documents say (AWS 4, Azure's Shared Key, Google's signed token).
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml

env = os.environ


def quoted(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def send(url, headers, method="GET"):
    body = b"" if method == "POST" else None
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=60) as answer:
        return answer.read()


def texts(tree, name):
    return [found.text or "" for found in tree.iter() if found.tag.rsplit("}", 1)[-1] == name]


class S3:
    def __init__(self, bucket):
        self.base, self.bucket = env["AWS_ENDPOINT"].rstrip("/"), bucket

    def ask(self, key, query, method="GET"):
        path = "/" + self.bucket + ("/" + quoted(key, "-_.~/") if key else "")
        query = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in sorted(query.items()))
        now = datetime.datetime.now(datetime.timezone.utc)
        day, moment = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
        host, empty = urllib.parse.urlsplit(self.base).netloc, hashlib.sha256(b"").hexdigest()
        headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": moment}
        names = ";".join(headers)
        lines = [method, path, query, *(f"{k}:{v}" for k, v in headers.items()), "", names, empty]
        scope = f"{day}/{env['AWS_REGION']}/s3/aws4_request"
        told = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
        secret = ("AWS4" + env["AWS_SECRET_ACCESS_KEY"]).encode()
        for step in (*scope.split("/"), told):
            secret = hmac.new(secret, step.encode(), hashlib.sha256).digest()
        who = f"Credential={env['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, Signature={secret.hex()}"
        return send(f"{self.base}{path}?{query}", {**headers, "Authorization": "AWS4-HMAC-SHA256 " + who}, method)

    def ls(self, prefix):
        return self.pages({"list-type": "2", "prefix": prefix}, "NextContinuationToken", "continuation-token")

    def uploads(self, key):
        names = [key] + [f"{key}/part-{kind}-{n:05}" for kind in "mr" for n in range(12)]
        return [found for name in names for found in self.pages({"uploads": "", "prefix": name}, None, None)]

    def begin(self, key):
        self.ask(key, {"uploads": ""}, "POST")

    def pages(self, query, token, name):
        keys = []
        while True:
            tree = xml.fromstring(self.ask("", query))
            keys += texts(tree, "Key")
            more = texts(tree, token) if token else []
            if not more:
                return keys
            query[name] = more[0]

    def get(self, key):
        return self.ask(key, {})


class Google(S3):
    """The XML interface, with a token for the service account's signature."""

    token = None

    def ask(self, key, query):
        path = "/" + self.bucket + ("/" + quoted(key, "-_.~/") if key else "")
        query = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in sorted(query.items()))
        return send(f"{env['GOOGLE_BASE_URL']}{path}?{query}", {"Authorization": f"Bearer {self.bearer()}"})

    def __init__(self, bucket):
        self.bucket = bucket

    def bearer(self):
        if Google.token:
            return Google.token
        with open(env["GOOGLE_APPLICATION_CREDENTIALS"]) as f:
            account = json.load(f)
        part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
        now = int(time.time())
        claim = {"iss": account["client_email"], "sub": account["client_email"], "iat": now, "exp": now + 3600,
                 "scope": "https://www.googleapis.com/auth/devstorage.full_control"}
        text = part(json.dumps({"alg": "RS256", "typ": "JWT", "kid": "1"}).encode()) + b"." + part(json.dumps(claim).encode())
        with tempfile.NamedTemporaryFile("w") as key:
            key.write(account["private_key"])
            key.flush()
            sign = ["openssl", "dgst", "-sha256", "-sign", key.name]
            signature = subprocess.run(sign, input=text, capture_output=True, check=True).stdout
        Google.token = (text + b"." + part(signature)).decode()
        return Google.token


class Azure:
    def __init__(self, container):
        self.base, self.container = env["AZURE_STORAGE_ENDPOINT"].rstrip("/"), container
        self.account = env["AZURE_STORAGE_ACCOUNT_NAME"]

    def ask(self, key, query):
        path = urllib.parse.urlsplit(self.base).path + "/" + self.container + ("/" + quoted(key, "-_.~/") if key else "")
        headers = {"x-ms-date": datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT"),
                   "x-ms-version": "2021-08-06"}
        canonical = f"/{self.account}{path}" + "".join(f"\n{k}:{v}" for k, v in sorted(query.items()))
        told = "GET" + "\n" * 12 + "".join(f"{k}:{v}\n" for k, v in headers.items()) + canonical
        key64 = base64.b64decode(env["AZURE_STORAGE_ACCOUNT_KEY"])
        signature = base64.b64encode(hmac.new(key64, told.encode(), hashlib.sha256).digest()).decode()
        url = f"{urllib.parse.urlsplit(self.base).scheme}://{urllib.parse.urlsplit(self.base).netloc}{path}"
        query = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in query.items())
        return send(f"{url}?{query}" if query else url, {**headers, "Authorization": f"SharedKey {self.account}:{signature}"})

    def ls(self, prefix):
        tree = xml.fromstring(self.ask("", {"restype": "container", "comp": "list", "prefix": prefix}))
        return texts(tree, "Name")

    def uploads(self, _):
        return []

    def get(self, key):
        return self.ask(key, {})


class Hdfs:
    def __init__(self, _):
        self.base = env["MAPFOLD_PART_WEBHDFS"]

    def ask(self, path, op, method="GET"):
        who = env.get("USER", "root")
        return send(f"{self.base}/{quoted(path.lstrip('/'), '-_.~/')}?op={op}&user.name={who}", {}, method)

    def mkdir(self, path):
        self.ask(path, "MKDIRS", "PUT")

    def ls(self, path):
        try:
            found = json.loads(self.ask(path, "LISTSTATUS"))["FileStatuses"]["FileStatus"]
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return []
            raise
        names = []
        for one in found:
            name = path.rstrip("/") + ("/" + one["pathSuffix"] if one["pathSuffix"] else "")
            names += self.ls(name) if one["type"] == "DIRECTORY" else [name]
        return names

    def uploads(self, _):
        return []

    def get(self, path):
        return self.ask(path, "OPEN")


def opened(loc):
    """The store of a location, its key there, its scheme."""
    at = urllib.parse.urlsplit(loc)
    return {"s3": S3, "gs": Google, "az": Azure, "hdfs": Hdfs}[at.scheme](at.netloc), at.path.strip("/"), at.scheme


def listed(loc):
    """Names below a location, relative to it."""
    store, key, scheme = opened(loc)
    names = store.ls(key if scheme == "hdfs" else key + "/")
    return sorted(n[len(key) + 1:] for n in names if n.startswith(key + "/"))


def keep(loc, file):
    store, key, _ = opened(loc)
    with open(file, "wb") as f:
        f.write(store.get(key))


def tree(loc, folder):
    names = listed(loc)
    for n, name in enumerate(names):
        keep(f"{loc.rstrip('/')}/{name}", os.path.join(folder, str(n)))
    return names


def uploads(*locs):
    return sorted({found for loc in locs for store, key, _ in [opened(loc)] for found in store.uploads(key)})


def mkdir(loc):
    store, key, _ = opened(loc)
    if isinstance(store, Hdfs):
        store.mkdir(key)


def begin(loc):
    store, key, _ = opened(loc)
    store.begin(key)


def main():
    verbs = {"ls": listed, "get": keep, "tree": tree, "uploads": uploads, "mkdir": mkdir, "begin": begin}
    print("\n".join(verbs[sys.argv[1]](*sys.argv[2:]) or []))


main()
