#!/usr/bin/env python3
"""Temporary credentials of an S3 server that speaks STS (MinIO), for tests of what happens when they end.

usage: AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... AWS_ENDPOINT_URL=http://HOST:PORT sts.py

Asks AssumeRole and prints {"id": ..., "secret": ..., "token": ..., "until": ...}. They last an hour; MinIO gives none for
less than a quarter. Python's standard library only.
"""

import datetime
import hashlib
import hmac
import json
import os
import re
import urllib.parse
import urllib.request

BODY = b"Action=AssumeRole&Version=2011-06-15"


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed(host, key_id, secret, now):
    """Headers of the request, signed as AWS's version 4 wants it."""
    day, stamp = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(BODY).hexdigest()
    head = {"content-type": "application/x-www-form-urlencoded", "host": host, "x-amz-date": stamp}
    names = ";".join(head)
    lines = "".join(f"{name}:{value}\n" for name, value in head.items())
    request = "\n".join(["POST", "/", "", lines, names, digest])
    scope = f"{day}/us-east-1/sts/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (day, "us-east-1", "sts", "aws4_request"):
        key = sign(key, part)
    signature = sign(key, text).hex()
    head["authorization"] = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return head


def main():
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    host = urllib.parse.urlparse(endpoint).netloc
    now = datetime.datetime.now(datetime.timezone.utc)
    head = signed(host, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], now)
    with urllib.request.urlopen(urllib.request.Request(endpoint + "/", BODY, head), timeout=20) as answer:
        said = answer.read().decode()
    field = lambda name: re.search(f"<{name}>(.*?)</{name}>", said).group(1)
    names = {"id": "AccessKeyId", "secret": "SecretAccessKey", "token": "SessionToken", "until": "Expiration"}
    print(json.dumps({ours: field(name) for ours, name in names.items()}))


if __name__ == "__main__":
    main()
