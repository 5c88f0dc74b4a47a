"""Credentials stay out of files, and what only looks like one does not."""

import argparse
import dataclasses
from pathlib import Path

import pytest

from accel_track.redaction import (
    REDACTED,
    is_secret,
    portable_kwargs,
    redacted,
    redacted_command,
    scrubbed,
)


@dataclasses.dataclass
class Server:
    url: str
    api_key: str


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "API_KEY",
        "apikey",
        "apiKey",
        "api-key",
        "wandb_api_key",
        "WANDB_API_KEY",
        "wandb.api_key",
        "accessToken",
        "token",
        "hf_token",
        "HF_TOKEN",
        "auth_token",
        "password",
        "db_password",
        "dbPassword",
        "passwd",
        "passphrase",
        "secret",
        "client_secret",
        "clientSecret",
        "secret_key",
        "aws_secret_access_key",
        "AWS_ACCESS_KEY_ID",
        "aws_session_token",
        "private_key",
        "authorization",
        "credentials",
    ],
)
def test_texts_under_the_names_of_credentials_are_secrets(name):
    assert is_secret(name, "abc")
    assert is_secret(name, b"abc")
    assert redacted({name: "abc"}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name",
    [
        "use_cls_token",
        "cls_token",
        "pad_token",
        "eos_token",
        "bos_token",
        "unk_token",
        "mask_token",
        "sep_token",
        "image_token",
        "decoder_start_token",
        "max_tokens",
        "max_new_tokens",
        "num_tokens",
        "tokenizer",
        "token_embedding",
        "stop_token",
        "key",
        "keys",
        "author",
        "passed",
        "secretary",
        "monkey",
        "lr",
    ],
)
def test_hyperparameters_about_tokens_and_keys_are_no_secrets(name):
    assert not is_secret(name, "abc")
    assert redacted({name: "abc"}) == {name: "abc"}


@pytest.mark.parametrize("value", [True, 3, 0.5, None, "", [], [1, 2]])
def test_what_is_no_text_is_no_secret(value):
    assert not is_secret("token", value)


def test_texts_in_lists_are_secrets_too():
    assert redacted({"auth": ("user", "abc"), "api_key": ["a", "b"]}) == {"auth": REDACTED, "api_key": REDACTED}


def test_secrets_are_found_at_any_depth_and_the_original_stays():
    config = {"a": [{"b": ({"token": "abc"},)}], "lr": 0.1, 3: {"password": "x"}}
    assert redacted(config) == {"a": [{"b": ({"token": REDACTED},)}], "lr": 0.1, 3: {"password": REDACTED}}
    assert config["a"][0]["b"][0]["token"] == "abc"


def test_dataclasses_and_namespaces_inside_are_looked_into():
    config = {"server": Server("https://host", "abc"), "more": argparse.Namespace(token="abc", lr=0.1), "cls": Server}
    assert redacted(config) == {
        "server": {"url": "https://host", "api_key": REDACTED},
        "more": {"token": REDACTED, "lr": 0.1},
        "cls": Server,
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://user:abc@host/path?x=1#y", "https://***@host/path?x=1#y"),
        ("https://abc@host", "https://***@host"),
        ("postgresql+psycopg2://u:abc@db:5432/runs", "postgresql+psycopg2://***@db:5432/runs"),
        ("https://u:a@bc@host/", "https://***@host/"),
        ("see http://u:abc@a and http://v:abc@b", "see http://***@a and http://***@b"),
        ("https://host/path@version", "https://host/path@version"),
        ("https://host/?mail=me@example.org", "https://host/?mail=me@example.org"),
        ("me@example.org", "me@example.org"),
        ("sqlite:///runs.db", "sqlite:///runs.db"),
        ("", ""),
    ],
)
def test_user_info_of_urls_is_replaced(text, clean):
    assert scrubbed(text) == clean
    assert redacted({"uri": [text]}) == {"uri": [clean]}


@pytest.mark.parametrize(
    ("arguments", "clean"),
    [
        (["train.py", "--lr", "0.1"], ["train.py", "--lr", "0.1"]),
        (["--api-key", "abc", "--lr", "1"], ["--api-key", REDACTED, "--lr", "1"]),
        (["--api-key=abc"], [f"--api-key={REDACTED}"]),
        (["--wandb.api_key=abc=="], [f"--wandb.api_key={REDACTED}"]),
        (["+logger.token=abc", "WANDB_API_KEY=abc"], [f"+logger.token={REDACTED}", f"WANDB_API_KEY={REDACTED}"]),
        (["--token", "--verbose", "x"], ["--token", "--verbose", "x"]),
        (["--uri", "http://u:abc@host"], ["--uri", "http://***@host"]),
        (["--uri=http://u:abc@host"], ["--uri=http://***@host"]),
        (["--pad-token", "<pad>", "--max-tokens", "5"], ["--pad-token", "<pad>", "--max-tokens", "5"]),
        (["token", "abc"], ["token", "abc"]),
        (["--token="], ["--token="]),
        ([], []),
    ],
)
def test_command_lines_lose_the_values_of_secret_options(arguments, clean):
    assert redacted_command(arguments) == clean


def test_constructor_arguments_in_files_are_json_and_no_secrets():
    kwargs = {
        "project": "p",
        "tags": ["a", {"b": None}],
        "dir": Path("logs"),
        "api_key": "abc",
        "auth": ("user", "abc"),
        "uri": "http://u:abc@host",
        "settings": {"token": "abc"},
        "client": object(),
        "numbers": {1: 2},
        "nothing": None,
    }
    kept, withheld = portable_kwargs(kwargs)
    assert kept == {"project": "p", "tags": ["a", {"b": None}], "dir": "logs", "nothing": None}
    assert withheld == ["uri", "settings", "client", "numbers"]
    assert "abc" not in str((kept, withheld))
