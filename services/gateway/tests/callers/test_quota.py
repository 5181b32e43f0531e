"""A quota for each caller: exact, bounded, and fair."""

from typing import Any

import pytest
from fairlead.gateway.v1 import gateway_pb2 as pb
from gateway.callers.quota import Quota
from gateway_kit.calls import Call
from gateway_kit.issuer import Authorized
from gateway_kit.whole import OpenGateway
from google.rpc import error_details_pb2, status_pb2
from service_runtime.errors import QuotaExceeded


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def served(quota: Quota, key: str, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            quota.charge(key)
        except QuotaExceeded:
            continue
        count += 1
    return count


@pytest.mark.requirement("CALLERS-006")
def test_a_caller_has_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    quota = Quota(10, 5, clock=clock)
    assert served(quota, "ann", 100) == 5
    clock.now = 0.2
    assert served(quota, "ann", 100) == 2
    clock.now = 100
    assert served(quota, "ann", 100) == 5, "silence saves up no more than the burst"


@pytest.mark.requirement("CALLERS-006")
def test_over_time_a_flood_is_served_at_its_rate_whatever_it_sends() -> None:
    clock = Clock()
    quota = Quota(10, 5, clock=clock)
    count = 0
    for step in range(10_000):
        clock.now = step / 1000
        count += served(quota, "ann", 1)
    assert count == pytest.approx(5 + 10 * 10, abs=1)


@pytest.mark.requirement("CALLERS-006")
def test_the_time_to_wait_is_true() -> None:
    clock = Clock()
    quota = Quota(4, 1, clock=clock)
    quota.charge("ann")
    refusal = quota.refusal("ann")
    assert refusal is not None
    assert refusal.retry_after == pytest.approx(0.25)
    assert quota.any_empty
    clock.now = 0.25
    assert quota.refusal("ann") is None
    assert not quota.any_empty


@pytest.mark.requirement("CALLERS-006")
def test_the_memory_for_callers_is_bounded_and_a_busy_one_is_not_forgotten() -> None:
    clock = Clock()
    quota = Quota(1, 2, max_callers=100, clock=clock)
    served(quota, "flood", 10)
    for number in range(10_000):
        quota.charge(f"passer-by {number}")
        if number % 50 == 0:
            clock.now += 1
            assert served(quota, "flood", 10) <= 1
    assert len(quota._full_at) == 100


QUOTA = {"quota_per_second": 0.01, "quota_burst": 3}


@pytest.mark.requirement("CALLERS-006")
async def test_who_floods_is_refused_and_the_others_are_served(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], authorized: Authorized, call: Call
) -> None:
    flood, other = (authorized("predict", subject=name) for name in ("flood", "other"))
    async with open_gateway(**with_tokens, **QUOTA) as gateway:
        codes = [(await call(gateway, flood)).code for _ in range(3)]
        assert codes == ["OK"] * 3
        for _ in range(3):
            assert over_quota(await call(gateway, flood))
            assert (await call(gateway, other)).code == "OK"
        worked = len(gateway.neighbours.heard)
        assert over_quota(await call(gateway, flood))
        assert len(gateway.neighbours.heard) == worked, "nothing was started"


def over_quota(answer: Any) -> bool:
    """Say whether an answer of any call tells of the quota; a stream tells of it in its messages."""

    if answer.code == "OK":
        return any(b"quota" in message for message in answer.body) and "quota" in str(
            pb.PredictStreamResponse.FromString(answer.body[0])
        )
    return bool(answer.code == "RESOURCE_EXHAUSTED")


@pytest.mark.requirement("CALLERS-007")
async def test_over_quota_is_429_with_a_time_and_resource_exhausted_with_retry_info(
    open_gateway: OpenGateway, calls: dict[str, Call]
) -> None:
    async with open_gateway(quota_per_second=0.01, quota_burst=1) as gateway:
        assert (await calls["native REST"](gateway, {})).code == "OK"
        rest = await gateway.http.post("/v1/models/digits:predict", content=b"x")
        rpc = await calls["native gRPC"](gateway, {})
    assert (rest.status_code, rest.json()["code"], rest.json()["retryable"]) == (429, "RESOURCE_EXHAUSTED", True)
    assert 90 <= int(rest.headers["retry-after"]) <= 100
    assert rpc.code == "RESOURCE_EXHAUSTED"
    [detail] = status_pb2.Status.FromString(rpc.headers["grpc-status-details-bin"]).details
    retry = error_details_pb2.RetryInfo()
    assert detail.Unpack(retry)
    assert 90 <= retry.retry_delay.seconds <= 100
    assert gateway.turned_away("quota") == 2


@pytest.mark.requirement("CALLERS-006")
async def test_only_work_is_charged(open_gateway: OpenGateway, calls: dict[str, Call]) -> None:
    async with open_gateway(quota_per_second=0.01, quota_burst=1) as gateway:
        for _ in range(5):
            assert (await gateway.rest("GET", "/v2/health/ready", {})).code == "OK"
            assert (await gateway.rest("GET", "/v1/models/digits", {})).code == "OK"
            assert (await gateway.rpc("/inference.GRPCInferenceService/ServerLive", {})).code == "OK"
        assert (await calls["OIP REST"](gateway, {})).code == "OK"


@pytest.mark.requirement("CALLERS-006")
@pytest.mark.parametrize(("header", "ben"), [("", "RESOURCE_EXHAUSTED"), ("x-caller", "OK")])
async def test_callers_without_a_token_are_told_apart_by_what_a_proxy_says_if_one_is_trusted(
    open_gateway: OpenGateway, calls: dict[str, Call], header: str, ben: str
) -> None:
    async with open_gateway(quota_per_second=0.01, quota_burst=1, caller_header=header) as gateway:
        assert (await calls["native REST"](gateway, {"x-caller": "ann"})).code == "OK"
        assert (await calls["native gRPC"](gateway, {"x-caller": "ann"})).code == "RESOURCE_EXHAUSTED"
        assert (await calls["native gRPC"](gateway, {"x-caller": "ben"})).code == ben


@pytest.mark.requirement("CALLERS-006")
async def test_a_subject_is_nobody_else_whatever_header_it_sends(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], authorized: Authorized, predict: Call
) -> None:
    headers = authorized("predict")
    settings = {**with_tokens, "quota_per_second": 0.01, "quota_burst": 1, "caller_header": "x-caller"}
    async with open_gateway(**settings) as gateway:
        assert (await predict(gateway, {**headers, "x-caller": "1"})).code == "OK"
        assert (await predict(gateway, {**headers, "x-caller": "2"})).code == "RESOURCE_EXHAUSTED"


@pytest.mark.requirement("CALLERS-007")
async def test_who_may_not_do_it_at_all_hears_that_and_not_of_a_quota(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], authorized: Authorized, predict: Call
) -> None:
    other = authorized("feedback")
    async with open_gateway(**with_tokens, quota_per_second=0.01, quota_burst=1) as gateway:
        assert (await predict(gateway, other)).code == "PERMISSION_DENIED"
        assert (await predict(gateway, authorized("predict"))).code == "OK"
        assert (await predict(gateway, authorized("predict"))).code == "RESOURCE_EXHAUSTED"
        assert (await predict(gateway, other)).code == "PERMISSION_DENIED"
