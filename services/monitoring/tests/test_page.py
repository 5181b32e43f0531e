"""The page's JSON and files; that a browser draws them is the browser test's business."""

import re
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import pytest

pytestmark = pytest.mark.component

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64


def asked(path: str, monitoring: Any, **query: Any) -> str:
    return f"{path}?{urlencode({'model': monitoring.model, 'window': '1h', **query})}"


@pytest.fixture
async def judged(monitoring: Any, made: Any, feedback: Any) -> Any:
    """The shared service with three predictions of an old digest and two of a new one, all with feedback."""
    predictions = [*(made(ago=600 + each, digest=OLD) for each in range(3)), *(made(digest=NEW) for _ in range(2))]
    await monitoring.record(*predictions)
    for prediction, label in zip(predictions, ["7", "7", "1", "7", "9"], strict=True):
        await monitoring.give(feedback(prediction.prediction_id, label, source="page"))
    return monitoring


@pytest.mark.requirement("MONITORING-018")
async def test_the_overview_holds_everything_that_the_page_draws(judged: Any) -> None:
    status, _, overview = judged.page(asked("/api/overview", judged))
    assert status == 200
    assert sum(count for _, count in overview["traffic"]) == 5
    assert overview["class_mix"] == [{"label": "7", "predictions": 5}]
    for stage, typical in (("preprocessing", 1.5), ("inference", 2.25), ("total", 4.125)):
        assert overview["latency"][stage]["p50"] == pytest.approx(typical, rel=0.1)
        assert overview["latency"][stage]["over_time"]
    assert (overview["accuracy"]["successes"], overview["accuracy"]["trials"]) == (3, 5)
    assert sum(point["trials"] for point in overview["accuracy_over_time"]) == 5
    assert {(each["actual"], each["predicted"]): each["count"] for each in overview["confusion"]} == {
        ("1", "7"): 1,
        ("7", "7"): 3,
        ("9", "7"): 1,
    }
    assert [each["label"] for each in overview["classes"]] == ["1", "7", "9"]
    (calibration,) = overview["calibration"]
    assert (calibration["count"], calibration["accuracy"]) == (5, 0.6)
    own = [each["digest"] for each in overview["models"] if each["name"] == judged.model]
    assert sorted(own) == [OLD, NEW]


@pytest.mark.requirement("MONITORING-018")
async def test_a_digest_and_a_window_narrow_the_overview(judged: Any) -> None:
    _, _, overview = judged.page(asked("/api/overview", judged, digest=OLD))
    assert (overview["accuracy"]["successes"], overview["accuracy"]["trials"]) == (2, 3)
    assert sum(count for _, count in overview["traffic"]) == 3
    _, _, overview = judged.page(asked("/api/overview", judged, digest=OLD, window="15m"))
    assert overview["accuracy"]["trials"] == 3
    _, _, overview = judged.page(asked("/api/overview", judged, digest=NEW, window="15m"))
    assert overview["accuracy"]["trials"] == 2


@pytest.mark.requirement("MONITORING-032")
async def test_figures_are_split_by_digest_revision_and_arm(monitoring: Any, made: Any, feedback: Any) -> None:
    """The arms of two experiments bear the same names and are kept apart."""
    sides: list[tuple[dict[str, str], list[str | None]]] = [
        ({"digest": OLD, "revision": "r1", "experiment": "colours", "arm": "control"}, ["7", "7", "1"]),
        ({"digest": NEW, "revision": "r2", "experiment": "colours", "arm": "treatment"}, ["7"]),
        ({"digest": NEW, "revision": "r2", "experiment": "shapes", "arm": "control"}, ["1"]),
        ({"digest": NEW, "revision": "r2"}, [None]),
    ]
    for fields, labels in sides:
        for label in labels:
            prediction = made(**fields)
            await monitoring.record(prediction)
            if label:
                await monitoring.give(feedback(prediction.prediction_id, label))
    _, _, overview = monitoring.page(asked("/api/overview", monitoring))
    found = {
        part: [
            (each["value"], each["predictions"], each["accuracy"]["successes"], each["accuracy"]["trials"])
            for each in split
        ]
        for part, split in overview["splits"].items()
    }
    assert found == {
        "digest": [(NEW, 3, 1, 2), (OLD, 3, 2, 3)],
        "revision": [("r2", 3, 1, 2), ("r1", 3, 2, 3)],
        "arm": [
            ("", 1, 0, 0),
            ("colours/control", 3, 2, 3),
            ("colours/treatment", 1, 1, 1),
            ("shapes/control", 1, 0, 1),
        ],
    }
    (_, control, _, _) = overview["splits"]["arm"]
    assert (control["accuracy"]["lower"], control["accuracy"]["upper"]) == pytest.approx((0.2077, 0.9385), abs=1e-4)

    _, _, narrowed = monitoring.page(asked("/api/overview", monitoring, revision="r2", arm="shapes/control"))
    assert (narrowed["accuracy"]["successes"], narrowed["accuracy"]["trials"]) == (0, 1)
    assert sum(count for _, count in narrowed["traffic"]) == 1
    _, _, mistakes = monitoring.page(asked("/api/predictions", monitoring, mistakes="true", arm="colours/control"))
    assert [each["revision"] for each in mistakes["predictions"]] == ["r1"]


@pytest.mark.requirement("MONITORING-038")
async def test_shares_and_accuracy_are_told_over_time_for_the_newest_and_all_others(
    monitoring: Any, made: Any, feedback: Any
) -> None:
    for number in range(6):
        prediction = made(digest=OLD if number < 2 else NEW, revision=f"r{number}")
        await monitoring.record(prediction)
        await monitoring.give(feedback(prediction.prediction_id, "7" if number else "1"))
    _, _, overview = monitoring.page(asked("/api/overview", monitoring))
    by_digest, by_revision = overview["over_time"]["digest"], overview["over_time"]["revision"]
    assert [each["value"] for each in by_digest] == [OLD, NEW]
    assert [sum(count for _, count in each["traffic"]) for each in by_digest] == [2, 4]
    assert sum(each["successes"] for each in by_digest[0]["accuracy"]) == 1
    assert all(0 <= each["lower"] <= each["value"] <= each["upper"] <= 1 for each in by_digest[1]["accuracy"])
    assert [each["value"] for each in by_revision] == ["r2", "r3", "r4", "r5", ""], "the newest four, then all others"
    assert sum(count for _, count in by_revision[-1]["traffic"]) == 2
    assert overview["over_time"]["arm"] == []


@pytest.mark.requirement("MONITORING-039")
async def test_the_newest_is_judged_beside_whoever_else_answers_most(monitoring: Any, made: Any, feedback: Any) -> None:
    predictions = [made(digest=NEW if number in (3, 5) else OLD) for number in range(8)]
    await monitoring.record(*predictions)
    for prediction in predictions:
        await monitoring.give(feedback(prediction.prediction_id, "7"))
    _, _, found = monitoring.page(asked("/api/side-by-side", monitoring))
    assert (list(found["accuracy"]), found["shadows"]) == (["digest"], [])
    judged = found["accuracy"]["digest"]
    assert (judged["stable"]["name"], judged["canary"]["name"], judged["verdict"]) == (OLD, NEW, "inconclusive")
    assert judged["trail"][-1] == [2, judged["evidence"]["abort"], judged["evidence"]["promote"]]


@pytest.mark.requirement("MONITORING-018")
async def test_mistakes_come_with_what_the_model_saw_page_by_page(judged: Any, made: Any) -> None:
    _, _, first = judged.page(asked("/api/predictions", judged, mistakes="true", page_size=1))
    _, _, second = judged.page(
        asked("/api/predictions", judged, mistakes="true", page_size=1, page_token=first["next_page_token"])
    )
    (newest,), (older,) = first["predictions"], second["predictions"]
    assert (newest["label"], newest["actual"], newest["model"]["digest"]) == ("7", "9", NEW)
    assert (older["label"], older["actual"], older["model"]["digest"]) == ("7", "1", OLD)
    assert newest["features"] == list(made().features)
    assert (newest["caller"], newest["source"]) == ("rest", "page")
    assert second["next_page_token"] == ""


async def test_an_empty_database_is_no_error(start_monitoring: Any) -> None:
    monitoring = start_monitoring()
    status, _, overview = monitoring.page("/api/overview")
    assert (status, overview["models"], overview["traffic"], overview["model"]) == (200, [], [], "")
    assert monitoring.page("/api/predictions")[2] == {"predictions": [], "next_page_token": ""}


@pytest.mark.requirement("MONITORING-020")
@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/overview?window=2h", 400, "window"),
        ("/api/overview?model=nobody", 404, None),
        ("/api/overview?digest=sha256:00", 404, None),
        ("/api/overview?arm=nowhere/blue", 404, None),
        ("/api/predictions?page_size=0", 400, "page_size"),
        ("/api/predictions?page_size=%C2%B2", 400, "page_size"),
        ("/api/predictions?page_size=0000000019999999", 400, "page_size"),
        ("/api/predictions?page_token=%27%20OR%201=1", 400, "page_token"),
    ],
)
async def test_a_wrong_question_is_answered_with_what_is_allowed(
    judged: Any, path: str, status: int, field: str | None
) -> None:
    answered, headers, problem = judged.page(path)
    assert (answered, headers["content-type"]) == (status, "application/problem+json")
    assert problem["detail"]
    assert [each["field"] for each in problem["violations"]] == ([field] if field else [])


@pytest.mark.requirement("MONITORING-019")
@pytest.mark.parametrize("path", ["/", "/assets/style.css", "/api/overview", "/api/overview?window=never", "/nothing"])
async def test_every_answer_forbids_foreign_and_inline_content(monitoring: Any, path: str) -> None:
    _, headers, _ = monitoring.page(path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.requirement("MONITORING-019")
async def test_the_page_refers_to_its_own_files_only_and_all_of_them_are_there(monitoring: Any) -> None:
    _, _, html = monitoring.page("/")
    references = re.findall(r'(?:src|href)="(/assets/[^"]+)"', html)
    assert len(set(references)) == 3
    assert not re.search(r"<script[^>]*>[^<]", html), "no inline script"
    assert not re.search(r"\son\w+=|\sstyle=", html), "no inline handler or style"
    for reference in {*references, "/assets/charts.js"}:
        status, headers, _ = monitoring.page(reference)
        assert (status, headers["cache-control"]) == (200, "no-cache")
    for file in files("monitoring").joinpath("static").iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1:8080", "")
        assert not re.search(r"https?://", text), f"{file.name} refers to another host"
