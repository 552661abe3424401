from __future__ import annotations

from pathlib import Path

import pytest

from sorofast.errors import SecretError
from sorofast.settings import KeeperConfig, read_secret_file

SEED = "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN"
PHRASE = "illness spike retreat truth genius clock brain pass fit cave bargain toe"


def test_secret_files_are_read_when_only_the_owner_can(tmp_path: Path) -> None:
    path = tmp_path / "keeper.secret"
    path.write_text(f" {SEED}\n")
    path.chmod(0o600)
    assert KeeperConfig(secret_file=path).read_secret() == SEED
    phrase = tmp_path / "channels.seed"
    phrase.write_text(PHRASE.replace(" ", "\n") + "\n")
    phrase.chmod(0o400)
    assert KeeperConfig(channel_seed_file=phrase).read_channel_seed() == PHRASE
    assert KeeperConfig().read_channel_seed() is None


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (SEED.encode(), 0o640, "chmod 600"),
        (SEED.encode(), 0o604, "mode 0604"),
        (b"hunter2-not-a-seed", 0o600, "does not hold a Stellar secret seed"),
        (b"\xff\xfe", 0o600, "is not text"),
        (b"S" * 5_000, 0o600, "is longer than"),
    ],
    ids=["group", "others", "no seed", "binary", "too long"],
)
def test_unsafe_or_malformed_secret_files_are_refused(
    tmp_path: Path, content: bytes, mode: int, sentence: str
) -> None:
    path = tmp_path / "keeper.secret"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(SecretError, match=sentence) as caught:
        KeeperConfig(secret_file=path).read_secret()
    assert SEED not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_missing_secrets_are_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="no such file"):
        read_secret_file(tmp_path / "absent")
    with pytest.raises(SecretError, match="not a regular file"):
        read_secret_file(Path("/dev/null"))
    with pytest.raises(SecretError, match=r"keeper\.secret_file"):
        KeeperConfig().read_secret()
