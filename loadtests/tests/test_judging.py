from pathlib import Path

import pytest
from loadtests.recording import ERROR, OK, REFUSED, Observation, read, writing
from loadtests.report import draw
from loadtests.slo import BadObjectives, judge, measure, percentile, read_thresholds
from loadtests.summary import summary

from loadtests.profiles import KINDS, read_profile

LOADTESTS = Path(__file__).parents[1]
PNG = b"\x89PNG\r\n\x1a\n"


def seen(milliseconds: float, outcome: str = OK, *, judged: bool = True, kind: str = "rest.predict") -> Observation:
    stage = "busy" if judged else "warm-up"
    return Observation(
        milliseconds / 100, stage, judged, kind, milliseconds, outcome, "" if outcome == OK else "status 500"
    )


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert percentile([7.0], 0.99) == 7
    assert percentile([], 0.5) is None


@pytest.mark.requirement("LOAD-003")
def test_quick_refusals_and_errors_do_not_flatter_the_latency() -> None:
    observations = [seen(100), seen(120), *[seen(1, REFUSED)] * 10, *[seen(1, ERROR)] * 10]
    assert measure(observations, "p50_ms") == 100


@pytest.mark.requirement("LOAD-003")
def test_a_refusal_costs_availability_and_an_error_costs_both() -> None:
    observations = [*[seen(1)] * 7, *[seen(1, REFUSED)] * 2, seen(1, ERROR)]
    assert measure(observations, "availability") == pytest.approx(0.7)
    assert measure(observations, "error_rate") == pytest.approx(0.1)


@pytest.mark.requirement("LOAD-003")
def test_the_warm_up_counts_for_no_threshold() -> None:
    (verdict,) = judge([seen(900, judged=False), seen(20)], {"rest.predict": {"p99_ms": 50}}, ["rest.predict"])
    assert verdict.measured == 20
    assert verdict.holds


@pytest.mark.requirement("LOAD-003")
def test_a_kind_that_was_never_answered_is_a_breach() -> None:
    verdicts = judge([], {"grpc.infer": {"p99_ms": 50, "error_rate": 0.1}}, ["grpc.infer"])
    assert [verdict.holds for verdict in verdicts] == [False, False]


def test_limits_are_met_exactly_at_the_limit() -> None:
    thresholds = {"rest.predict": {"p50_ms": 20, "availability": 0.5}}
    verdicts = judge([seen(20), seen(1, REFUSED)], thresholds, ["rest.predict"])
    assert all(verdict.holds for verdict in verdicts)


@pytest.mark.requirement("LOAD-002")
@pytest.mark.parametrize("path", sorted((LOADTESTS / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_kind_of_every_profile_has_an_objective(path: Path) -> None:
    thresholds = read_thresholds(LOADTESTS / "slo.yaml", path.stem)
    assert set(read_profile(path).mix) <= set(thresholds) <= set(KINDS)


def test_a_profile_may_ask_for_other_limits(tmp_path: Path) -> None:
    slo = tmp_path / "slo.yaml"
    slo.write_text("objectives: {grpc.infer: {p50_ms: 5, p99_ms: 9}}\nprofiles: {spike: {p99_ms: 99}}\n")
    assert read_thresholds(slo, "spike") == {"grpc.infer": {"p50_ms": 5, "p99_ms": 99}}
    assert read_thresholds(slo, "smoke") == {"grpc.infer": {"p50_ms": 5, "p99_ms": 9}}


def test_a_misspelt_objective_is_refused(tmp_path: Path) -> None:
    slo = tmp_path / "slo.yaml"
    slo.write_text("objectives: {grpc.infer: {p98_ms: 5}}\n")
    with pytest.raises(BadObjectives, match="p98_ms"):
        read_thresholds(slo, "smoke")


def test_a_recording_reads_as_it_was_written(tmp_path: Path) -> None:
    observations = [seen(12.5), seen(3, ERROR, judged=False)]
    with writing(tmp_path / "some.csv") as record:
        for each in observations:
            record(each)
    assert read(tmp_path / "some.csv") == observations


@pytest.mark.requirement("LOAD-003")
def test_the_summary_shows_limit_and_measurement_of_every_threshold_and_what_went_wrong() -> None:
    observations = [*[seen(20)] * 9, seen(1, ERROR)]
    thresholds = {"rest.predict": {"p50_ms": 25, "error_rate": 0.01}}
    text = summary(observations, judge(observations, thresholds, ["rest.predict"]))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "rest.predict p50_ms 25.0 ms 20.0 ms ok" in lines
    assert "rest.predict error_rate 1.00% 10.00% BREACH" in lines
    assert "1 x rest.predict error: status 500" in lines
    assert lines[-1] == "1 of 2 thresholds breached"


@pytest.mark.requirement("LOAD-004")
@pytest.mark.parametrize(
    "observations", [[], [seen(5), seen(9, REFUSED), seen(30, kind="grpc.infer")]], ids=["none", "some"]
)
def test_the_report_is_a_picture_even_of_nothing(tmp_path: Path, observations: list[Observation]) -> None:
    draw(observations, {"rest.predict": {"p50_ms": 25}}, title="some run", path=tmp_path / "some.png")
    assert (tmp_path / "some.png").read_bytes().startswith(PNG)
