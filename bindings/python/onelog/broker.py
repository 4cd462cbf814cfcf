"""One broker: a process of the ``onelog`` binary, started, asked, stopped.

The process ends with the one that started it, whatever ends that, and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any, Iterable, Mapping, Optional, Union


class BrokerError(RuntimeError):
    """The broker cannot be found, did not start, or refused a control request; says why."""


class TestBroker:
    """A broker of its own for a test, on a free port with its data in memory. A context manager, or ``start`` and ``stop``.

    ``topics`` are made at the start, each ``NAME[:PARTITIONS]``. ``overrides`` are keys of Kafka's ``server.properties``.
    ``test_mode`` serves the control API, for ``control`` and ``reset``. ``binary`` wins over ``ONELOG_BIN`` and ``PATH``.
    """

    __test__ = False  # pytest collects classes by their name

    def __init__(
        self,
        topics: Iterable[str] = (),
        overrides: Optional[Mapping[str, object]] = None,
        test_mode: bool = False,
        binary: Optional[Union[str, Path]] = None,
        start_timeout: float = 30.0,
    ) -> None:
        self._topics = list(topics)
        self._overrides = dict(overrides or {})
        self._test_mode = test_mode
        self._binary = binary
        self._start_timeout = start_timeout
        self._process: Optional[subprocess.Popen] = None
        self._log: Optional[IO[bytes]] = None
        self._address: Optional[str] = None
        self._admin: Optional[str] = None

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients."""
        if self._address is None:
            raise BrokerError("the broker is not running: call start() or use it in a with statement")
        return self._address

    def log(self) -> str:
        """What the broker has said so far."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def control(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None) -> dict[str, Any]:
        """Asks the control API, for example ``control("GET", "/test/requests?key=produce")``; its answer.

        Raises ``BrokerError`` with the broker's sentence when it refuses, or when the broker was not started with ``test_mode=True``.
        """
        if self._admin is None:
            raise BrokerError("the control API is not served: start the broker with test_mode=True")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self._admin}{path}", data, method=method)
        # Without the proxies of the environment: the broker is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise BrokerError(f"{method} {path}: {json.load(error)['error']}") from None

    def reset(self, keep_topics: Iterable[str] = ()) -> dict[str, Any]:
        """Makes the broker as if it had just been started empty, but for ``keep_topics``; says what went."""
        return self.control("POST", "/test/reset", {"keep_topics": list(keep_topics)})

    def start(self) -> TestBroker:
        """Starts the broker; when this returns it serves. Raises ``BrokerError`` with the broker's own words."""
        if self._process is not None:
            raise BrokerError("the broker is running already")
        binary = str(self._binary or find_binary())
        # The folder goes as soon as the broker serves, so that nothing can leave it behind; the log stays readable.
        with tempfile.TemporaryDirectory(prefix="onelog-") as folder:
            ready, log = Path(folder, "ready"), Path(folder, "log")
            with open(log, "wb") as output:
                try:
                    # A session of its own: Ctrl-C at the terminal is for the tests, which then stop the broker.
                    self._process = subprocess.Popen(
                        self._command(binary, ready),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=output,
                        env={name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")},
                        start_new_session=True,
                    )
                except OSError as error:
                    raise BrokerError(f"{binary} cannot be started: {error}") from error
            self._log = open(log, "rb")
            try:
                self._address, *more = self._wait_until_ready(binary, ready)
                admin = [line.removeprefix("admin ") for line in more if line.startswith("admin ")]
                self._admin = admin[0] if admin and self._test_mode else None
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stops the broker and waits until it is gone. Harmless when it does not run."""
        process, self._process, self._address, self._admin = self._process, None, None, None
        if process is not None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> TestBroker:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _command(self, binary: str, ready: Path) -> list[str]:
        command = [binary, "dev", "--ready-file", str(ready)]
        if self._topics:
            command += ["--topics", ",".join(self._topics)]
        if self._test_mode:
            command.append("--test-mode")
        for key, value in self._overrides.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ["--override", f"{key}={text}"]
        return command

    def _wait_until_ready(self, binary: str, ready: Path) -> list[str]:
        deadline = time.monotonic() + self._start_timeout
        while not ready.exists():
            status = self._process.poll()
            if status is not None:
                raise BrokerError(f"{binary} ended at its start with status {status}:\n{self.log()}")
            if time.monotonic() > deadline:
                raise BrokerError(f"{binary} does not serve after {self._start_timeout:g} s:\n{self.log()}")
            time.sleep(0.002)
        return ready.read_text().splitlines()


def find_binary() -> str:
    """The binary that ``ONELOG_BIN`` names, else ``onelog`` in ``PATH``."""
    named = os.environ.get("ONELOG_BIN")
    if named:
        if not os.access(named, os.X_OK):
            raise BrokerError(f"ONELOG_BIN is {named}, which is no program")
        return named
    found = shutil.which("onelog")
    if found is None:
        raise BrokerError(
            "no onelog binary: set ONELOG_BIN to its path, or put `onelog` in a folder of PATH "
            "(build it with `cargo build --release --bin onelog`)"
        )
    return found
