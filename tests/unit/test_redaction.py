from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorofast.errors import SecretError
from sorofast.redaction import HIDDEN, holds_secret, redact, refuse_secrets_in_argv

# The first vector of SEP-5: public, worthless, and shaped like the real thing.
PHRASE = "illness spike retreat truth genius clock brain pass fit cave bargain toe"
SEED = "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN"
ACCOUNT = "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"secret={SEED};", f"secret={HIDDEN};"),
        (f"{SEED} {SEED}", f"{HIDDEN} {HIDDEN}"),
        (f"seed phrase: {PHRASE}.", f"seed phrase: {HIDDEN}."),
        (PHRASE.replace(" ", "\n"), HIDDEN),
        (PHRASE.replace(" ", ", "), HIDDEN),
        ("cannot reach redis://user:hunter2@cache:6379/0", f"cannot reach redis://{HIDDEN}@cache:6379/0"),
        (f"account {ACCOUNT}", f"account {ACCOUNT}"),
        ("mail to somebody@example.org", "mail to somebody@example.org"),
    ],
    ids=["seed", "two seeds", "phrase", "phrase in lines", "phrase in a list", "url", "account", "mail"],
)
def test_secrets_go_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_prose_of_short_words_is_no_phrase() -> None:
    prose = "the worker that owns the shard has lost the lease and stops sending until the next term begins"
    assert redact(prose) == prose
    assert not holds_secret(prose)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_seed_never_survives(before: str, after: str) -> None:
    assert SEED not in redact(f"{before} {SEED} {after}")


@pytest.mark.parametrize(
    "argv",
    [
        ["--secret", SEED],
        [f"--secret={SEED}"],
        ["--seed", PHRASE],
        ["--seed", *PHRASE.split()],
        ["--seed", PHRASE.upper()],
    ],
    ids=["flag", "flag=", "phrase", "phrase in words", "capitals"],
)
def test_a_secret_in_argv_is_refused_without_being_repeated(argv: list[str]) -> None:
    with pytest.raises(SecretError, match="0600") as caught:
        refuse_secrets_in_argv(argv)
    assert SEED not in str(caught.value)
    assert "illness" not in str(caught.value).lower()


def test_ordinary_arguments_pass() -> None:
    refuse_secrets_in_argv(["run", "--workers", "4", "--contract-id", ACCOUNT, "--config", "sorofast.toml"])
