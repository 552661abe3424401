"""The seed file and what is derived from it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from stellar_sdk import Keypair

from sorofast.errors import SecretError
from sorofast.settings import KeeperConfig
from sorofast.transactions.accounts import derive_channels, write_new_seed_file
from sorofast.transactions.oneshot import keypair

PASSPHRASE = "Standalone Network ; February 2017"


def test_a_new_seed_file_is_whole_private_and_readable_as_settings(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "channels.seed"
    before = os.umask(0)
    try:
        phrase = write_new_seed_file(path)
    finally:
        os.umask(before)
    assert len(phrase.split()) == 24
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert KeeperConfig(channel_seed_file=path).read_channel_seed() == phrase
    assert list(path.parent.iterdir()) == [path]


def test_a_seed_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "channels.seed"
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(SecretError, match="not overwritten"):
        write_new_seed_file(path)
    assert path.read_text(encoding="utf-8") == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SecretError, match=r"keeper\.channel_seed_file"):
        write_new_seed_file(tmp_path / "file" / "channels.seed")


def test_channels_follow_sep_5(tmp_path: Path) -> None:
    phrase = write_new_seed_file(tmp_path / "seed")
    derived = derive_channels(PASSPHRASE, Keypair.random().secret, phrase, 3)
    assert derived == [Keypair.from_mnemonic_phrase(phrase, index=index).public_key for index in range(3)]


def test_a_bad_secret_is_refused_without_repeating_it() -> None:
    secret = Keypair.random().secret
    broken = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    with pytest.raises(SecretError) as caught:
        keypair(broken)
    assert broken not in str(caught.value)
    with pytest.raises(SecretError):
        derive_channels(PASSPHRASE, secret, "no phrase at all", 1)
