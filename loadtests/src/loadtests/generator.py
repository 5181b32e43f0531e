"""python -m loadtests.generator: one Locust run, in a process of its own because gevent rewires everything in it."""

import argparse
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from grpc.experimental.gevent import init_gevent
from locust import LoadTestShape, User
from locust.env import Environment

from loadtests.callers import Callers
from loadtests.profiles import Profile, Stage, read_profile
from loadtests.recording import ERROR, OK, REFUSED, Observation, Record, writing
from loadtests.users import Refused, user_classes

_GRACE_SECONDS = 15


def main() -> None:
    """Run one profile against one target and record every request."""
    parser = argparse.ArgumentParser(prog="loadtests.generator")
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--recording", type=Path, required=True)
    parser.add_argument("--ca", type=Path, help="certificate that signs for a door with TLS")
    parser.add_argument("--tokens", type=Path, help="file of tokens, one a line; each caller takes the next one")
    parser.add_argument("--arm", default="", help="arm of an experiment that every second caller asks for")
    arguments = parser.parse_args()
    init_gevent()
    profile = read_profile(arguments.profile)
    callers = Callers.read(arguments.ca, arguments.tokens, arguments.arm)
    classes = user_classes(profile, callers, http_url=arguments.host, grpc_address=arguments.grpc)
    with writing(arguments.recording) as record:
        run(profile, classes, record)


def run(profile: Profile, classes: list[type[User]], record: Record) -> None:
    """Let the users ask until all stages have passed, or SIGTERM comes; what they asked is answered first."""
    shape = ProfileShape(profile)
    environment = Environment(user_classes=classes, shape_class=shape, stop_timeout=_GRACE_SECONDS)
    environment.events.request.add_listener(_listener(shape, record))
    runner = environment.create_local_runner()
    gevent.signal_handler(signal.SIGTERM, shape.end)
    runner.start_shape()
    with gevent.Timeout(profile.seconds + _GRACE_SECONDS, False):
        runner.shape_greenlet.join()
    runner.quit()


class ProfileShape(LoadTestShape):  # type: ignore[misc]
    """Follows the stages of a profile."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self._profile = profile
        self._last = profile.stages[-1]
        self._ended = False

    def end(self) -> None:
        """Let no further stage begin, nor this one go on."""
        self._ended = True

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there shall be now, and how fast they come; None ends the run."""
        stage = self._profile.stage_at(self.get_run_time())
        return (stage.users, stage.users_per_second) if stage and not self._ended else None

    def stage(self, ago: float) -> Stage:
        """Return the stage in which a request began that took `ago` seconds."""
        return self._profile.stage_at(max(0.0, self.get_run_time() - ago)) or self._last


def _listener(shape: ProfileShape, record: Record) -> Callable[..., None]:
    began = time.perf_counter()

    def on_request(*, name: str, response_time: float, exception: Exception | None = None, **_: Any) -> None:
        stage = shape.stage(response_time / 1000)
        outcome = OK if exception is None else REFUSED if isinstance(exception, Refused) else ERROR
        seconds = time.perf_counter() - began
        detail = "" if exception is None else str(exception)
        record(Observation(seconds, stage.name, stage.judged, name, response_time, outcome, detail))

    return on_request


if __name__ == "__main__":
    main()
