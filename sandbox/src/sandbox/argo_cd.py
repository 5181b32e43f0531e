"""Argo CD in the sandbox: upstream's manifests with our patches, after the one key that must be there before them."""

import base64
import json
import secrets

from sandbox.kubectl import Kubectl

NAMESPACE = "argocd"
_SECRET = "argocd-secret"  # noqa: S105 - its name
_KEY_BYTES = 32


def install(kubectl: Kubectl, manifests: str) -> None:
    """Apply it, or what changed of it."""
    kubectl.apply(f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n")
    # Argo CD's server makes this key when it first starts. An ApplicationSet controller that starts earlier finds none,
    # and then takes no webhooks until it is restarted.
    if not kubectl.run("get", f"secret/{_SECRET}", f"--namespace={NAMESPACE}", "--ignore-not-found", "--output=name"):
        kubectl.run("create", "--filename=-", text=_session_key())
    before = _parameters(kubectl)
    kubectl.apply(manifests, namespace=NAMESPACE)
    if before not in {"", _parameters(kubectl)}:
        # Its programs read them only when they start.
        kubectl.run("rollout", "restart", "deployment,statefulset", f"--namespace={NAMESPACE}")


def look_at_git(kubectl: Kubectl) -> None:
    """Let ApplicationSets look at git now: one that looked before anybody answered says so for three minutes."""
    refresh = "argocd.argoproj.io/application-set-refresh=true"
    kubectl.run("annotate", "applicationsets", "--all", "--overwrite", f"--namespace={NAMESPACE}", refresh)


def _session_key() -> str:
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    labels = {"app.kubernetes.io/name": _SECRET, "app.kubernetes.io/part-of": "argocd"}
    metadata = {"name": _SECRET, "namespace": NAMESPACE, "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"server.secretkey": key}}
    return json.dumps(secret)


def _parameters(kubectl: Kubectl) -> str:
    where = ("configmap", "argocd-cmd-params-cm", f"--namespace={NAMESPACE}")
    return kubectl.run("get", *where, "--ignore-not-found", "--output=jsonpath={.data}")
