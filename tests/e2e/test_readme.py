"""What the README tells a newcomer to paste works as it stands."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memsvc.demo.service import ServiceProcess

README = (Path(__file__).parents[2] / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("readme") / "data") as running:
        yield running


def run(command: list[str], service: ServiceProcess) -> str:
    env = {
        **os.environ,
        "MEMSVC_URL": service.url,
        "MEMSVC_API_KEY": service.api_key,
        "MEMSVC_DATA_DIR": str(service.log_file.parent),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_pages_commands_in_their_order(service: ServiceProcess) -> None:
    curls = next(block for block in blocks("sh") if "curl" in block)
    script = curls.replace("http://127.0.0.1:8377", service.url)
    script = re.sub(r"^KEY=.*$", f"KEY={service.api_key}", script, flags=re.MULTILINE)
    added, recalled, context = (
        json.loads(line)
        for line in run(["bash", "-ec", script.replace("}'\n", "}'; echo\n")], service).splitlines()
        if line
    )
    assert added["receipt"]["created"] == 3
    assert recalled["results"][0]["memory"]["content"] == "Yes. And remember that I am allergic to peanuts."
    assert "I moved to Porto last week" in context["text"]
    assert "The balcony gets sun until noon." in run([sys.executable, "-c", blocks("python")[0]], service)
    ran = run([sys.executable, "-c", f"from memsvc.sdk import MemoryClient\n{blocks('python')[2]}"], service)
    assert "supersede None" in ran
    assert ran.splitlines()[-1] == "Ana and others rehearse at Fern Hall now"
    shell = next(block for block in blocks("sh") if "memsvc recall" in block)
    shown = run(["bash", "-ec", shell.replace("memsvc doctor", "true")], service)
    assert "Rui" in shown


def test_the_demo_shows_its_result_and_leaves_nothing_running() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "memsvc", "demo"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hit" in done.stdout
    assert "Traceback" not in done.stderr
    left = subprocess.run(["pgrep", "-f", "memsvc.*serve.*demo"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
