"""What goes over the wire, and what comes of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.cli.errors import ApiError, ExchangeError, Instead
from holdfast.cli.settings import Settings, TlsSettings

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine


def settings(**given: object) -> Settings:
    return Settings(**{"token": "hvs.t", **given})  # type: ignore[arg-type]


def test_writes_are_put_lists_are_get_patches_are_merges(cli: CommandLine) -> None:
    client = cli.client(settings())
    for target in ("PUT secret/a", "GET secret?list=true", "PATCH secret/a", "DELETE secret/a?v=1", "GET secret/a"):
        cli.server.on(target)
    assert client.write("secret/a", {"x": 1}) is None
    assert client.list("secret") is None
    assert client.patch("secret/a", {"x": None}) is None
    assert client.delete("secret/a", [("v", "1")]) is None
    assert client.read("secret/a") is None
    assert [cli.server.sent(at)[:2] for at in range(5)] == [
        ("PUT", "secret/a"),
        ("GET", "secret?list=true"),
        ("PATCH", "secret/a"),
        ("DELETE", "secret/a?v=1"),
        ("GET", "secret/a"),
    ]
    assert cli.server.sent(0)[2] == {"x": 1}
    assert cli.server.header("Content-Type", 2) == "application/merge-patch+json"


def test_headers_of_every_request(cli: CommandLine) -> None:
    cli.server.on("GET secret/a")
    cli.client(settings()).read("secret/a")
    assert list(cli.server.requests[-1].headers) == [("X-Vault-Request", "true"), ("X-Vault-Token", "hvs.t")]
    cli.client(
        settings(token="", namespace="team/", wrap_ttl="5m0s", mfa=("a", "b"), policy_override=True, headers=(("X-Own", "1"),))
    ).read("secret/a")
    assert list(cli.server.requests[-1].headers) == [
        ("X-Vault-Namespace", "team/"),
        ("X-Vault-Policy-Override", "true"),
        ("X-Vault-Request", "true"),
        ("X-Vault-Wrap-TTL", "5m0s"),
        ("X-Vault-MFA", "a"),
        ("X-Vault-MFA", "b"),
        ("X-Own", "1"),
    ]


def test_wrapping_has_a_ttl_of_its_own(cli: CommandLine) -> None:
    cli.server.on("PUT sys/wrapping/wrap", {"wrap_info": {"token": "hvs.w", "ttl": 300}})
    cli.client(settings()).write("sys/wrapping/wrap", {"a": 1})
    assert cli.server.header("X-Vault-Wrap-TTL") == "5m"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("secret/a b?c", "https://127.0.0.1:8200/v1/secret/a%20b%3Fc"),
        ("secret/ü+$&,:;=@", "https://127.0.0.1:8200/v1/secret/%C3%BC+$&,:;=@"),
        ("sys/mounts/secret/", "https://127.0.0.1:8200/v1/sys/mounts/secret"),
        ("secret//x/../y", "https://127.0.0.1:8200/v1/secret/y"),
    ],
)
def test_paths_are_cleaned_and_encoded(cli: CommandLine, path: str, url: str) -> None:
    assert cli.client(settings()).read(path) is None
    assert cli.server.requests[-1].url == url


def test_the_addresses_own_path_is_kept(cli: CommandLine) -> None:
    cli.client(settings(address="https://proxy.example/vault/")).read("secret/a")
    assert cli.server.requests[-1].url == "https://proxy.example/vault/v1/secret/a"


def test_an_address_that_cannot_be_read(cli: CommandLine) -> None:
    with pytest.raises(ExchangeError, match="parse"):
        cli.client(settings(address="http://[::1")).read("secret/a")


def test_an_error_reads_as_in_vault(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}, status=403)
    with pytest.raises(ApiError) as caught:
        cli.client(settings()).read("secret/a")
    assert str(caught.value) == (
        "Error making API request.\n\nURL: GET https://127.0.0.1:8200/v1/secret/a\nCode: 403. Errors:\n\n"
        "* 1 error occurred:\n\t* permission denied\n\n"
    )


def test_an_error_that_is_not_json_is_shown_raw(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", b"<html>no</html>", status=502, headers={"x-vault-namespace": "team/"})
    with pytest.raises(ApiError) as caught:
        cli.client(settings()).read("secret/a")
    assert str(caught.value) == (
        "Error making API request.\n\nNamespace: team/\nURL: GET https://127.0.0.1:8200/v1/secret/a\nCode: 502. "
        "Raw Message:\n\n<html>no</html>"
    )


def test_a_404_with_data_is_an_answer_to_a_read_and_goes_with_the_error_of_a_write(cli: CommandLine) -> None:
    body = {"data": {"data": None, "metadata": {"version": 1}}}
    cli.server.on("GET secret/data/a", body, status=404)
    cli.server.on("PUT secret/data/a", body, status=404)
    client = cli.client(settings())
    secret = client.read("secret/data/a")
    assert secret is not None
    assert secret["data"] is None
    with pytest.raises(ApiError) as caught:
        client.write("secret/data/a", {})
    assert caught.value.secret is not None
    assert client.read("elsewhere") is None
    assert client.list("elsewhere") is None


def test_an_answer_without_the_envelope_is_data(cli: CommandLine) -> None:
    cli.server.on("GET sys/health", {"initialized": True, "sealed": False}, status=429)
    secret = cli.client(settings()).read("sys/health")
    assert secret is not None
    assert secret.data == {"initialized": True, "sealed": False}


def test_one_redirect_is_followed_with_method_and_body(cli: CommandLine) -> None:
    cli.server.on("PUT secret/a", status=307, body=b"", headers={"location": "https://active:8200/v1/secret/b"})
    cli.server.on("PUT secret/b", status=307, body=b"", headers={"location": "https://other:8200/v1/secret/c"})
    cli.client(settings()).write("secret/a", {"x": 1})
    assert [request.url for request in cli.server.requests] == ["https://127.0.0.1:8200/v1/secret/a", "https://active:8200/v1/secret/b"]
    assert cli.server.sent()[2] == {"x": 1}
    assert cli.server.header("X-Vault-Token") == "hvs.t"


def test_no_redirect_from_https_to_http_nor_when_told_not_to(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", status=307, body=b"", headers={"location": "http://active:8200/v1/secret/a"})
    with pytest.raises(ExchangeError, match="redirect would cause protocol downgrade"):
        cli.client(settings()).read("secret/a")
    cli.client(settings(redirects=False)).read("secret/a")
    assert len(cli.server.requests) == 2


@pytest.mark.parametrize(("status", "tries"), [(412, 3), (500, 3), (503, 3), (429, 3), (501, 1), (400, 1), (403, 1)])
def test_what_is_tried_again(cli: CommandLine, status: int, tries: int) -> None:
    cli.server.on("GET secret/a", {"errors": ["no"]}, status=status)
    with pytest.raises(ApiError):
        cli.client(settings(retries_max=2)).read("secret/a")
    assert len(cli.server.requests) == tries
    assert len(cli.slept) == tries - 1
    assert all(1.0 <= wait / at <= 1.5 for at, wait in enumerate(cli.slept, 1))


def test_a_retry_that_succeeds_and_none_by_default(cli: CommandLine) -> None:
    cli.server.on("GET secret/a", {"errors": ["not here yet"]}, status=412)
    cli.server.on("GET secret/a", {"data": {"x": 1}})
    assert cli.client(settings(retries_max=2)).read("secret/a") is not None
    cli.server.is_down = True
    with pytest.raises(ExchangeError, match="connection refused"):
        cli.client(settings()).read("secret/a")
    assert len(cli.server.requests) == 3


def test_a_token_that_cannot_be_a_header_is_not_sent(cli: CommandLine) -> None:
    with pytest.raises(ExchangeError, match="non-printable") as caught:
        cli.client(settings(token="hvs.\ncanary")).read("secret/a")
    assert "canary" not in str(caught.value)
    assert not cli.server.requests


def test_the_request_as_curl_without_the_token(cli: CommandLine) -> None:
    tls = TlsSettings(ca_cert="/my ca.pem", skip_verify=True)
    with pytest.raises(Instead) as caught:
        cli.client(settings(show_curl=True, tls=tls)).write("secret/a", {"x": "it's"})
    assert caught.value.text == (
        'curl --insecure -X PUT --cacert \'/my ca.pem\' -H "X-Vault-Request: true" -H "X-Vault-Token: $(holdfast print token)" '
        '-d \'{"x":"it\'"\'"\'s"}\' https://127.0.0.1:8200/v1/secret/a'
    )
    assert not cli.server.requests


@pytest.mark.parametrize(
    ("call", "capabilities"),
    [("read", '"read"'), ("list", '"list"'), ("delete", '"delete"')],
)
def test_the_request_as_a_policy(cli: CommandLine, call: str, capabilities: str) -> None:
    client = cli.client(settings(show_policy=True))
    with pytest.raises(Instead) as caught:
        getattr(client, call)("secret/a")
    assert caught.value.text == f'path "secret/a" {{\n  capabilities = [{capabilities}]\n}}'


def test_the_policy_of_a_write_that_needs_sudo(cli: CommandLine) -> None:
    with pytest.raises(Instead) as caught:
        cli.client(settings(show_policy=True)).write("sys/audit/file", {})
    assert caught.value.text == 'path "sys/audit/file" {\n  capabilities = ["create", "update", "sudo"]\n}'


def test_unwrapping_with_its_own_token_or_beside_another(cli: CommandLine) -> None:
    cli.server.on("PUT sys/wrapping/unwrap", {"data": {"x": 1}})
    cli.client(settings(token="")).unwrap("hvs.w")
    assert (cli.server.header("X-Vault-Token"), cli.server.sent()[2]) == ("hvs.w", None)
    cli.client(settings()).unwrap("hvs.w")
    assert (cli.server.header("X-Vault-Token"), cli.server.sent()[2]) == ("hvs.t", {"token": "hvs.w"})
    cli.client(settings()).unwrap("")
    assert (cli.server.header("X-Vault-Token"), cli.server.sent()[2]) == ("hvs.t", None)


@pytest.mark.parametrize("address", ["127.0.0.1:8200", "vault.example"])
def test_an_address_without_its_scheme(cli: CommandLine, address: str) -> None:
    result = cli(f"read -address={address} secret/a")
    why = "the address begins with neither http:// nor https:// nor unix://"
    assert (result.code, result.err) == (2, f'Error reading secret/a: parse "{address}": {why}\n')
    assert not cli.server.requests
