"""The files of the exporter under test: configuration, web configuration, certificates and secrets, and their swaps."""

import json
import ssl
from pathlib import Path
from random import Random
from typing import Any, Final

import bcrypt
import trustme

from benchmarks.soak.apis import Api

USER: Final = ("prometheus", "correct horse")
INTERVAL_SECONDS: Final = 2
"""The poll interval. An hour has 1,800 polls: more than a day has with the default interval of a minute."""
ACCOUNTS: Final = ("steady", "token", "password", "key", "metadata", "visitor")
"""The accounts, one per way to authenticate. `steady` has no faults, and a reload adds and removes `visitor`."""
TEMPORARY: Final = frozenset({"visitor"})


class Site:
    """A folder with all files that the exporter reads."""

    def __init__(self, folder: Path, apis: dict[str, Api]) -> None:
        self.folder = folder
        self._apis = apis
        self._authority = trustme.CA()
        self._hash = bcrypt.hashpw(USER[1].encode(), bcrypt.gensalt(4)).decode()
        self.swap_certificate()
        self.write_web_config()
        self.swap_token(0)
        self.swap_key(0)
        self._replace("password", apis["password"].password)
        self.configure()

    @property
    def config_file(self) -> Path:
        """The configuration file."""
        return self.folder / "config.yml"

    @property
    def web_config_file(self) -> Path:
        """The web configuration file."""
        return self.folder / "web.yml"

    def client(self) -> ssl.SSLContext:
        """Return the TLS context of a client that trusts the certificates."""
        return ssl.create_default_context(cadata=self._authority.cert_pem.bytes().decode())

    def configure(self, changes: Random | None = None) -> None:
        """Write the configuration file; with `changes`, with random changes that a reload applies."""
        accounts = [self._account(name) for name in ACCOUNTS if name not in TEMPORARY]
        tree: dict[str, Any] = {
            # The data becomes stale often: an API that hangs for some seconds is enough.
            "poll": {
                "interval": f"{INTERVAL_SECONDS}s",
                "timeout": "1s",
                "stale_after": f"{4 * INTERVAL_SECONDS}s",
            },
            "api": {"connect_timeout": "500ms", "read_timeout": "800ms"},
            "web": {"enable_lifecycle": True},
            "accounts": accounts,
        }
        if changes is not None:
            if changes.random() < 0.5:  # noqa: PLR2004 - a share
                accounts.append(self._account("visitor"))
            accounts[1] |= {"poll": {"interval": f"{changes.randint(1, 3)}s"}}
            accounts[2] |= {"api": accounts[2]["api"] | {"concurrency": changes.randint(1, 6)}}
            tree |= {
                "collector": {"disks": changes.random() < 0.5, "checks": changes.random() < 0.5},  # noqa: PLR2004
                "log": {"format": changes.choice(("logfmt", "json"))},
            }
        self._replace("config.yml", json.dumps(tree))

    def break_configuration(self, changes: Random) -> None:
        """Write a configuration file that cannot be used."""
        texts = ("", "accounts: [", '{"poll": {"interval": "soon"}}', "\0", "a: &a [*a]")
        self._replace("config.yml", changes.choice(texts))

    def write_web_config(self, **headers: str) -> None:
        """Write the web configuration file."""
        tree = {
            "tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"},
            "http_server_config": {"headers": headers},
            "basic_auth_users": {USER[0]: self._hash},
        }
        self._replace("web.yml", json.dumps(tree))

    def swap_certificate(self) -> None:
        """Write another certificate with another key. For a moment they do not match."""
        issued = self._authority.issue_cert("127.0.0.1")
        self._replace("server.crt", b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode())
        self._replace("server.key", issued.private_key_pem.bytes().decode())

    def break_certificate(self) -> None:
        """Write a certificate that cannot be used."""
        (self.folder / "server.crt").write_text("-----BEGIN CERTIFICATE-----\n", encoding="ascii")

    def swap_token(self, number: int) -> None:
        """Write one of the valid tokens."""
        self._replace("token", self._apis["token"].tokens[number])

    def break_token(self) -> None:
        """Write a token that the API refuses."""
        self._replace("token", "refused")

    def swap_key(self, number: int) -> None:
        """Write one of the valid access keys."""
        access_key, secret_key = self._apis["key"].access_keys[number]
        self._replace("access-key", access_key)
        self._replace("secret-key", secret_key)

    def _account(self, name: str) -> dict[str, Any]:
        api = self._apis[name]
        file = {kind: str(self.folder / kind) for kind in ("token", "password", "access-key", "secret-key")}
        auth = {
            "token": {"token_file": file["token"]},
            "password": {"user_name": api.user, "domain_name": api.domain, "password_file": file["password"]},
            "key": {"access_key_file": file["access-key"], "secret_key_file": file["secret-key"]},
            "metadata": {"metadata_endpoint": api.url},
        }.get(name, {"token": api.tokens[0]})
        account: dict[str, Any] = {
            "name": name,
            "api": {"endpoint": api.url},
            "iam": {"endpoint": api.url},
            "auth": auth,
        }
        if name == "steady":
            # Its polls must succeed on a busy machine, too.
            seconds = f"{INTERVAL_SECONDS}s"
            account |= {"poll": {"timeout": seconds}}
            account["api"] |= {"connect_timeout": seconds, "read_timeout": seconds}
        return account

    def _replace(self, name: str, text: str) -> None:
        """Replace a file as a whole, as every careful writer does."""
        temporary = self.folder / f".{name}"
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(self.folder / name)
