"""What log lines look like to a person."""

from pathlib import Path

from local_stack.first_picture import shades
from local_stack.log_files import LogFollower
from local_stack.terminal import readable


def test_a_json_line_becomes_level_event_and_keys() -> None:
    line = (
        '{"event":"grpc.listening","level":"info","port":9000,"service":"gateway","timestamp":"2026-11-21T14:00:00Z"}'
    )
    assert readable("gateway", line) == "gateway      | info    grpc.listening port=9000"


def test_what_a_caller_sent_cannot_steer_the_terminal() -> None:
    line = '{"event":"http.request_failed","level":"error","path":"/\\u001b[2J"}'
    assert readable("gateway", line) == "gateway      | error   http.request_failed path='/\\x1b[2J'"


def test_any_other_line_is_kept_as_it_is() -> None:
    assert readable("inference", "I1121 started grpc_server") == "inference    | I1121 started grpc_server"
    assert readable("inference", '{"odd": 1}') == 'inference    | {"odd": 1}'


def test_a_follower_yields_whole_lines_once(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text("old\n")
    follower = LogFollower({"gateway": log})
    with log.open("a") as writer:
        writer.write("one\ntw")
        writer.flush()
        assert list(follower.new_lines()) == [("gateway", "one")]
        writer.write("o\n")
        writer.flush()
        assert list(follower.new_lines()) == [("gateway", "two")]


def test_a_follower_starts_anew_with_a_new_log(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text("a long line of the last run\n")
    follower = LogFollower({"gateway": log})
    log.write_text("new\n")
    assert list(follower.new_lines()) == [("gateway", "new")]


def test_features_become_eight_lines_of_shades() -> None:
    picture = shades([0.0] * 56 + [16.0] * 8)
    assert picture == ["                "] * 7 + ["████████████████"]
