"""What monitoring says of a canary, as whoever promotes it would ask."""

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

from storykit.cluster import Cluster

_TIMEOUT_S = 10.0


def arms_judged(cluster: Cluster, experiment: str, *, since: str) -> Any:
    """Return how the arms of an experiment compare since a moment: accuracy of both, with intervals."""
    sides = {"stable": f"{experiment}/control", "canary": f"{experiment}/treatment"}
    return _asked(cluster, "accuracy", by="arm", since=since, **sides)


def shadow_judged(cluster: Cluster, stable: str, shadow: str) -> Any:
    """Return how often a shadow did not answer as stable did, up to the verdict."""
    return _asked(cluster, "disagreement", stable=stable, canary=shadow)


def _asked(cluster: Cluster, judgement: str, **query: str) -> Any:
    path = f"/v1/judgements/{judgement}?{urlencode(query)}"
    with (
        cluster.forward("statefulset/monitoring", 8081) as url,
        urllib.request.urlopen(url + path, timeout=_TIMEOUT_S) as answer,
    ):
        return json.load(answer)
