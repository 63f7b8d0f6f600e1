"""Write `memsvc/sdk/_sync.py` from `memsvc/sdk/_async.py`.

`python tools/generate_sync.py` writes the file; with `--check` it only says whether the file is up to date
(exit status 1 when it is not). Lines that end in `# async only` are left out.
"""

import re
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent / "memsvc" / "sdk"
LINT = "# ruff: noqa: UP028 - `yield from` has no asynchronous form"
HEADER = '"""The synchronous client: generated from `_async.py` by `tools/generate_sync.py`; change that file."""'
RENAMED = {
    "AsyncMemoryClient": "MemoryClient",
    "AsyncClient": "Client",
    "AsyncBaseTransport": "BaseTransport",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "send_concurrently": "send_in_order",
    "asyncio": "time",
    "share it between tasks": "share it between threads",
}


def synchronous(source: str) -> str:
    """The source of the synchronous client, laid out by ruff."""
    lines = [line for line in source.splitlines() if not line.endswith("# async only")]
    text = "\n".join([LINT, HEADER, *lines[1:], ""])
    text = re.sub(r"\b(async|await) ", "", text).replace("  # noqa: ASYNC109", "")
    for name, replacement in RENAMED.items():
        text = re.sub(rf"\b{name}\b", replacement, text)
    return _through_ruff(_through_ruff(text, "check", "--select", "I", "--fix", "--quiet"), "format")


def _through_ruff(text: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(SDK / "_sync.py"), "-"]
    return subprocess.run(command, input=text, capture_output=True, check=True, encoding="utf-8").stdout  # noqa: S603


def main() -> int:
    """Write or check; the exit status."""
    target = SDK / "_sync.py"
    generated = synchronous((SDK / "_async.py").read_text(encoding="utf-8"))
    if "--check" not in sys.argv[1:]:
        target.write_text(generated, encoding="utf-8")
        return 0
    if target.read_text(encoding="utf-8") == generated:
        return 0
    sys.stderr.write(f"{target} is not up to date; run python tools/generate_sync.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
