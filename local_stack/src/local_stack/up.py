"""make up: prepare, start, show one answer, stay."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import NoReturn

from local_stack.first_picture import PICTURE, Answer, NoAnswer, ask_grpc, ask_rest, shades, wait_until_recorded
from local_stack.log_files import LogFollower
from local_stack.ports import laptop_ports
from local_stack.run_folder import RunFolder
from local_stack.service_process import ServiceDied
from local_stack.settings import ROOT, StackSettings
from local_stack.stack import Stack
from local_stack.terminal import Progress, paint, readable
from local_stack.triton_environment import prepare_triton

_FOLLOW_SECONDS = 0.2
_START_SECONDS = 120


def up(folder: RunFolder, settings: StackSettings) -> int:
    """Run everything until Ctrl-C, SIGTERM or the end of a service; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    progress = Progress()
    with folder.held():
        ports = laptop_ports(settings.port_offset)
        try:
            prepare_triton(progress, settings.environment, folder.path / "prepare.log")
        except KeyboardInterrupt:
            return 130
        shutil.rmtree(folder.path / "logs", ignore_errors=True)
        environment = {**settings.environment, **_git_commits()}
        return _serve(Stack(folder.path, ports=ports, environment=environment), folder, progress)


def detach(folder: RunFolder) -> int:
    """Run `up` in the background, relay what it prints until it answers, and return."""
    folder.path.mkdir(parents=True, exist_ok=True)
    log = folder.path / "up.log"
    log.unlink(missing_ok=True)
    with log.open("wb") as output:
        background = subprocess.Popen(
            [sys.executable, "-m", "local_stack", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    follower = LogFollower({"up": log}, from_end=False)
    try:
        while True:
            ended = background.poll()
            state = folder.state()
            answered = state.get("answered") and state.get("pid") == background.pid  # another may run here already
            for _, line in follower.new_lines():
                print(line, flush=True)
            if ended is not None or answered:
                return ended or 0
            time.sleep(_FOLLOW_SECONDS)
    except KeyboardInterrupt:
        background.terminate()
        return background.wait()


def _serve(stack: Stack, folder: RunFolder, progress: Progress) -> int:
    try:
        stack.start(
            timeout=_START_SECONDS,
            on_ready=lambda name: progress.done(f"{name} is ready"),
            on_wait=lambda obstacles: progress.waiting(_waiting_text(obstacles)),
        )
        answer = _show_the_chain(stack, progress)
        progress.say(_summary(stack, answer))
        folder.announce(
            answered=True,
            url=stack.http_url,
            grpc=stack.grpc_address,
            monitoring=stack.monitoring_url,
            ports=stack.ports,
        )
        _follow(stack)
    except KeyboardInterrupt:
        progress.say("\nStopping. (Again Ctrl-C: at once)")
        return 0
    except (ServiceDied, NoAnswer) as failure:
        progress.say(f"\n{paint('Fairlead stops:', 31)} {failure}")
        return 1
    finally:
        signal.signal(signal.SIGINT, lambda *_: stack.kill())
        stack.stop()
        progress.say("All services have stopped.")


def _show_the_chain(stack: Stack, progress: Progress) -> Answer:
    rest = ask_rest(stack.http_url)
    progress.done(f"REST answered {rest.label!r} for {PICTURE.name}")
    over_grpc = ask_grpc(stack.grpc_address)
    progress.done(f"gRPC answered {over_grpc.label!r} for {PICTURE.name}")
    wait_until_recorded(stack.monitoring_url, (rest, over_grpc))
    progress.done("monitoring has recorded both")
    return rest


def _follow(stack: Stack) -> NoReturn:
    """Show what the services log from now on; ends by Ctrl-C or a ServiceDied."""
    follower = LogFollower({name: service.log for name, service in stack.services.items()})
    while True:
        for name, line in follower.new_lines():
            print(readable(name, line), flush=True)
        stack.raise_if_dead()
        time.sleep(_FOLLOW_SECONDS)


def _waiting_text(obstacles: Mapping[str, Mapping[str, str]]) -> str:
    return "; ".join(f"{name}: {', '.join(found.values())}" for name, found in obstacles.items())


def _summary(stack: Stack, answer: Answer) -> str:
    facts = [
        f"label       {paint(answer.label, 32)}",
        f"confidence  {answer.confidence:.1%}",
        f"model       digits version {answer.version}",
        f"digest      {answer.digest}",
        f"took        {answer.total_ms:.1f} ms ({answer.preprocessing_ms:.1f} ms preprocessing)",
        f"trace       {answer.trace_id}",
    ]
    picture = shades(answer.features)
    rows = [f"  {paint(left, 7)}   {right}" for left, right in zip(picture, facts + [""] * 8, strict=False)]
    return "\n".join(
        [
            "",
            "A picture of a seven went through the whole chain. What the model saw, and its answer:",
            "",
            *rows,
            "",
            f"  Draw a digit   {stack.http_url}/",
            f"  API            {stack.http_url}/docs",
            f"  Monitoring     {stack.monitoring_url}/",
            f"  gRPC           {stack.grpc_address}, by reflection",
            "",
            "  Stop: Ctrl-C, or make down     Logs: make logs",
            "",
        ]
    )


def _git_commits() -> dict[str, str]:
    """Tell each service the commit that it runs from, when this is a git checkout."""
    asked = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = asked.stdout.strip()
    services = ("GATEWAY", "PREPROCESSING", "INFERENCE", "MONITORING")
    return {f"{service}_GIT_COMMIT": commit for service in services} if commit else {}


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
