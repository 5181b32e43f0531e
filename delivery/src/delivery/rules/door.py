"""Rules for the door: TLS alone, where the facts say, for tokens of the issuer that they name."""

from collections.abc import Iterator

from delivery.declarations import EDGE
from delivery.environments import App
from delivery.manifests import Manifest, dig, of_kind
from delivery.rules.effective import effective_settings

Said = Iterator[tuple[Manifest, str]]

CERTIFICATE = "edge-tls"
ARM_HEADER = "x-experiment-arm"
_API = "gateway.networking.k8s.io"
_TYPE = "networking.istio.io/service-type"
_MODERN = {"TLSV1_2", "TLSV1_3"}


def there_is_one_door(app: App) -> Said:
    """What callers may use is behind a Gateway, and nothing else of an application has one."""
    doors = [each for each in of_kind(app.objects, "Gateway") if each.group == _API]
    open_to_callers = any(EDGE in port.open_to for port in app.service.ports)
    if len(doors) != open_to_callers:
        yield app.objects[0], f"has {len(doors)} Gateways; by service.yaml it needs {int(open_to_callers)}"


def door_is_where_facts_say(app: App) -> Said:
    """Callers come in where the facts of the cluster say; a port of every node is open only where they say so."""
    wanted = app.facts.door
    for each in _doors(app):
        if (found := each.annotations.get(_TYPE)) != wanted:
            yield each, f"makes a Service of type {found}; in {app.facts.environment} it is {wanted} (facts: door)"
        options = each.at("spec", "infrastructure", "parametersRef", "name")
        for overlay in (each for each in of_kind(app.objects, "ConfigMap") if each.name == options):
            if wanted != "NodePort" and "nodePort" in overlay.at("data", "service", default=""):
                yield overlay, f"opens a port of every node; the door is of type {wanted} (facts: door)"


def door_speaks_tls(app: App) -> Said:
    """No caller sends a token in plain text, or by a protocol that was broken."""
    for each in _doors(app):
        for listener in each.at("spec", "listeners", default=[]):
            names = [row["name"] for row in listener.get("tls", {}).get("certificateRefs", [])]
            if listener["protocol"] != "HTTPS" or names != [CERTIFICATE]:
                yield each, f"listener {listener['name']} must be HTTPS, with the certificate of Secret {CERTIFICATE}"
    wanted = f"kubernetes-gateway://{app.facts.namespace}/{CERTIFICATE}"
    for each in of_kind(app.objects, "Gateway"):
        for server in each.at("spec", "servers", default=[]):
            tls = server.get("tls", {})
            if tls.get("mode") != "SIMPLE" or tls.get("credentialName") != wanted:
                yield each, f"must be of tls.mode SIMPLE with credentialName {wanted}"
            if tls.get("minProtocolVersion") not in _MODERN:
                yield each, "set tls.minProtocolVersion: TLSV1_2 or TLSV1_3"
    for each in of_kind(app.objects, "Certificate"):
        if each.at("spec", "secretName") != CERTIFICATE or each.at("spec", "dnsNames") != [app.facts.host]:
            yield each, f"must be for {app.facts.host} (facts: host), into Secret {CERTIFICATE}"


def door_takes_the_tokens_of_the_facts(app: App) -> Said:
    """The edge and the gateway ask for the same tokens: of the facts' issuer, for this environment."""
    if not list(_doors(app)):
        return
    facts = app.facts
    keys = {"issuer": facts.issuer, "jwksUri": facts.jwks, "audiences": [facts.audience]}
    rules = [{**keys, "forwardOriginalToken": True}]
    asked = list(of_kind(app.objects, "RequestAuthentication"))
    if not asked:
        yield app.objects[0], "its door asks nobody for a token: add a RequestAuthentication"
    for each in asked:
        if each.at("spec", "jwtRules") != rules:
            yield each, f"jwtRules must be {rules} (facts)"
    settings = effective_settings(app)
    if (settings.issuer, settings.jwks, settings.audience) != (facts.issuer, facts.jwks, facts.audience):
        yield app.objects[0], "GATEWAY_ISSUER, GATEWAY_JWKS and GATEWAY_AUDIENCE must be those of the facts"


def strangers_choose_no_arm(app: App) -> Said:
    """An arm that one may ask for is for who is in the mesh: from outside nobody sees what is only being tried."""
    if not list(_doors(app)) or not effective_settings(app).experiment_override:
        return
    for each in of_kind(app.objects, "VirtualService"):
        if set(each.at("spec", "gateways", default=["mesh"])) == {"mesh"}:
            continue
        for route in each.at("spec", "http", default=[]):
            leads_in = "delegate" in route or "route" in route
            if leads_in and ARM_HEADER not in dig(route, "headers", "request", "remove", default=[]):
                named = route.get("name", "without a name")
                yield each, f"route {named} must remove {ARM_HEADER}, which GATEWAY_EXPERIMENT_OVERRIDE obeys"


def _doors(app: App) -> Iterator[Manifest]:
    return (each for each in of_kind(app.objects, "Gateway") if each.group == _API)


DOOR = (
    there_is_one_door,
    door_is_where_facts_say,
    door_speaks_tls,
    door_takes_the_tokens_of_the_facts,
    strangers_choose_no_arm,
)
