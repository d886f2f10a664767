"""What `deploy/` ships fits the code, as far as that shows without a machine to deploy on."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests import factories
from xanes_live.config import API_KEY_VARIABLE, Config, load
from xanes_live.service.metrics import registry
from xanes_live.service.readings import Readings
from xanes_live.service.state import ServiceState

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
_NAME = re.compile(r"\b(?:xanes_live|process)_[a-z_]+\b")


def exposed() -> set[str]:
    """Return the name of every sample the service exposes."""
    readings = Readings(
        now=1.0,
        state=ServiceState(started=0.0),
        threads={"worker": True},
        models=(factories.MODEL,),
        device_memory={"cuda:0": 1},
    )
    own: CollectorRegistry = registry(lambda: readings)
    return {sample.name for family in own.collect() for sample in family.samples}


def expressions(found: object) -> list[str]:
    """Return every PromQL expression in a parsed file."""
    if isinstance(found, dict):
        own = [found[key] for key in ("expr", "query") if isinstance(found.get(key), str)]
        return own + [text for value in found.values() for text in expressions(value)]
    if isinstance(found, list):
        return [text for value in found for text in expressions(value)]
    return []


@pytest.mark.parametrize("name", ["prometheus/alerts.yml", "grafana/dashboard.json"])
def test_every_metric_that_is_asked_for_exists(name):
    found = expressions(yaml.safe_load((DEPLOY / name).read_text()))
    asked = {metric for text in found for metric in _NAME.findall(text)}
    assert len(asked) > 10
    assert asked - exposed() == set()


def test_every_metric_is_shown_or_watched():
    both = "".join(
        (DEPLOY / name).read_text() for name in ("prometheus/alerts.yml", "grafana/dashboard.json")
    )
    own = {name for name in exposed() if name.startswith("xanes_live_")}
    # a dashboard shows bounds of a histogram, not its count and sum; the limit is in an alert
    seen = {name for name in own if not name.endswith(("_count", "_sum"))}
    assert seen - set(_NAME.findall(both)) == set()


def test_alerts_say_what_to_do():
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_prometheus_scrapes_the_port_of_the_defaults():
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"service:{Config().metrics.port}"]
    assert config["rule_files"] == ["alerts.yml"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Prometheus")
def test_promtool_agrees():
    subprocess.run(["promtool", "check", "rules", DEPLOY / "prometheus/alerts.yml"], check=True)


def test_panels_of_the_dashboard_do_not_overlap():
    panels = json.loads((DEPLOY / "grafana/dashboard.json").read_text())["panels"]
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


# -- configurations --


@pytest.mark.parametrize("name", ["beamline.toml", "kafka/beamline.toml"])
def test_configurations_are_possible(name):
    config = load(DEPLOY / name)
    tags = yaml.safe_load((DEPLOY / "tiled/tags.yml").read_text())
    assert set(config.tiled.access_tags) <= tags["tag_owners"].keys()
    assert config.tiled.api_key is None


def test_every_variable_of_tiled_is_guarded_and_explained():
    tiled = DEPLOY / "tiled"
    used = set(re.findall(r"\$\{(\w+)\}", re.sub(r"#.*", "", (tiled / "config.yml").read_text())))
    assert len(used) > 5
    guarded = re.search(r"for name in (.*?); do", (tiled / "serve.sh").read_text(), re.DOTALL)
    assert guarded is not None
    assert set(guarded[1].replace("\\", " ").split()) == used
    explained = set(re.findall(r"^(\w+)=", (tiled / "tiled.env.example").read_text(), re.MULTILINE))
    assert explained == used
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert compose["x-tiled-environment"].keys() == used


def test_one_provider_name_in_tiled():
    config = yaml.safe_load((DEPLOY / "tiled/config.yml").read_text())
    names = {p["provider"] for p in config["authentication"]["providers"]}
    names |= {a["provider"] for a in config["authentication"]["tiled_admins"]}
    names.add(config["access_control"]["args"]["provider"])
    assert len(names) == 1


def test_scopes_of_keys_are_those_of_their_tags():
    """A key that may do more, or less, than its account's tags is a mistake in one of the two."""
    roles = yaml.safe_load((DEPLOY / "tiled/tags.yml").read_text())
    granted: dict[str, set[str]] = {}
    for tag in roles["tags"].values():
        for user in tag["users"]:
            scopes = set(roles["roles"][user["role"]]["scopes"])
            granted.setdefault(user["name"].strip("{}"), set()).update(scopes)
    module = ast.parse((DEPLOY / "tiled/make_keys.py").read_text())
    values: dict[str, tuple[str, ...]] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in {"READ", "WRITE", "STORE"}:
                values[name] = eval(ast.unparse(statement.value), {}, values)  # noqa: S307
    keys = {"reader": "READ", "service": "WRITE", "writer": "STORE"}
    assert {role: set(values[name]) for role, name in keys.items()} == granted


# -- systemd --


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_the_unit(unit, tmp_path):
    # what the unit starts is not installed here
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text())
    (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_hardened_and_come_back(unit):
    found = settings(unit)
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictNamespaces"):
        assert found[name] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["Restart"] == ["always"]
    assert found["EnvironmentFile"][0].startswith("/etc/xanes-live/")


def test_the_service_is_watched():
    found = settings(DEPLOY / "systemd/xanes-live.service")
    assert found["Type"] == ["notify"]
    assert int(found["WatchdogSec"][0]) >= 30  # a look takes seconds on a busy machine


@pytest.mark.parametrize("unit", [u for u in UNITS if u.name != "tiled.service"])
def test_units_start_commands_that_exist(unit):
    from typer.main import get_command

    from xanes_live.cli import app

    words = settings(unit)["ExecStart"][0].split()
    command = get_command(app)
    name = next(word for word in words[1:] if word in command.commands)
    options = {opt for p in command.commands[name].params for opt in p.opts}
    options |= {opt for p in command.params for opt in p.opts}
    assert {word for word in words if word.startswith("--")} <= options


# -- containers --


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def stages() -> dict[str, str]:
    """Return the text of each stage of the Containerfile."""
    text = (DEPLOY / "Containerfile").read_text()
    parts = re.split(r"(?m)^FROM \S+ AS (\w+)$", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_what_is_copied_exists():
    copied = [
        word
        for text in stages().values()
        for line in re.findall(r"(?m)^COPY (.+)$", text)
        for word in line.split()[:-1]
    ]
    assert copied
    missing = {word for word in copied if not (ROOT / word).exists()}
    assert missing == set()


def test_images_do_not_run_as_root():
    assert all("\nUSER xanes-live\n" in stages()[name] for name in ("service", "tiled"))


def test_services_of_compose_fit_together(compose):
    services, built = compose["services"], stages()
    for name, service in services.items():
        if "build" in service:
            assert service["build"]["target"] in built
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
        assert service.get("depends_on", {}).keys() <= services.keys()
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            if source.startswith("./") and source != "./keys":
                assert (DEPLOY / source).exists(), f"{name}: {source}"
            elif not source.startswith(("/", ".")):
                assert source in compose["volumes"], f"{name}: {source}"


def test_only_loopback_is_listened_on(compose):
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_secrets_have_to_be_given(compose):
    text = (DEPLOY / "compose.yaml").read_text()
    given = set(re.findall(r"^(\w+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"\$\{(\w+)", text)) <= given
    for secret in ("ADMIN_PASSWORD", "SIGNING_KEY", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"):
        assert f"${{{secret}:?" in text
    assert compose["services"]["service"]["env_file"][0]["path"] == "./keys/service.env"


def test_scripts_are_executable():
    assert os.access(DEPLOY / "tiled/serve.sh", os.X_OK)
    assert API_KEY_VARIABLE in (DEPLOY / "tiled/make_keys.py").read_text()
