"""Write the synchronous client: `memsvc/sdk/_sync*.py`, each from the `_async*.py` beside it.

`python tools/generate_sync.py` writes the files; with `--check` it only says whether they are up to date (exit status 1
when one is not). Lines that end in `# async only` are left out.
"""

import re
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent / "memsvc" / "sdk"
LINT = "# ruff: noqa: UP028 - `yield from` has no asynchronous form"
HEADER = '"""Synchronous: generated from `{source}` by `tools/generate_sync.py`; change that file."""'
RENAMED = {
    "aiter_bytes": "iter_bytes",
    "aread": "read",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "send_concurrently": "send_in_order",
    "asyncio": "time",
    "share it between tasks": "share it between threads",
}


def synchronous(source: str, name: str) -> str:
    """The synchronous form of the file `name` with this source, laid out by ruff."""
    lines = [line for line in source.splitlines() if not line.endswith("# async only")]
    lint = [LINT] if re.search(r"^\s+yield ", source, re.MULTILINE) else []
    text = "\n".join([*lint, HEADER.format(source=name), *lines[1:], ""])
    text = re.sub(r"\b(async|await) ", "", text).replace("  # noqa: ASYNC109", "")
    text = re.sub(r"\bAsync([A-Z]\w+)", r"\1", text)
    text = re.sub(r"\b_async(_\w+)?\b", r"_sync\1", text).replace("`_sync", "`_async", 1)
    for old, new in RENAMED.items():
        text = re.sub(rf"\b{old}\b", new, text)
    return _through_ruff(_through_ruff(text, "check", "--select", "I", "--fix", "--quiet"), "format")


def _through_ruff(text: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(SDK / "_sync.py"), "-"]
    return subprocess.run(command, input=text, capture_output=True, check=True, encoding="utf-8").stdout  # noqa: S603


def main() -> int:
    """Write or check; the exit status."""
    stale = []
    for source in sorted(SDK.glob("_async*.py")):
        target = source.with_name(source.name.replace("_async", "_sync"))
        generated = synchronous(source.read_text(encoding="utf-8"), source.name)
        if "--check" not in sys.argv[1:]:
            target.write_text(generated, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != generated:
            stale.append(target.name)
    if stale:
        sys.stderr.write(f"not up to date: {', '.join(stale)}; run python tools/generate_sync.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
