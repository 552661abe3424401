"""Finding secrets in text, so that none is printed, logged or accepted on a command line.

Two kinds have a shape: a Stellar secret seed (S…, 56 characters) and a BIP-39 phrase (twelve or more words of
its list in a row). The third is a password inside a URL. Anything else that is secret must not be put into
text in the first place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from sorofast.errors import SecretError

HIDDEN = "[redacted]"

_SEED = re.compile(r"(?<![A-Z2-7])S[A-Z2-7]{55}(?![A-Z2-7])")
_WORDS = re.compile(r"\b[a-z]{3,8}(?:[\s,]+[a-z]{3,8}){11,}\b")
_URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@]*@", re.IGNORECASE)
_PHRASE_WORDS_MIN = 12


@cache
def _bip39_words() -> frozenset[str]:
    from mnemonic import Mnemonic  # a 2,048 line file, read only when something looks like a phrase

    return frozenset(Mnemonic("english").wordlist)


def _hide_phrase(match: re.Match[str]) -> str:
    """Hide each run of twelve or more list words, leaving ordinary prose around it alone."""
    known = _bip39_words()
    kept: list[str] = []
    run: list[str] = []

    def close_run() -> None:
        kept.extend([HIDDEN] if len(run) >= _PHRASE_WORDS_MIN else run)
        run.clear()

    words = re.split(r"[\s,]+", match.group())
    for word in words:
        if word in known:
            run.append(word)
        else:
            close_run()
            kept.append(word)
    close_run()
    return " ".join(kept) if HIDDEN in kept else match.group()


def redact(text: str) -> str:
    """`text` with every seed, phrase and URL password replaced by `[redacted]`."""
    if len(text) < _PHRASE_WORDS_MIN:
        return text
    text = _SEED.sub(HIDDEN, text)
    if "@" in text:
        text = _URL_PASSWORD.sub(rf"\g<scheme>{HIDDEN}@", text)
    return _WORDS.sub(_hide_phrase, text)


def holds_secret(text: str) -> bool:
    """Whether a seed or a phrase stands anywhere in `text`; URL passwords do not count."""
    return _SEED.search(text) is not None or any(
        HIDDEN in _hide_phrase(match) for match in _WORDS.finditer(text.lower())
    )


def refuse_secrets_in_argv(argv: Sequence[str]) -> None:
    """Raise SecretError when an argument, or the arguments in a row, hold a secret: other users can read
    argv."""
    for position, argument in enumerate(argv, start=1):
        if holds_secret(argument):
            raise SecretError(
                f"argument {position} holds a secret, and arguments can be read by every user of this machine: "
                "put it into a file with mode 0600 and name that (keeper.secret_file, keeper.channel_seed_file)"
            )
    if holds_secret(" ".join(argv)):
        raise SecretError(
            "the arguments hold a seed phrase, and arguments can be read by every user of this machine: "
            "put it into a file with mode 0600 and name that (keeper.channel_seed_file)"
        )
