#!/usr/bin/env python3
"""An identity provider for tests of web identities: what a cluster's own (EKS, GitHub) shows to STS, and a token of it.

usage: oidc.py FOLDER     (ends when its standard input does)

Makes an RSA key, puts a signed token into FOLDER/token (good for an hour) and one of another key into FOLDER/forged,
prints {"url": ..., "role": ...} and serves the discovery document and the public key on 127.0.0.1. The role is the one
that MinIO makes for this client. Not shown: sign-in, revocation, keys that change. Python's standard library and openssl.
"""

import base64
import hashlib
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time

CLIENT = "mapfold-tests"  # the same as in parts/s3.sh
LASTS = 3600  # seconds
EXPONENT = b"\x01\x00\x01"


def encode(data):
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def new_key(path):
    """Makes a key; gives its modulus."""
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(path))
    modulus = openssl("rsa", "-in", str(path), "-noout", "-modulus").decode().strip()
    return bytes.fromhex(modulus.removeprefix("Modulus="))


def token(path, issuer):
    """A token of the client, signed with the key in this file (RS256, RFC 7515)."""
    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT", "kid": "1"}
    claims = {"iss": issuer, "aud": CLIENT, "sub": "job", "iat": now, "exp": now + LASTS}
    message = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
    return f"{message}.{encode(openssl('dgst', '-sha256', '-sign', str(path), data=message.encode()))}"


def main(folder):
    pages = {}

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode() if body else b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    issuer = f"http://127.0.0.1:{server.server_port}"
    modulus = new_key(folder / "key.pem")
    new_key(folder / "other.pem")
    key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": encode(modulus), "e": encode(EXPONENT)}
    pages["/keys"] = {"keys": [key]}
    pages["/.well-known/openid-configuration"] = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
    (folder / "token").write_text(token(folder / "key.pem", issuer))
    (folder / "forged").write_text(token(folder / "other.pem", issuer))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    role = f"arn:minio:iam:::role/{encode(hashlib.sha1(CLIENT.encode()).digest())}"
    print(json.dumps({"url": f"{issuer}/.well-known/openid-configuration", "role": role}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
