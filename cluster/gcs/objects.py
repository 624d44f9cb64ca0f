"""Objects with generations, as Google Cloud Storage keeps them: the state of the double, without HTTP.

A body is a file, its description a JSON file beside it that appears by rename: what was acknowledged survives kill -9.
One lock makes check-and-commit one step, which is all that a generation precondition promises.
"""

import hashlib
import json
import os
import shutil
import threading
import time
import uuid

PIECE = 1 << 20
SMALLEST_PART = 5 << 20  # of every part but the last


class Refused(Exception):
    """An answer of the service: HTTP status, code, text."""

    def __init__(self, status, code, text):
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class Objects:
    """Buckets and what is in them. `key` is (bucket, name)."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        self.objects = {}
        self.uploads = {}
        self.buckets = set()
        self.generation = 0
        for sub in ("bodies", "uploads"):
            os.makedirs(os.path.join(folder, sub), exist_ok=True)
        self._load()

    def _load(self):
        bodies = os.path.join(self.folder, "bodies")
        for name in os.listdir(bodies):
            if name.endswith(".json"):
                with open(os.path.join(bodies, name), encoding="utf-8") as file:
                    meta = json.load(file)
                self._adopt(meta)
        kept = {meta["body"] for meta in self.objects.values()}
        for name in set(os.listdir(bodies)) - kept - {body + ".json" for body in kept}:
            os.unlink(os.path.join(bodies, name))  # never acknowledged, or replaced
        uploads = os.path.join(self.folder, "uploads")
        for upload in os.listdir(uploads):
            try:
                with open(os.path.join(uploads, upload, "upload.json"), encoding="utf-8") as file:
                    self.uploads[upload] = json.load(file)
            except FileNotFoundError:
                shutil.rmtree(os.path.join(uploads, upload))

    def _adopt(self, meta):
        key = (meta["bucket"], meta["name"])
        if key not in self.objects or self.objects[key]["generation"] < meta["generation"]:
            self.objects[key] = meta
        self.generation = max(self.generation, meta["generation"])

    def spool(self, stream, length):
        """Takes `length` bytes of a stream into a file; gives (path, size, MD5)."""
        path = os.path.join(self.folder, "bodies", uuid.uuid4().hex)
        digest, left = hashlib.md5(), length
        try:
            with open(path, "wb") as file:
                while left:
                    piece = stream.read(min(PIECE, left))
                    if not piece:
                        raise ConnectionError("the body ended early")
                    digest.update(piece)
                    file.write(piece)
                    left -= len(piece)
        except BaseException:
            os.unlink(path)
            raise
        return path, length, digest.hexdigest()

    def commit(self, key, body, attributes, match):
        """Makes a spooled body the object's newest generation, if `match` (None, or a generation; 0: absent) holds."""
        path, size, md5 = body
        with self.lock:
            if key[0] not in self.buckets:
                os.unlink(path)
                raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
            old = self.objects.get(key)
            if match is not None and match != (old["generation"] if old else 0):
                os.unlink(path)
                raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
            self.generation = max(self.generation + 1, time.time_ns() // 1000)
            meta = {"bucket": key[0], "name": key[1], "body": os.path.basename(path), "size": size, "md5": md5}
            meta.update(generation=self.generation, updated=time.time(), attributes=attributes)
            self._write(path + ".json", meta)
            self.objects[key] = meta
            if old:
                self._forget(old)
            return meta

    @staticmethod
    def _write(path, value):
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(value, file)
        os.rename(path + ".new", path)

    def _forget(self, meta):
        path = os.path.join(self.folder, "bodies", meta["body"])
        os.unlink(path + ".json")
        os.unlink(path)

    def find(self, key, generation=None):
        """The description of an object."""
        meta = self.objects.get(key)
        if key[0] not in self.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if meta is None or generation not in (None, meta["generation"]):
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return meta

    def open(self, key, generation=None):
        """(description, open body); the body stays readable when the object is replaced meanwhile."""
        with self.lock:
            meta = self.find(key, generation)
            return meta, open(os.path.join(self.folder, "bodies", meta["body"]), "rb")

    def delete(self, key, match=None):
        with self.lock:
            meta = self.find(key)
            if match not in (None, meta["generation"]):
                raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
            del self.objects[key]
            self._forget(meta)

    def copy(self, source, target, match):
        meta, body = self.open(source)
        with body:
            copied = self.spool(body, meta["size"])
        return self.commit(target, copied, meta["attributes"], match)

    def list(self, bucket, prefix="", delimiter="", after="", token="", most=1000):
        """(objects, common prefixes, token of the next page or None), in the order of UTF-8 bytes.

        `after` is a name; `token` is the last entry of a page, an object or a common prefix.
        """
        if bucket not in self.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        with self.lock:
            metas = [m for (b, name), m in self.objects.items() if b == bucket and name.startswith(prefix)]
        metas = [m for m in metas if m["name"].encode() > after.encode()]
        metas.sort(key=lambda m: m["name"].encode())
        found, prefixes, last = [], [], None
        for meta in metas:
            name = meta["name"]
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            entry = name if cut < 0 else name[: cut + len(delimiter)]
            if entry.encode() <= token.encode() or (prefixes and entry == prefixes[-1]):
                continue
            if len(found) + len(prefixes) == most:
                return found, prefixes, last
            (found.append(meta) if cut < 0 else prefixes.append(entry))
            last = entry
        return found, prefixes, None

    # ---- multipart uploads

    def begin(self, key, attributes):
        if key[0] not in self.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        upload = uuid.uuid4().hex
        meta = {"bucket": key[0], "name": key[1], "attributes": attributes, "begun": time.time(), "parts": {}}
        os.makedirs(os.path.join(self.folder, "uploads", upload))
        self._write(os.path.join(self.folder, "uploads", upload, "upload.json"), meta)
        with self.lock:
            self.uploads[upload] = meta
        return upload

    def _upload(self, key, upload):
        meta = self.uploads.get(upload)
        if meta is None or (meta["bucket"], meta["name"]) != key:
            raise Refused(404, "NoSuchUpload", "The requested upload was not found.")
        return meta

    def part(self, key, upload, number, body):
        path, size, md5 = body
        try:
            if not 1 <= number <= 10000:
                raise Refused(400, "InvalidArgument", "Part numbers go from 1 to 10000.")
            with self.lock:
                meta = self._upload(key, upload)
                os.rename(path, os.path.join(self.folder, "uploads", upload, str(number)))
                meta["parts"][str(number)] = {"size": size, "md5": md5}
                self._write(os.path.join(self.folder, "uploads", upload, "upload.json"), meta)
        except Refused:
            os.unlink(path)
            raise
        return md5

    def complete(self, key, upload, wanted):
        """`wanted`: [(number, MD5)], ascending. A second completion finds no upload, as with the service."""
        with self.lock:
            meta = self._upload(key, upload)
            self._check_parts(meta["parts"], wanted)
            del self.uploads[upload]
        folder = os.path.join(self.folder, "uploads", upload)
        path, whole, size = os.path.join(self.folder, "bodies", uuid.uuid4().hex), hashlib.md5(), 0
        with open(path, "wb") as out:
            for number, md5 in wanted:
                with open(os.path.join(folder, str(number)), "rb") as part:
                    shutil.copyfileobj(part, out, PIECE)
                whole.update(bytes.fromhex(md5))
                size += meta["parts"][str(number)]["size"]
        done = self.commit(key, (path, size, f"{whole.hexdigest()}-{len(wanted)}"), meta["attributes"], None)
        shutil.rmtree(folder)
        return done

    @staticmethod
    def _check_parts(parts, wanted):
        numbers = [number for number, _ in wanted]
        if not numbers or numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order, or is empty.")
        for number, md5 in wanted:
            part = parts.get(str(number))
            if part is None or part["md5"] != md5:
                raise Refused(400, "InvalidPart", f"Part {number} was not uploaded, or its ETag differs.")
            if part["size"] < SMALLEST_PART and number != numbers[-1]:
                raise Refused(400, "EntityTooSmall", f"Part {number} is smaller than 5 MiB and not the last.")

    def abort(self, key, upload):
        with self.lock:
            self._upload(key, upload)
            del self.uploads[upload]
        shutil.rmtree(os.path.join(self.folder, "uploads", upload))
