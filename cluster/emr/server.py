"""Amazon EMR on the loopback: moto's, with the calls that it lacks.

Moto keeps clusters, instance groups and steps in memory, under the names and in the shapes of Amazon's own model of the
API. Added here: signatures (version 4) and the names and types of parameters are checked by the code and the model of
Amazon's own client; PutAutoTerminationPolicy, GetAutoTerminationPolicy and CancelSteps; a door for tests below /_test/.

What it does not prove: no machine is started and no step is run (a test runs a step's command itself and then says how
it ended); idle clusters stay; permissions, quotas, instance types, releases and roles are taken as they come; a cluster
is ready at once; times that Amazon takes. Requests are understood as moto's authors did.
"""

import argparse
import hashlib
import hmac
import io
import json
import os
import pathlib
import threading

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session
from botocore.validate import ParamValidator
from moto.core import DEFAULT_ACCOUNT_ID
from moto.emr.models import emr_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

SERVICE = "elasticmapreduce"
SHORTEST, LONGEST = 60, 7 * 24 * 3600


class Refusal(Exception):
    """An error as EMR writes it."""

    def __init__(self, kind, message, status=400):
        super().__init__(message)
        self.kind, self.message, self.status = kind, message, status

    def response(self):
        body = json.dumps({"__type": self.kind, "message": self.message})
        return Response(body, self.status, content_type="application/x-amz-json-1.1")


class Signed:
    """The parts of an Authorization header: who, where, what was signed."""

    def __init__(self, request):
        header = request.headers.get("Authorization", "")
        if not header.startswith("AWS4-HMAC-SHA256 "):
            raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
        fields = dict(part.strip().split("=", 1) for part in header.split(" ", 1)[1].split(","))
        self.key, _, self.region, self.service, _ = fields["Credential"].split("/")
        self.headers, self.signature = fields["SignedHeaders"].split(";"), fields["Signature"]

    def check(self, request, body, keys):
        secret = keys().get(self.key)
        if secret is None:
            raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        hashed = hashlib.sha256(body).hexdigest()
        if request.headers.get("X-Amz-Content-SHA256", hashed) != hashed:
            raise Refusal("InvalidSignatureException", "The body is not what was signed.")
        kept = {name: request.headers[name] for name in self.headers}
        again = AWSRequest("POST", url=f"http://{request.headers['Host']}/", data=body, headers=kept)
        again.context["timestamp"] = request.headers["X-Amz-Date"]
        signer = SigV4Auth(Credentials(self.key, secret), self.service, self.region)
        expected = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
        if self.service != SERVICE or not hmac.compare_digest(expected, self.signature):
            # Amazon goes on with the whole request, secrets included.
            text = "The request signature we calculated does not match the signature you provided.\n\n" + repr(kept)
            raise Refusal("InvalidSignatureException", text)


class Emr:
    """The application: signatures, our calls, the door; all else is moto's."""

    def __init__(self, moto, keys):
        self.moto, self.keys, self.lock = moto, keys, threading.Lock()
        self.calls, self.refusals, self.policies = [], [], {}
        self.model = Session().get_service_model("emr")
        self.own = {
            "PutAutoTerminationPolicy": self.put_policy,
            "GetAutoTerminationPolicy": self.get_policy,
            "CancelSteps": self.cancel_steps,
        }

    def __call__(self, environ, start):
        request = Request(environ)
        if request.path == "/_health":
            return Response("ok")(environ, start)
        body = request.get_data()
        environ["wsgi.input"] = io.BytesIO(body)
        if request.path.startswith("/_test/"):
            return self.door(request.path[7:], body)(environ, start)
        try:
            answer = self.answer(request, body, environ)
        except Refusal as refusal:
            answer = refusal.response()
        return self.moto(environ, start) if answer is None else answer(environ, start)

    def answer(self, request, body, environ):
        """Our own answer, or None for moto's."""
        signed = Signed(request)
        signed.check(request, body, self.keys)
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        asked = json.loads(body)
        self.check(action, asked)
        with self.lock:
            self.calls.append({"action": action, "region": signed.region, "body": asked})
            for refusal in self.refusals:
                if refusal["action"] == action and refusal["text"] in body.decode():
                    raise Refusal(refusal["type"], refusal["message"], refusal.get("status", 400))
        # Moto finds the region of a call in the name of its host.
        environ["HTTP_HOST"] = f"{SERVICE}.{signed.region}.amazonaws.com"
        own = self.own.get(action)
        if own is None:
            return None
        said = own(emr_backends[DEFAULT_ACCOUNT_ID][signed.region], asked)
        return Response(json.dumps(said), content_type="application/x-amz-json-1.1")

    def check(self, action, asked):
        if action not in self.model.operation_names:
            raise Refusal("UnknownOperationException", action)
        report = ParamValidator().validate(asked, self.model.operation_model(action).input_shape)
        if report.has_errors():
            raise Refusal("ValidationException", report.generate_report())

    @staticmethod
    def cluster(backend, asked):
        name = asked.get("ClusterId")
        if name not in backend.clusters:
            raise Refusal("InvalidRequestException", f"Cluster id '{name}' is not valid.")
        return backend.clusters[name]

    def put_policy(self, backend, asked):
        idle = asked["AutoTerminationPolicy"]["IdleTimeout"]
        if not SHORTEST <= idle <= LONGEST:
            raise Refusal("ValidationException", f"IdleTimeout must be from {SHORTEST} to {LONGEST}")
        self.policies[self.cluster(backend, asked).id] = {"IdleTimeout": idle}
        return {}

    def get_policy(self, backend, asked):
        policy = self.policies.get(self.cluster(backend, asked).id)
        return {"AutoTerminationPolicy": policy} if policy else {}

    def cancel_steps(self, backend, asked):
        wanted = set(asked.get("StepIds", []))
        said = []
        for step in self.cluster(backend, asked).steps:
            if step.id in wanted:
                fits = step.state in ("PENDING", "RUNNING")
                step.state = "CANCELLED" if fits else step.state
                said.append({"StepId": step.id, "Status": "SUBMITTED" if fits else "FAILED"})
        return {"CancelStepsInfoList": said}

    def door(self, name, body):
        """What only tests ask: calls (all that were made), refuse (from now on), step (how one is)."""
        asked = json.loads(body or b"{}")
        with self.lock:
            if name == "refuse":
                self.refusals.append(asked)
            elif name == "step":
                self.set_step(asked)
            elif name != "calls":
                return Response("no such door", 404)
            return Response(json.dumps(self.calls), content_type="application/json")

    @staticmethod
    def set_step(asked):
        for backend in emr_backends[DEFAULT_ACCOUNT_ID].values():
            for cluster in backend.clusters.values():
                for step in cluster.steps:
                    if step.id == asked["step"]:
                        step.state = asked["state"]


def keys_of(folder):
    """The keys of the part s3, as they are now: one client has one pair."""

    def keys():
        try:
            return {(folder / "user").read_text(): (folder / "password").read_text()}
        except FileNotFoundError:
            return {}

    return keys


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", type=pathlib.Path, required=True)
    words = parser.parse_args()
    os.environ["MOTO_PORT"] = str(words.port)
    app = Emr(DomainDispatcherApplication(create_backend_app), keys_of(words.keys))
    run_simple("127.0.0.1", words.port, app, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
