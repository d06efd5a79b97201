"""The real service takes a model that a command installs, while it runs, and goes on with what it had opened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fakes.bundles import Operator, archive, make_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.appliance_process import Config


def test_a_model_is_installed_into_the_running_service(start: Any, run: Any, config: Config, tmp_path: Path) -> None:
    operator = Operator(tmp_path / "keys")
    bundle = make_bundle(tmp_path / "made", version="102", key=operator.key)
    packed = archive(bundle, tmp_path / "kiosk-2.tar.gz")
    config.cameras[0]["loop"] = True
    config.tables["model"] = {"trusted_keys": "keys"}
    config.tables["rules.loitering"] = {"dwell_s": 0.5}
    config.tables["incidents"] = {"close_after_s": 60.0}
    path = config.write()
    box = start(path)
    opened = box.wait_for("incident", change="opened", rule="loitering", timeout_s=90)

    done = run("model", "install", packed, "--config", path, timeout_s=180)
    assert done.returncode == 0, done.stderr
    assert "kiosk 102 is the current model" in done.stdout
    box.wait_for("model_exchanged", model="kiosk 102", timeout_s=90)
    judged = json.loads(box.ask("health")[1])["details"]["frames_judged"]
    health = json.loads(box.ask("health")[1])
    assert health["details"]["model"] == "kiosk 102"
    (check,) = health["checks"]["installed_model"]
    assert check["output"].startswith("kiosk 102 since ")
    assert "on trial" in check["output"]
    assert judged > 0
    assert box.said("incident", change="closed", incident_id=opened["incident_id"]) == []

    assert run("model", "verify", "--config", path, timeout_s=180).returncode == 0
    assert "shipped" in run("model", "rollback", "--config", path, timeout_s=180).stdout
    box.wait_for("model_exchanged", count=2, timeout_s=90)
    assert json.loads(box.ask("health")[1])["details"]["model"] != "kiosk 102"
    listed = run("model", "list", "--config", path).stdout.splitlines()
    assert [line.split()[1] for line in listed if line.startswith("*")] == ["shipped"]
