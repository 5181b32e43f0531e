from pathlib import Path

import pytest

from loadtests.profiles import BadProfile, Profile, read_profile

PROFILES = Path(__file__).parents[1] / "profiles"
GOOD = """
description: A few callers
requests_per_user_second: 2
mix: {rest.predict: 1, grpc.infer: 3}
stages:
  - {name: warm-up, users: 2, users_per_second: 2, seconds: 5, judged: false}
  - {name: busy, users: 9, users_per_second: 3, seconds: 10}
"""


def written(folder: Path, text: str) -> Profile:
    path = folder / "some.yaml"
    path.write_text(text)
    return read_profile(path)


@pytest.mark.requirement("LOAD-002")
@pytest.mark.parametrize("name", ["smoke", "steady", "ramp", "spike", "soak"])
def test_the_committed_profiles_are_valid_and_end_by_themselves(name: str) -> None:
    profile = read_profile(PROFILES / f"{name}.yaml")
    assert profile.stage_at(profile.seconds - 0.01) == profile.stages[-1]
    assert profile.stage_at(profile.seconds) is None


@pytest.mark.requirement("LOAD-002")
def test_smoke_takes_at_most_thirty_seconds() -> None:
    assert read_profile(PROFILES / "smoke.yaml").seconds <= 30


def test_stages_follow_each_other(tmp_path: Path) -> None:
    profile = written(tmp_path, GOOD)
    assert [stage.name if (stage := profile.stage_at(second)) else None for second in (0, 4.9, 5, 14.9, 15)] == [
        "warm-up",
        "warm-up",
        "busy",
        "busy",
        None,
    ]


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadProfile, match=r"no profile 'nonsense'.*ramp, smoke, soak, spike, steady"):
        read_profile(PROFILES / "nonsense.yaml")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("grpc.infer: 3", "grpc.guess: 3", "unknown kind 'grpc.guess'"),
        ("seconds: 10", "seconds: 0", "stage 'busy'"),
        ("users: 9", "users: 9, colour: red", "colour"),
        ("requests_per_user_second: 2", "requests_per_user_second: -1", "must be positive"),
        ("rest.predict: 1, grpc.infer: 3", "rest.predict: 0", "one must be positive"),
        ("description: A few callers", "summary: A few callers", "description"),
        ("users_per_second: 3, seconds: 10", "users_per_second: 3, seconds: 10, judged: false", "no stage is judged"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_mistake(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(BadProfile, match=complaint):
        written(tmp_path, GOOD.replace(old, new))
