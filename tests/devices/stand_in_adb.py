"""Stands in for adb: takes the commands that adb takes, in adb's form, and runs them on this machine.

It behaves like an old adb: the exit status of a shell command is lost, and lines end with CR LF. The folder
/data/local/tmp of the device is ADB_ROOT/tmp here; every command is appended to ADB_ROOT/log.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

SERIAL = "emulator-5554"
DEVICE_TMP = "/data/local/tmp"


def main(arguments: list[str]) -> int:
    root = Path(os.environ["ADB_ROOT"])
    with (root / "log").open("a") as log:
        log.write(json.dumps(arguments) + "\n")
    if arguments[:1] == ["-s"]:
        if arguments[1] != SERIAL:
            return complain(f"device '{arguments[1]}' not found")
        arguments = arguments[2:]
    state = (root / "state").read_text()
    if state == "offline":
        return complain("no devices/emulators found")
    if state == "unauthorized":
        return complain("device unauthorized.")
    verb, *rest = arguments
    return {"shell": shell, "push": push, "pull": pull}[verb](rest, root)


def complain(message: str) -> int:
    print(f"adb: error: {message}", file=sys.stderr)
    return 1


def here(path: str, root: Path) -> str:
    return path.replace(DEVICE_TMP, str(root / "tmp"))


def shell(rest: list[str], root: Path) -> int:
    done = subprocess.run(["sh", "-c", here(" ".join(rest), root)], capture_output=True, check=False)
    output = (done.stdout + done.stderr).replace(str(root / "tmp").encode(), DEVICE_TMP.encode())
    sys.stdout.buffer.write(output.replace(b"\n", b"\r\n"))
    return 0


def push(rest: list[str], root: Path) -> int:
    *sources, target = rest
    folder = Path(here(target, root))
    if not target.startswith(DEVICE_TMP) or not target.endswith("/") or not folder.is_dir():
        return complain(f"target '{target}' is not a directory")
    for source in sources:
        shutil.copyfile(source, folder / Path(source).name)
    return 0


def pull(rest: list[str], root: Path) -> int:
    source, target = rest
    path = Path(here(source, root))
    if not path.is_file():
        return complain(f"failed to stat remote object '{source}': No such file or directory")
    shutil.copyfile(path, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
