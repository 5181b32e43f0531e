"""What the sandbox's certificate authority signs, judged by Python's own TLS."""

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sandbox.authority import Authority, Certificate, names, remaining

HOST = "edge.example.test"
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca.pem", tmp_path / "keys" / "authority.pem")


def shake_hands(certificate: Certificate, trusted: Path, host: str, folder: Path) -> str:
    """Return why a client would not talk to a server; empty when it would."""
    (folder / "server.pem").write_text(certificate.chain + certificate.key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.pem")
    asking = ssl.create_default_context(cafile=str(trusted))
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            try:
                serving.wrap_socket(theirs, server_side=True).close()
            except OSError:
                return  # the client has left

    server = threading.Thread(target=serve)
    server.start()
    try:
        with ours, asking.wrap_socket(ours, server_hostname=host):
            return ""
    except ssl.SSLCertVerificationError as refusal:
        return refusal.verify_message
    finally:
        server.join()


@pytest.mark.requirement("EDGE-007")
@pytest.mark.parametrize("host", [HOST, "127.0.0.1"])
def test_who_knows_the_authority_trusts_its_servers_by_name_and_address(
    authority: Authority, host: str, tmp_path: Path
) -> None:
    certificate = authority.issue([HOST, "127.0.0.1"], DAY)
    assert shake_hands(certificate, authority.certificate, host, tmp_path) == ""
    assert names(certificate.chain) == [HOST, "127.0.0.1"]
    assert timedelta(hours=23) < remaining(certificate.chain) <= DAY


@pytest.mark.requirement("EDGE-007")
def test_another_name_another_authority_and_an_old_certificate_are_not_trusted(
    authority: Authority, tmp_path: Path
) -> None:
    certificate = authority.issue([HOST], DAY)
    assert "Hostname mismatch" in shake_hands(certificate, authority.certificate, "other.example.test", tmp_path)
    stranger = Authority(tmp_path / "stranger.pem", tmp_path / "keys" / "stranger.pem")
    foreign = stranger.issue([HOST], DAY)
    assert "unable to get local issuer" in shake_hands(foreign, authority.certificate, HOST, tmp_path)
    old = authority.issue([HOST], -timedelta(minutes=1))
    assert "expired" in shake_hands(old, authority.certificate, HOST, tmp_path)


@pytest.mark.requirement("EDGE-007")
def test_the_authority_stays_the_same_and_nobody_else_reads_its_key(authority: Authority, tmp_path: Path) -> None:
    first = authority.issue([HOST], DAY)
    trusted = authority.certificate.read_text()
    again = Authority(authority.certificate, authority.key).issue([HOST], DAY)
    assert authority.certificate.read_text() == trusted
    assert again.key != first.key
    assert authority.key.stat().st_mode & 0o777 == 0o600
    assert authority.key.parent.stat().st_mode & 0o777 == 0o700
