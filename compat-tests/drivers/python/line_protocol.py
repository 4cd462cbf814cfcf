"""The line protocol of ../README.md: verbs in on stdin, answers out on stdout, for the Python drivers."""

import base64
import json
import sys


class VerbError(Exception):
    """An error to report with Kafka's error code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def encode(value):
    return None if value is None else base64.b64encode(bytes(value)).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


def serve(verbs, code_of):
    """Answers each verb by the method of that name; `code_of` finds Kafka's code in a library's exception."""
    for line in sys.stdin:
        request = json.loads(line)
        verb = request.pop("verb")
        try:
            answer = {"ok": getattr(verbs, verb)(**request)}
        except Exception as error:  # Every failure is an answer; the case decides what it means.
            code = error.code if isinstance(error, VerbError) else code_of(error)
            answer = {"error": {"code": code, "message": f"{type(error).__name__}: {error}"}}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
