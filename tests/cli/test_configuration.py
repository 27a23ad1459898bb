"""The configuration files: what they may say, what wins, what is told of errors, and that no secret is shown."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lash.cli.configuration.lines import as_toml, dotted, line_of, lines
from lash.cli.configuration.reading import ConfigurationError, Settings, find_project_file, read_settings
from lash.cli.exits import CliError, Exit
from lash.cli.models import ModelFlags, choose
from lash.cli.providers import Providers
from lash.persistence import PersistedSessionConfig
from tests.cli.conftest import Lash

ROUTER = """\
[providers.router]
type = "openai-compatible"
base_url = "http://localhost:9/v1"
api_key = { env = "ROUTER_KEY" }
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def settings(home: Path, text: str, project: str | None = None) -> Settings:
    """The configuration that these files make."""
    file = home / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    work = home.parent / "work"
    (work / ".lash").mkdir(parents=True, exist_ok=True)
    if project is not None:
        (work / ".lash" / "config.toml").write_text(project)
    return read_settings({"LASH_HOME": str(home)}, work)


def errors(home: Path, text: str, project: str | None = None) -> list[str]:
    """What is said of files that cannot be used."""
    with pytest.raises(ConfigurationError) as raised:
        settings(home, text, project)
    assert raised.value.code is Exit.USAGE
    return raised.value.problems


def chosen(made: Settings, environment: dict[str, str] | None = None, **flags: Any) -> tuple[str, str, str | None]:
    """Provider, model and variant of a new session."""
    one = choose(ModelFlags(**flags), environment or {}, None, made)
    return one.label, one.model, one.variant


# --- what a file may say -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('\nmodle = "x"', ":2: unknown key `modle`; did you mean"),
        ("provider = 3", ":1: `provider`: has to be a text, in quotes"),
        ('mode = "chat"', ":1: `mode`: has to be 'rlm' or 'standard'"),
        ("max_turns = 0", ":1: `max_turns`: has to be greater than or equal to 1"),
        ("max_turns = true", ":1: `max_turns`: has to be a whole number"),
        ("[providers.x]", ":1: providers.x: `type` is missing"),
        ('[providers.x]\ntype = "a"\napi_key = { envv = "X" }', ":3: `providers.x.api_key`: a secret is a text, { env"),
        ('[models."v/m.1"]\ncontext = 5\ninput = 3', ':3: unknown key `models."v/m.1".input`; did you mean'),
        ('[models."v/m"]\noutput = 5', ':1: models."v/m": `context` is missing'),
        ("[files]\nallow_write = [3]", ":2: `files.allow_write`: has to be true, false, or a list of globs"),
        ('[approvals]\ntools = ["a", 1]', ":2: `approvals.tools[1]`: has to be a text, in quotes"),
        ("[approvals]\ntools = 'x'", ":2: `approvals.tools`: has to be a list"),
        ("[approvals]\ntools = ['']", ":2: `approvals.tools[0]`: is empty"),
        ("models = 3", ":1: `models`: has to be a table"),
        (
            '[providers.x]\ntype = "a"\napi_key = { file = "~nobody-of-this-name/k" }',
            ":3: `providers.x.api_key`: '~nob",
        ),
        ("[secrets]\nother = 'x'", ":2: unknown key `secrets.other`; there are tavily_api_key"),
        ("agent_models = {}", ":1: unknown key `agent_models`"),
        ("[ui]", ":1: unknown key `ui`"),
    ],
)
def test_what_cannot_stand_in_a_file_is_told_with_its_key_and_line(home: Path, text: str, told: str) -> None:
    (problem,) = errors(home, text)
    assert problem.startswith(f"{home}/config.toml{told}")


def test_all_errors_of_both_files_are_told_at_once(home: Path) -> None:
    told = errors(home, "provider = 1\nmodel = 2", "[approvals]\ntool = []")
    assert [problem.rpartition("config.toml:")[2].partition(":")[0] for problem in told] == ["1", "2", "2"]


@pytest.mark.parametrize("key", ['provider = "x"', "[providers.x]\ntype = 'a'", "[files]\nallow_write = true"])
def test_a_project_cannot_decide_what_is_the_persons(home: Path, key: str) -> None:
    (problem,) = errors(home, "", key)
    assert "cannot be set by a project's file; set it in " in problem
    assert str(home / "config.toml") in problem


def test_no_file_is_needed(home: Path) -> None:
    made = read_settings({"LASH_HOME": str(home)}, home.parent)
    assert chosen(made, {"OPENAI_API_KEY": "k"}, model="gpt-5.4")[:2] == ("openai", "gpt-5.4")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"a = = 1", "no TOML: "), (b"a = '\xff'", "no UTF-8 text (byte 5)"), (b"a = 1\na = 2", "no TOML: ")],
)
def test_a_file_that_is_no_toml_is_an_error(home: Path, content: bytes, told: str) -> None:
    (home / "config.toml").write_bytes(content)
    with pytest.raises(CliError) as raised:
        read_settings({"LASH_HOME": str(home)}, home.parent)
    assert f"config.toml: {told}" in str(raised.value)


def test_a_file_that_cannot_be_read_is_an_error(home: Path) -> None:
    (home / "config.toml").mkdir()
    with pytest.raises(CliError, match="cannot be read: Is a directory"):
        read_settings({"LASH_HOME": str(home)}, home.parent)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "config.toml")
    with pytest.raises(ConfigurationError, match=r"config.toml: it is no regular file"):
        read_settings({"LASH_HOME": str(home)}, home.parent)


def test_a_file_without_end_is_not_read_to_its_end(home: Path) -> None:
    with (home / "config.toml").open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(ConfigurationError, match="it is larger than 1,048,576 bytes"):
        read_settings({"LASH_HOME": str(home)}, home.parent)


def test_a_link_that_leads_nowhere_is_an_error(home: Path) -> None:
    (home / "config.toml").symlink_to(home / "nothing")
    with pytest.raises(CliError, match="leads nowhere"):
        read_settings({"LASH_HOME": str(home)}, home.parent)


def test_the_nearest_project_file_up_to_the_repository_counts(tmp_path: Path) -> None:
    def put(folder: Path) -> Path:
        (folder / ".lash").mkdir(parents=True)
        (folder / ".lash" / "config.toml").write_text("")
        return folder / ".lash" / "config.toml"

    outside, root, repository = put(tmp_path), tmp_path / "repo", tmp_path / "repo" / ".git"
    inside = put(root)
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    user = tmp_path / "none"
    assert not find_project_file(deep, user).exists()
    repository.mkdir()
    assert find_project_file(deep, user) == inside
    assert find_project_file(tmp_path, user) == outside
    assert find_project_file(tmp_path, outside) == tmp_path / ".lash" / "config.toml"


def test_the_persons_file_is_no_project_file(tmp_path: Path) -> None:
    home = tmp_path / ".lash"
    home.mkdir()
    (home / "config.toml").write_text('mode = "standard"')
    made = read_settings({"LASH_HOME": str(home)}, tmp_path)
    assert (made.user.mode, made.project_file) == ("standard", None)


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_others_who_can_read_a_secret_are_warned_of(home: Path, mode: int) -> None:
    file = home / "config.toml"
    file.write_text('[providers.x]\ntype = "anthropic"\napi_key = "very-secret"')
    file.chmod(mode)
    warnings = read_settings({"LASH_HOME": str(home)}, home.parent).warnings
    assert len(warnings) == (mode == 0o644)
    assert "very-secret" not in str(warnings)


def test_a_file_without_a_secret_may_be_readable(home: Path) -> None:
    (home / "config.toml").write_text(ROUTER)
    (home / "config.toml").chmod(0o644)
    assert read_settings({"LASH_HOME": str(home)}, home.parent).warnings == ()


# --- what wins ---------------------------------------------------------------------------------------


def test_a_provider_of_the_configuration_is_used_by_its_name(home: Path) -> None:
    made = settings(home, f'model = "m"\n[models.m]\ncontext = 9000\n{ROUTER}')
    one = choose(ModelFlags(provider="router"), {"ROUTER_KEY": "the-key"}, None, made)
    assert (one.label, one.model, one.handle.kind) == ("router", "m", "openai-compatible")
    assert one.handle.to_spec()["api_key"] == "the-key"


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        ({}, {}, ("router", "anthropic/claude-sonnet-4.6")),
        ({"ANTHROPIC_API_KEY": "a"}, {}, ("router", "anthropic/claude-sonnet-4.6")),
        ({"LASH_MODEL": "gpt-5.4"}, {}, ("router", "gpt-5.4")),
        ({"LASH_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": "a"}, {}, ("anthropic", "claude-opus-4-7")),
        ({"LASH_MODEL": "gpt-5.4"}, {"model": "gpt-5.2"}, ("router", "gpt-5.2")),
        ({"OPENAI_API_KEY": "o", "LASH_PROVIDER": "router"}, {"provider": "openai"}, ("openai", "gpt-5.4")),
        ({"OPENAI_API_KEY": "o"}, {"model": "openai/gpt-5.2"}, ("openai", "openai/gpt-5.2")),
        ({}, {"model": "openai/gpt-5.2"}, ("router", "openai/gpt-5.2")),
        ({}, {"model": "router/openai/gpt-5.2"}, ("router", "openai/gpt-5.2")),
    ],
)
def test_flag_goes_before_environment_before_file(
    home: Path, environment: dict[str, str], flags: dict[str, Any], expected: tuple[str, str]
) -> None:
    made = settings(home, f'provider = "router"\nmodel = "anthropic/claude-sonnet-4.6"\n{ROUTER}')
    assert chosen(made, {"ROUTER_KEY": "k", **environment}, **flags)[:2] == expected


def test_the_only_provider_of_the_configuration_needs_no_naming(home: Path) -> None:
    made = settings(home, f'model = "m"\n[models.m]\ncontext = 9000\n{ROUTER}')
    assert chosen(made, {"ROUTER_KEY": "k"})[:2] == ("router", "m")


def test_a_project_has_a_model_for_a_provider_before_the_person_has(home: Path) -> None:
    own = '[model_defaults.anthropic]\nmodel = "claude-opus-4-6"\n'
    theirs = '[model_defaults.anthropic]\nmodel = "claude-sonnet-4-6"\nvariant = "low"\n'
    environment = {"ANTHROPIC_API_KEY": "k"}
    assert chosen(settings(home, own), environment) == ("anthropic", "claude-opus-4-6", "max")
    assert chosen(settings(home, own, theirs), environment) == ("anthropic", "claude-sonnet-4-6", "low")


def test_model_defaults_are_for_new_sessions(home: Path) -> None:
    made = settings(home, '[model_defaults.anthropic]\nmodel = "claude-opus-4-6"\n')
    stored = PersistedSessionConfig("rlm", "anthropic", "claude-sonnet-4-6", None, 200_000)
    assert choose(ModelFlags(), {"ANTHROPIC_API_KEY": "k"}, stored, made).model == "claude-sonnet-4-6"


def test_a_session_goes_on_with_the_provider_of_its_name(home: Path) -> None:
    made = settings(home, ROUTER + ROUTER.replace("router", "other").replace(":9/", ":8/"))
    stored = PersistedSessionConfig("rlm", "openai-compatible", "m", None, 9000)
    one = choose(ModelFlags(), {"ROUTER_KEY": "k"}, stored, made, "other")
    assert (one.label, one.model, one.handle.to_spec()["base_url"]) == ("other", "m", "http://localhost:8/v1")


def test_the_variant_of_the_file_goes_with_its_model(home: Path) -> None:
    made = settings(home, 'model = "claude-sonnet-4-6"\nvariant = "low"')
    environment = {"ANTHROPIC_API_KEY": "k"}
    assert chosen(made, environment)[2] == "low"
    assert chosen(made, environment, variant="medium")[2] == "medium"
    assert chosen(made, environment, model="claude-opus-4-7")[2] == "xhigh"


def test_sizes_of_models_go_over_the_table_and_the_projects_over_the_persons(home: Path) -> None:
    made = settings(home, "[models.m]\ncontext = 5\n[models.n]\ncontext = 6", "[models.m]\ncontext = 7\noutput = 2")
    assert {name: (info.context, info.output) for name, info in made.models.items()} == {"m": (7, 2), "n": (6, None)}


@pytest.mark.parametrize(
    ("own", "expected"),
    [("", ["exec_command", "start_command", "x"]), ("[approvals]\ntools = []", ["x"])],
)
def test_a_project_only_adds_to_the_approvals(home: Path, own: str, expected: list[str]) -> None:
    assert settings(home, own, '[approvals]\ntools = ["x"]').asked_first == expected
    assert settings(home, own, "[approvals]\ntools = []").asked_first == expected[:-1]


# --- secrets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    ['"the-key"', '{ env = "K" }', '{ file = "key.txt" }', '{ command = ["printf", "the-key"] }'],
)
def test_a_secret_is_found_wherever_it_is(home: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    (home / "key.txt").write_text("the-key\n")
    monkeypatch.chdir(home)
    made = settings(home, f'[providers.x]\ntype = "anthropic"\napi_key = {secret}')
    one = choose(ModelFlags(provider="x"), {"K": "the-key"}, None, made)
    assert one.handle.to_spec()["api_key"] == "the-key"


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        ('{ env = "NO_SUCH" }', "NO_SUCH in the environment"),
        ('{ file = "nothing.txt" }', "the file nothing.txt"),
        ('{ command = ["false"] }', "false gave no secret: it ended with status 1"),
    ],
)
def test_a_secret_that_is_not_there_is_exit_3_with_its_place(home: Path, secret: str, told: str) -> None:
    made = settings(home, f'[providers.x]\ntype = "anthropic"\napi_key = {secret}')
    with pytest.raises(CliError) as raised:
        choose(ModelFlags(provider="x"), {}, None, made)
    assert raised.value.code is Exit.NO_PROVIDER
    assert told in str(raised.value)
    assert "config.toml:1" in str(raised.value)


def test_a_vendors_kind_takes_the_usual_variable_and_a_strange_server_does_not(home: Path) -> None:
    made = settings(home, '[providers.x]\ntype = "anthropic"\n[providers.y]\ntype = "openai-compatible"\n')
    providers = Providers(made, {"ANTHROPIC_API_KEY": "a", "OPENAI_COMPATIBLE_API_KEY": "b"})
    assert providers.sources["x"].spec()["api_key"] == "a"
    assert "api_key" not in providers.sources["y"].spec()


# --- lash config -------------------------------------------------------------------------------------

FULL = """\
provider = "work"

[providers.work]
type = "anthropic"
api_key = "sk-literal-key"
base_url = "https://user:passwort@example.com"
options = { extra_headers = { x-one = "literal-header", x-two = { command = ["pass", "command-argument"] } } }

[secrets]
tavily_api_key = "tvly-literal"
"""


def configure(lash: Lash, text: str) -> Path:
    """The person's file."""
    file = lash.write("home/config.toml", text)
    file.chmod(0o600)
    return file


def test_show_tells_each_value_with_its_origin(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(lash, 'provider = "openai"\nmax_turns = 7')
    lash.write(".lash/config.toml", '[models."a/b"]\ncontext = 3\n[approvals]\ntools = ["x"]')
    monkeypatch.setenv("LASH_MODEL", "gpt-5.4")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    ran = lash("config", "show")
    shown = [" ".join(line.split()) for line in ran.out.splitlines() if not line.startswith("#")]
    assert (ran.code, ran.err) == (0, "")
    assert shown == [
        'provider = "openai" # user line 1',
        'model = "gpt-5.4" # environment LASH_MODEL',
        'mode = "rlm" # default',
        "max_turns = 7 # user line 2",
        'providers.openai.api_key = { env = "OPENAI_API_KEY" } # environment OPENAI_API_KEY',
        'models."a/b".context = 3 # project line 2',
        "files.allow_write = false # default",
        'approvals.tools = ["exec_command", "start_command", "x"] # default and project line 4',
    ]


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_show_has_no_secret(lash: Lash, flags: tuple[str, ...]) -> None:
    configure(lash, FULL)
    ran = lash("config", "show", *flags)
    assert ran.code == 0
    for secret in ("sk-literal-key", "passwort", "literal-header", "command-argument", "tvly-literal"):
        assert secret not in ran.out + ran.err
    assert "example.com" in ran.out
    assert "pass" in ran.out


def test_show_is_toml_again(lash: Lash) -> None:
    configure(lash, 'model = "a\\tb \\"c\\" ü"\n[providers."a.b"]\ntype = "x"\noptions = { n = 1.5, l = [1, true] }')
    shown = tomllib.loads(lash("config", "show").out)
    assert shown["model"] == 'a\tb "c" ü'
    assert shown["providers"]["a.b"]["options"] == {"n": 1.5, "l": [1, True]}


def test_show_as_json_names_the_files(lash: Lash) -> None:
    file = configure(lash, 'mode = "standard"')
    shown = lash("config", "show", "--json").json
    assert shown["files"]["user"] == {"path": str(file), "exists": True}
    assert not shown["files"]["project"]["exists"]
    assert {"key": "mode", "value": "standard", "origin": "user", "where": "line 1"} in shown["values"]


def test_path_tells_where_files_are_looked_for_even_with_errors_in_them(lash: Lash) -> None:
    file = configure(lash, "no toml")
    ran = lash("config", "path")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"user     {file}\nproject  {lash.folder}/.lash/config.toml  (not there)\n"
    assert lash("config", "path", "--json").json["user"] == {"path": str(file), "exists": True}


def test_check_says_ok(lash: Lash) -> None:
    file = configure(lash, ROUTER)
    ran = lash("config", "check")
    assert (ran.code, ran.out) == (0, f"{file}: ok\n")
    assert ran.err == "warning: provider router cannot be used yet: it needs ROUTER_KEY in the environment\n"


def test_check_warns_of_a_secret_that_is_not_there(lash: Lash) -> None:
    configure(lash, '[secrets]\ntavily_api_key = { env = "NO_SUCH_KEY" }')
    ran = lash("config", "check")
    assert (ran.code, ran.err) == (0, "warning: secrets.tavily_api_key: NO_SUCH_KEY is not in the environment\n")


def test_check_without_files_is_content(lash: Lash) -> None:
    assert lash("config", "check") == (0, "no configuration file is there, and none is needed\n", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("modle = 1", "unknown key `modle`"),
        ('[providers.x]\ntype = "antropic"', "there is no provider kind 'antropic'"),
        ('[providers.x]\ntype = "openai"\nbase_uri = "x"\napi_key = "k"', "base_uri"),
        ('provider = "nobody"', "there is no provider 'nobody'"),
    ],
)
def test_check_tells_what_is_wrong_and_is_exit_2(lash: Lash, text: str, told: str) -> None:
    configure(lash, text)
    ran = lash("config", "check")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert told in ran.err
    found = lash("config", "check", "--json")
    assert (found.code, found.json["ok"]) == (2, False)
    assert told in found.json["errors"][0]


def test_check_runs_no_command_for_a_secret(lash: Lash) -> None:
    secret = f'{{ command = ["touch", "{lash.folder}/ran"] }}'
    configure(lash, f'provider = "x"\n[providers.x]\ntype = "openai"\napi_key = {secret}')
    assert lash("config", "check").code == 0
    assert not (lash.folder / "ran").exists()


def test_a_turn_does_not_begin_with_a_wrong_configuration(lash: Lash) -> None:
    configure(lash, "modle = 1")
    ran = lash.ask("never")
    assert (ran.code, ran.out) == (2, "")
    assert "unknown key `modle`" in ran.err
    assert lash("sessions", "list", "--json").json == []


def test_a_turn_warns_of_a_secret_that_others_can_read(lash: Lash) -> None:
    configure(lash, FULL).chmod(0o640)
    assert "warning: " in lash.ask("Yes.").err
    assert "warning: " not in lash.ask("Yes.", also=("-q",)).err


def test_the_limit_of_model_calls_can_be_configured(lash: Lash) -> None:
    configure(lash, "max_turns = 1")
    ran = lash.ask("```lashlang\nx = 1\n```", "Not done.", also=("--output-schema", str(lash.write("s.json", "{}"))))
    assert ran.code == 5
    assert "no answer within 1 model calls" in ran.err


def test_a_configured_program_answers(lash: Lash) -> None:
    argv = json.dumps(lash.script("It is me.").removeprefix("command:").split())
    configure(lash, f'provider = "mine"\n[providers.mine]\ntype = "command"\nargv = {argv}')
    assert lash("-p", "Who?").out == "It is me.\n"


# --- lines -------------------------------------------------------------------------------------------


def test_keys_are_found_on_their_lines() -> None:
    text = 'a = 1\n[b]  # comment\n"c d" = """\nnothing\n"""\n[ e . "f.g" ]\nh.i = { j = 1 }\n'
    found = lines(text)
    assert found == {("a",): 1, ("b",): 2, ("b", "c d"): 3, ("e", "f.g"): 6, ("e", "f.g", "h", "i"): 7}
    assert line_of(found, ("e", "f.g", "h", "i", "j")) == 7
    assert line_of(found, ("x",)) is None


@pytest.mark.parametrize(
    ("path", "shown"), [(("a", "b-c"), "a.b-c"), (("a", "b.c"), 'a."b.c"'), (("a", 3), "a[3]"), (('q"',), '"q\\""')]
)
def test_paths_are_written_as_toml_writes_them(path: tuple[object, ...], shown: str) -> None:
    assert dotted(path) == shown


@pytest.mark.parametrize("value", ["a\nb\x01\x7f\\", True, 3, [1, "x"], {"a b": {}}])
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    assert tomllib.loads(f"x = {as_toml(value)}")["x"] == value


def test_a_long_line_that_is_no_key_takes_no_longer_than_it_is() -> None:
    text = "\n".join(["a." * 50_000, '"' + "\\a" * 50_000, "'" * 99_999, "[" + "]" * 100_000, "a = 1"])
    assert lines(text) == {("a",): 5}


def test_nothing_of_a_file_steers_the_terminal(lash: Lash) -> None:
    lash.write(".lash/config.toml", '"\\u009b2J\\u202e\\u001b[1m" = 1')
    for command in (("-p", "x"), ("config", "check")):
        ran = lash(*command)
        assert ran.code == 2
        assert not set(ran.err) & set("\x1b\x9b\u202e")


@pytest.mark.parametrize(
    ("text", "environment", "place"),
    [('provider = "nobody"', {}, "config.toml:1: "), ("", {"LASH_PROVIDER": "nobody"}, "LASH_PROVIDER: ")],
)
def test_a_provider_that_there_is_not_is_told_with_where_it_is_named(
    home: Path, text: str, environment: dict[str, str], place: str
) -> None:
    with pytest.raises(CliError) as raised:
        chosen(settings(home, text), environment)
    assert f"{place}there is no provider 'nobody'" in str(raised.value)


def test_standard_input_may_be_closed(lash: Lash) -> None:
    argv = lash.argv("-p", "Go.", "--provider", lash.script("Yes."))
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *argv], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"Yes.\n"), done.stderr


def test_a_session_goes_on_where_the_provider_of_the_file_has_no_key(home: Path) -> None:
    made = settings(home, f'provider = "router"\n{ROUTER}')
    stored = PersistedSessionConfig("rlm", "anthropic", "claude-sonnet-4-6", None, 200_000)
    assert choose(ModelFlags(), {"ANTHROPIC_API_KEY": "k"}, stored, made).label == "anthropic"
