"""Who gave an answer: a model, the revision that served it, and the arm of an experiment that the caller was in."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields

from fairlead.events.v1.events_pb2 import ModelRef, PredictionMade


@dataclass(frozen=True, slots=True)
class Source:
    """All that figures are split by; what was not given is empty."""

    name: str
    version: str
    digest: str
    revision: str = ""
    experiment: str = ""
    arm: str = ""

    @property
    def model(self) -> ModelRef:
        """The model by itself."""
        return ModelRef(name=self.name, version=self.version, digest=self.digest)


# The fields in their order.
Key = tuple[str, str, str, str, str, str]
COLUMNS = tuple(field.name for field in fields(Source))
# What the sources of one model are told apart by; two experiments may each have an arm of the same name.
PARTS: dict[str, Callable[[Source], str]] = {
    "digest": lambda source: source.digest,
    "revision": lambda source: source.revision,
    "arm": lambda source: f"{source.experiment}/{source.arm}" if source.experiment else "",
}


def key_of(prediction: PredictionMade) -> Key:
    """Return the fields of a prediction's source: as a tuple, for every prediction is looked up by it."""
    model = prediction.model
    return model.name, model.version, model.digest, prediction.revision, prediction.experiment, prediction.arm


def sources(connection: sqlite3.Connection, *, name: str = "", digest: str = "") -> dict[int, Source]:
    """Return the sources by id, all or those of a model's name and digest."""
    rows = connection.execute(
        f"SELECT id, {', '.join(COLUMNS)} FROM models WHERE ?1 IN ('', name) AND ?2 IN ('', digest)",  # noqa: S608 - our names
        (name, digest),
    )
    return {row[0]: Source(*row[1:]) for row in rows}


def source_id(connection: sqlite3.Connection, key: Key, *, began_at: int) -> int:
    """Return the id of a source; a new one is stored with when it began."""
    values = (*key, began_at)
    # An upsert that changes nothing returns the row that is there.
    row = connection.execute(
        f"""INSERT INTO models ({", ".join(COLUMNS)}, began_at, began_after)
            VALUES ({", ".join("?" * len(values))}, (SELECT coalesce(max(sequence), 0) FROM outcomes))
            ON CONFLICT DO UPDATE SET name = excluded.name RETURNING id""",  # noqa: S608 - our names
        values,
    ).fetchone()
    return int(row[0])
