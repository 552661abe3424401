from __future__ import annotations

from pathlib import Path

import pytest

from sorofast.errors import ConfigError
from sorofast.settings import EngineConfig, Settings, load_settings, schema, sources

CONTRACT = "CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAD2KM"
SEED = "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN"
PHRASE = "illness spike retreat truth genius clock brain pass fit cave bargain toe"
COMPLETE = f"""
[network]
passphrase = "Standalone Network ; February 2017"
rpc_url = "http://localhost:8000/rpc"

[contract]
id = "{CONTRACT}"

[keeper]
secret_file = "keeper.secret"
channel_seed_file = "/etc/sorofast/channels.seed"
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "sorofast.toml") -> Path:
    path = Path(name).absolute()
    path.write_text(text, encoding="utf-8")
    return path


def problems(
    toml: str = "", overrides: dict[str, object] | None = None, environ: dict[str, str] | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(toml), overrides, environ or {})
    return str(caught.value).splitlines()


def test_without_settings_every_missing_key_is_named() -> None:
    settings = load_settings(environ={})
    with pytest.raises(ConfigError) as caught:
        settings.engine_config()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "network.passphrase",
        "network.rpc_url",
        "contract.id",
        "keeper.secret_file",
        "keeper.channel_seed_file",
    ]
    assert "SOROFAST_NETWORK__RPC_URL" in lines[1]
    assert "SOROFAST_KEEPER__SECRET" in lines[3]


def test_a_command_asks_only_for_what_it_needs() -> None:
    settings = load_settings(environ={"STELLAR_CONTRACT_ID": CONTRACT})
    assert settings.contract().id == CONTRACT
    assert settings.redis().url == "embedded"
    with pytest.raises(ConfigError, match=r"network\.rpc_url: is not set"):
        settings.network()


def test_each_layer_wins_over_the_one_below() -> None:
    path = write(
        '[network]\nrpc_url = "http://file"\npassphrase = "file"\ntimeout_s = 1\n[engine]\nworkers = 2\n'
    )
    environ = {
        "STELLAR_RPC_URL": "http://stellar",
        "STELLAR_NETWORK_PASSPHRASE": "stellar",
        "SOROFAST_NETWORK__RPC_URL": "http://sorofast",
        "SOROFAST_ENGINE__WORKERS": "3",
    }
    settings = load_settings(path, {"engine.workers": 4, "engine.timing": None}, environ)
    assert settings.get("network.rpc_url") == "http://sorofast"
    assert settings.get("network.passphrase") == "stellar"
    assert settings.get("network.timeout_s") == 1.0
    assert settings.get("engine.workers") == 4
    assert settings.get("engine.timing") == "eager"
    assert settings.origins == {
        "network.rpc_url": "environment variable SOROFAST_NETWORK__RPC_URL",
        "network.passphrase": "environment variable STELLAR_NETWORK_PASSPHRASE",
        "network.timeout_s": str(path),
        "engine.workers": "the command line",
    }


def test_flags_may_be_nested_tables() -> None:
    assert load_settings(None, {"engine": {"shards": 4}}, {}).get("engine.shards") == 4


def test_the_settings_file_is_found_in_the_current_folder_or_by_variable() -> None:
    write("[engine]\nshards = 2\n")
    other = write("[engine]\nshards = 3\n", "other.toml")
    assert load_settings(environ={}).get("engine.shards") == 2
    assert load_settings(environ={"SOROFAST_CONFIG": str(other)}).get("engine.shards") == 3
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(Path("absent.toml"), environ={})


def test_all_problems_are_reported_at_once_with_their_origins() -> None:
    lines = problems(
        '[network]\nrpc_url = "ftp://host"\n[engine]\nwokers = 3\nshards = "many"\n[enigne]\nworkers = 1\n',
        {"engine.timing": "fast"},
        {
            "SOROFAST_ENGINE__WORKERS": "0",
            "SOROFAST_KEPER__CHANNELS": "12",
            "SOROFAST_REDIS__URL": "http://x",
        },
    )
    path = Path("sorofast.toml").absolute()
    assert sorted(line.split(":")[0] for line in lines) == [
        "SOROFAST_KEPER__CHANNELS (from the environment)",
        "engine.shards (from " + str(path) + ")",
        "engine.timing (from the command line)",
        "engine.wokers (from " + str(path) + ")",
        "engine.workers (from environment variable SOROFAST_ENGINE__WORKERS)",
        "enigne (from " + str(path) + ")",
        "network.rpc_url (from " + str(path) + ")",
        "redis.url (from environment variable SOROFAST_REDIS__URL)",
    ]
    text = "\n".join(lines)
    for hint in ("did you mean SOROFAST_KEEPER__CHANNELS?", "did you mean workers?", "did you mean engine?"):
        assert hint in text
    assert "is 'fast'; must be 'eager' or 'safe'" in text


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("engine = 3", "engine"),
        ("[engine", "is not valid TOML"),
        ("[contract]\nid = 'CABC'", "must be a C… contract address"),
        ("[keeper]\nchannels = 10", "is 10, but 16 shards need at least 64"),
        ("[fees]\ninclusion_fee_stroops = 500\nmax_fee_stroops = 400", "above fees.max_fee_stroops (400)"),
        ("[fees]\nstrategy = 'market'", "is 'market'; must be 'fixed'"),
        ("[engine]\nenvelope_ledgers = 2", "must be greater than or equal to 3"),
        ("[redis]\nprefix = 'a{b}'", "must be letters, digits"),
        ("[network]\ntimeout_s = nan", "must be a finite number"),
        ("[network]\nrpc_url = 'http://[::1'", "must be an http:// or https:// URL"),
    ],
)
def test_invalid_values_are_refused(toml: str, sentence: str) -> None:
    (line,) = problems(toml)
    assert sentence in line
    assert "\n" not in line


def test_workers_auto_follows_the_number_of_processors() -> None:
    assert load_settings(None, {"engine.workers": "auto"}, {}).get("engine.workers") >= 1


def test_paths_in_a_settings_file_are_relative_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    path = write(COMPLETE, str(folder / "sorofast.toml"))
    settings = load_settings(path, {"redis.dir": "here"}, {})
    assert settings.get("keeper.secret_file") == folder / "keeper.secret"
    assert settings.get("keeper.channel_seed_file") == Path("/etc/sorofast/channels.seed")
    assert settings.get("redis.dir") == Path("here")


def test_the_engines_configuration_is_frozen_and_survives_json() -> None:
    settings = load_settings(
        write(COMPLETE), {"engine.workers": 3}, {"SOROFAST_KEEPER__CHANNEL_SEED": PHRASE}
    )
    config = settings.engine_config()
    assert config.engine.workers == 3
    assert config.keeper.channel_seed_file is None
    assert config.keeper.read_channel_seed() == PHRASE
    assert EngineConfig.from_json(config.to_json()) == config
    assert "\n" not in config.to_json()
    with pytest.raises(AttributeError):
        config.engine.workers = 4  # type: ignore[misc]
    with pytest.raises(ConfigError, match="from the supervisor is invalid"):
        EngineConfig.from_json('{"network": 1}')


def test_no_secret_is_shown() -> None:
    settings = load_settings(
        write(COMPLETE.replace("http://localhost:8000/rpc", "https://user:pw@host/rpc?key=abc")),
        environ={
            "STELLAR_SECRET_KEY": SEED,
            "SOROFAST_KEEPER__CHANNEL_SEED": PHRASE,
            "SOROFAST_REDIS__URL": "redis://:hunter2@cache/0",
        },
    )
    config = settings.engine_config()
    assert config.keeper.read_secret() == SEED
    shown = settings.redacted()
    assert shown["keeper"]["secret"] == "**********"
    assert shown["network"]["rpc_url"] == "https://**********@host/rpc?**********"
    assert shown["redis"]["url"] == "redis://**********@cache/0"
    for text in (repr(config), repr(settings), str(shown)):
        for secret in (SEED, "illness", "hunter2", "user:pw", "key=abc"):
            assert secret not in text


@pytest.mark.parametrize(
    ("toml", "overrides", "environ", "sentence"),
    [
        (f'[keeper]\nsecret = "{SEED}"', {}, {}, "does not belong in this file; use keeper.secret_file"),
        ("", {"keeper.secret": SEED}, {}, "use keeper.secret_file with a file of mode 0600"),
        (f'[contract]\nid = "{SEED}"', {}, {}, "contract.id"),
        (
            "",
            {},
            {"SOROFAST_KEEPER__SECRET": SEED, "SOROFAST_KEEPER__SECRET_FILE": "k"},
            "unset one of them",
        ),
    ],
    ids=["file", "flag", "wrong key", "both"],
)
def test_misplaced_secrets_are_refused_and_not_repeated(
    toml: str, overrides: dict[str, object], environ: dict[str, str], sentence: str
) -> None:
    text = "\n".join(problems(toml, overrides, environ))
    assert sentence in text
    assert SEED not in text


def test_the_higher_layer_decides_between_secret_and_file() -> None:
    path = write(COMPLETE)
    by_value = load_settings(path, {}, {"STELLAR_SECRET_KEY": SEED})
    assert (by_value.get("keeper.secret"), by_value.get("keeper.secret_file")) == (SEED, None)
    by_flag = load_settings(path, {"keeper.secret_file": "k"}, {"STELLAR_SECRET_KEY": SEED})
    assert (by_flag.get("keeper.secret"), by_flag.get("keeper.secret_file")) == (None, Path("k"))


def test_empty_variables_count_as_unset() -> None:
    settings: Settings = load_settings(environ={"SOROFAST_ENGINE__WORKERS": "", "STELLAR_RPC_URL": ""})
    assert settings.origins == {}


def test_the_checks_know_the_sections_and_keys_of_the_frozen_configuration() -> None:
    checked = {
        name: tuple(field.annotation.model_fields)
        for name, field in schema._Model.model_fields.items()
        if field.annotation is not None and issubclass(field.annotation, schema._Section)
    }
    assert {name: set(keys) for name, keys in checked.items()} == {
        name: set(keys) for name, keys in sources.SECTIONS.items()
    }
