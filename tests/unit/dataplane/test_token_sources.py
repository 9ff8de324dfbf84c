"""The vendors' libraries behind references: each finds its secret where operators put it, and tells no part of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from services.dataplane.token_sources import AwsSource, AzureSource, GoogleSource, source_of
from services.dataplane.tokens import MintFailed
from tests.support.token_servers import TokenServer, running_token_server, service_account


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with running_token_server() as found:
        yield found


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cloud is configured on this machine, and nobody looks for one on the network."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


def test_references_name_their_sources() -> None:
    assert isinstance(source_of("aws:default"), AwsSource)
    assert isinstance(source_of("aws:profile/prod"), AwsSource)
    assert isinstance(source_of("google:default"), GoogleSource)
    assert isinstance(source_of("google:file:/key.json"), GoogleSource)
    assert isinstance(source_of("azure:default"), AzureSource)
    for other in ("env:KEY", "file:/key", "azure:else", ""):
        assert source_of(other) is None


def test_amazons_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret/+=")
    assert AwsSource().mint().secret == "AKIDEXAMPLE:secret/+="
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token==")
    minted = AwsSource().mint()
    assert minted.secret == "AKIDEXAMPLE:secret/+=:token=="
    assert minted.expires is None
    assert "secret" not in repr(minted)


def test_amazons_profiles_come_from_the_shared_file_and_are_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[prod]\naws_access_key_id = AKIDPROD\naws_secret_access_key = one\n")
    source = AwsSource("prod")
    assert source.mint().secret == "AKIDPROD:one"
    path.write_text("[prod]\naws_access_key_id = AKIDPROD\naws_secret_access_key = two\n")
    assert source.mint().secret == "AKIDPROD:two"
    with pytest.raises(MintFailed, match=r"^Amazon's chain finds no keys on this machine$"):
        AwsSource().mint()
    with pytest.raises(MintFailed, match=r"^Amazon's chain failed \(ProfileNotFound\)$"):
        AwsSource("other").mint()


def test_amazons_keys_of_a_program_tell_when_they_expire(tmp_path: Path) -> None:
    program = tmp_path / "keys"
    program.write_text(
        "#!/bin/sh\n"
        'echo \'{"Version": 1, "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t", '
        '"Expiration": "2100-01-01T00:00:00Z"}\'\n'
    )
    program.chmod(0o755)
    (tmp_path / "config").write_text(f"[profile sso]\ncredential_process = {program}\n")
    minted = AwsSource("sso").mint()
    assert minted.secret == "ASIA1:s:t"
    assert minted.expires == 4_102_444_800.0


def test_googles_service_account_gets_its_token_from_the_address_in_its_file(
    tmp_path: Path, server: TokenServer
) -> None:
    source = GoogleSource(str(service_account(tmp_path, server.url)))
    minted = source.mint()
    assert minted.secret == "token-1"
    assert minted.expires is not None
    assert 3_500 < minted.expires - time.time() < 3_700
    assert server.asked[0]["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert source.mint().secret == "token-2"


def test_googles_default_credentials_are_found_where_google_says(
    tmp_path: Path, server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, server.url)))
    assert GoogleSource().mint().secret == "token-1"


def test_what_google_refuses_is_told_without_what_was_sent(tmp_path: Path, server: TokenServer) -> None:
    server.status = 400
    with pytest.raises(MintFailed, match=r"^Google gave no token \(RefreshError\)$"):
        GoogleSource(str(service_account(tmp_path, server.url))).mint()


def test_googles_key_file_may_be_missing_or_another_file(tmp_path: Path) -> None:
    with pytest.raises(MintFailed, match=r"^the key file cannot be read$"):
        GoogleSource(str(tmp_path / "none.json")).mint()
    path = tmp_path / "other.json"
    path.write_text('{"type": "else", "secret": "canary"}')
    with pytest.raises(MintFailed, match=r"^(the key file is no key of a service account|Google gave no token .*)$"):
        GoogleSource(str(path)).mint()


def test_without_googles_default_credentials_there_is_no_token() -> None:
    with pytest.raises(MintFailed, match=r"^Google gave no token \(DefaultCredentialsError\)$"):
        GoogleSource().mint()


class FakeAzure:
    """A credential of Azure's library."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.scopes: list[str] = []

    def get_token(self, *scopes: str) -> Any:
        self.scopes.extend(scopes)
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(token=f"entra-{len(self.scopes)}", expires_on=4_102_444_800)


def test_azures_token_is_asked_for_its_ai_services_by_one_credential() -> None:
    credential = FakeAzure()
    made: list[FakeAzure] = []
    source = AzureSource(lambda: made.append(credential) or credential)
    assert source.mint().secret == "entra-1"
    assert source.mint().secret == "entra-2"
    assert source.mint().expires == 4_102_444_800
    assert made == [credential]
    assert set(credential.scopes) == {"https://cognitiveservices.azure.com/.default"}


def test_what_azure_refuses_is_told_without_its_words() -> None:
    source = AzureSource(lambda: FakeAzure(ClientAuthenticationError("the canary was refused")))
    with pytest.raises(MintFailed, match=r"^Azure gave no token \(ClientAuthenticationError\)$"):
        source.mint()


def test_azures_default_chain_is_the_librarys() -> None:
    from azure.identity import DefaultAzureCredential

    source = AzureSource()
    assert isinstance(source._make(), DefaultAzureCredential)
