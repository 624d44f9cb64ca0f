"""Service account tokens: checks the JWT that a client signs with the key of its service account (RS256, RFC 7515).

Clients of Google Cloud Storage send such a token as the bearer, so a wrong key, a wrong clock or a forgotten header
shows here as it would there. Scopes and permissions are not looked at.
"""

import base64
import hashlib
import hmac
import json
import time

# DER of DigestInfo for SHA-256, before the 32 bytes of the hash (RFC 8017, 9.2)
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
EXPONENT = 65537


def decode(part):
    """Base64url without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def signed_by(modulus, message, signature):
    """RSASSA-PKCS1-v1_5 with SHA-256."""
    size = (modulus.bit_length() + 7) // 8
    if len(signature) != size:
        return False
    seen = pow(int.from_bytes(signature, "big"), EXPONENT, modulus).to_bytes(size, "big")
    tail = SHA256_PREFIX + hashlib.sha256(message).digest()
    return hmac.compare_digest(seen, b"\x00\x01" + b"\xff" * (size - len(tail) - 3) + b"\x00" + tail)


def why_refused(header, modulus, issuer):
    """None when the value of an Authorization header is good; else the reason."""
    if not header or not header.startswith("Bearer "):
        return "no bearer token"
    try:
        head, claims, signature = header[len("Bearer ") :].split(".")
        if json.loads(decode(head)).get("alg") != "RS256":
            return "the token is not RS256"
        if not signed_by(modulus, f"{head}.{claims}".encode(), decode(signature)):
            return "the token's signature is wrong"
        claims = json.loads(decode(claims))
    except ValueError:
        return "the token is no JWT"
    if claims.get("iss") != issuer:
        return "the token is of another account"
    now = time.time()
    if not claims.get("iat", now + 3600) - 300 <= now < claims.get("exp", 0):
        return "the token is expired or not yet valid"
    return None
