"""Predictions as rows: compact on disk, exact on the way back."""

import math
import struct
from collections.abc import Iterable, Sequence

from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade, StageTimings
from google.protobuf.timestamp_pb2 import Timestamp

from monitoring.sources import Source

MICROSECONDS = 1_000_000
MINUTE = 60 * MICROSECONDS

# Counts of latency fall into four buckets per doubling: a percentile read from them is within 10 %.
_BUCKETS_PER_DOUBLING = 4

PredictionRow = tuple[bytes, int, int, str, float | None, int, int, bytes | None, int, int, int, bytes, bytes]

PREDICTION_COLUMNS = (
    "id, made_at, model_id, label, confidence, spec_id, caller_kind, trace_id,"
    " preprocessing_us, inference_us, total_us, probabilities, features"
)


def to_row(prediction: PredictionMade, model_id: int, spec_id: int) -> PredictionRow:
    """Return the columns of PREDICTION_COLUMNS for a valid prediction."""
    timings = prediction.timings
    probabilities: Sequence[float] = prediction.probabilities[:]
    return (
        id_to_bytes(prediction.prediction_id),
        to_microseconds(prediction.made_at),
        model_id,
        prediction.label,
        max(probabilities) if probabilities else None,
        spec_id,
        prediction.caller_kind,
        bytes.fromhex(prediction.trace_id) or None,
        int(timings.preprocessing_ms * 1000),
        int(timings.inference_ms * 1000),
        int(timings.total_ms * 1000),
        pack_floats(probabilities),
        pack_floats(prediction.features[:]),
    )


def from_row(row: PredictionRow, source: Source, spec: tuple[str, str]) -> PredictionMade:
    """Return the prediction that `to_row` stored."""
    trace_id = row[7]
    return PredictionMade(
        prediction_id=id_from_bytes(row[0]),
        made_at=from_microseconds(row[1]),
        model=source.model,
        feature_spec=spec[0],
        feature_spec_digest=spec[1],
        label=row[3],
        probabilities=unpack_floats(row[11]),
        features=unpack_floats(row[12]),
        timings=StageTimings(preprocessing_ms=row[8] / 1000, inference_ms=row[9] / 1000, total_ms=row[10] / 1000),
        trace_id=trace_id.hex() if trace_id else "",
        caller_kind=row[6],  # type: ignore[arg-type]
        experiment=source.experiment,
        arm=source.arm,
        revision=source.revision,
    )


def feedback_from_row(prediction_id: bytes, label: str, source: str, given_at: int) -> FeedbackGiven:
    """Return stored feedback as the event it came as."""
    return FeedbackGiven(
        prediction_id=id_from_bytes(prediction_id), label=label, source=source, given_at=from_microseconds(given_at)
    )


def id_to_bytes(prediction_id: str) -> bytes:
    """Return the 16 bytes of a UUID."""
    return bytes.fromhex(prediction_id.replace("-", ""))


def id_from_bytes(identifier: bytes) -> str:
    """Return the canonical text of a UUID."""
    text = identifier.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def to_microseconds(timestamp: Timestamp) -> int:
    """Return microseconds since 1970."""
    return timestamp.seconds * MICROSECONDS + timestamp.nanos // 1000


def from_microseconds(microseconds: int) -> Timestamp:
    """Return the timestamp of microseconds since 1970."""
    seconds, rest = divmod(microseconds, MICROSECONDS)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def pack_floats(values: Sequence[float]) -> bytes:
    """Return little-endian float32, which is what the event carried."""
    return struct.pack(f"<{len(values)}f", *values)


def unpack_floats(packed: bytes) -> Iterable[float]:
    """Return the numbers of `pack_floats`."""
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def latency_bucket(microseconds: int) -> int:
    """Return the bucket that a latency counts in."""
    return int(_BUCKETS_PER_DOUBLING * math.log2(microseconds)) if microseconds > 1 else 0


def bucket_bounds(bucket: int) -> tuple[float, float]:
    """Return the microseconds between which a bucket counts."""
    return 2 ** (bucket / _BUCKETS_PER_DOUBLING), 2 ** ((bucket + 1) / _BUCKETS_PER_DOUBLING)
