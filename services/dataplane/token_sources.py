"""Where minted secrets come from: Amazon's, Google's and Microsoft's own libraries, imported when first used.

| reference | secret |
|---|---|
| `aws:default`, `aws:profile/NAME` | `ACCESS_KEY:SECRET`, with `:SESSION_TOKEN` for those that expire |
| `google:default`, `google:file:/path` | an access token for Google Cloud |
| `azure:default` | an access token of Entra ID for Azure's AI services |

Messages name the kind of a failure and nothing that a library says: it may quote what was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from services.dataplane.tokens import Minted, Minter, MintFailed

_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"


def source_of(reference: str) -> Minter | None:
    """The source that `reference` names; None: it names none."""
    vendor, _, name = reference.partition(":")
    if vendor == "aws":
        return AwsSource(name.removeprefix("profile/") if name.startswith("profile/") else None)
    if vendor == "google":
        return GoogleSource(name.removeprefix("file:") if name.startswith("file:") else None)
    return AzureSource() if reference == "azure:default" else None


class AwsSource:
    """Keys of Amazon's chain: environment, shared files, single sign-on, container, machine.

    Args:
        profile: A profile of the shared files; None: the default one.
    """

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile

    def mint(self) -> Minted:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import Session

        try:
            # A new session each time: it reads the shared files anew.
            found = Session(profile=self._profile).get_credentials()
            keys = found.get_frozen_credentials() if found is not None else None
        except (BotoCoreError, ClientError) as error:
            raise MintFailed(f"Amazon's chain failed ({type(error).__name__})") from None
        if keys is None or not keys.access_key or not keys.secret_key:
            raise MintFailed("Amazon's chain finds no keys on this machine")
        secret = ":".join(part for part in (keys.access_key, keys.secret_key, keys.token) if part)
        # There is no public way to it.
        expires = getattr(found, "_expiry_time", None)
        return Minted(secret, expires.timestamp() if isinstance(expires, datetime) else None)


class GoogleSource:
    """Access tokens of Google's Application Default Credentials, or of a service account's key file.

    Args:
        path: The key file; None: the default credentials.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path

    def mint(self) -> Minted:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
        from google.oauth2 import service_account

        scopes = [_GOOGLE_SCOPE]
        try:
            found: Any
            if self._path is None:
                found, _ = google.auth.default(scopes=scopes)
            else:
                from_file: Any = service_account.Credentials.from_service_account_file
                found = from_file(self._path, scopes=scopes)
            found.refresh(Request())
        except OSError:
            raise MintFailed("the key file cannot be read") from None
        except ValueError:
            raise MintFailed("the key file is no key of a service account") from None
        except GoogleAuthError as error:
            raise MintFailed(f"Google gave no token ({type(error).__name__})") from None
        if not found.token:
            raise MintFailed("Google gave an empty token")
        return Minted(found.token, found.expiry.replace(tzinfo=UTC).timestamp() if found.expiry else None)


class AzureSource:
    """Access tokens of Microsoft's default chain: environment, workload and managed identity, developer tools.

    Args:
        credential: Makes the library's credential; None: the default chain.
    """

    def __init__(self, credential: Callable[[], Any] | None = None) -> None:
        self._make = credential or _azure_default
        self._credential: Any = None

    def mint(self) -> Minted:
        from azure.core.exceptions import AzureError

        try:
            if self._credential is None:
                self._credential = self._make()
            # It keeps its token and asks for a new one when that is about to expire.
            token = self._credential.get_token(_AZURE_SCOPE)
        except AzureError as error:
            raise MintFailed(f"Azure gave no token ({type(error).__name__})") from None
        return Minted(token.token, token.expires_on)


def _azure_default() -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()
