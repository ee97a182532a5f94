"""The ssh device against a real OpenSSH server on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.devices.open import open_device
from edgecompile.devices.remote import RemoteDevice
from edgecompile.devices.ssh import open_ssh
from edgecompile.errors import DeviceError, MissingToolError, UsageError
from tests.devices.sshd import Server, running_server
from tests.fakes.build import fake_runner, request_for
from tests.fakes.network import Bug, make_samples

SAMPLES = make_samples(3)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running_server(tmp_path) as running:
        monkeypatch.setenv("PATH", f"{running.bin}:{os.environ['PATH']}")
        yield running


def processes_in(folder: str) -> list[str]:
    """Processes whose working folder is, or was, `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = os.readlink(process / "cwd")
        except OSError:
            continue
        if where.startswith(folder):
            found.append(process.name)
    return found


def test_a_network_runs_on_the_board_and_leaves_nothing_there(server: Server) -> None:
    with open_device(f"ssh://{server.address}", find_target("host")) as device:
        assert isinstance(device, RemoteDevice)
        folder = device.folder
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        first = device.run(request_for(fake_runner("host"), SAMPLES, repeats=2))
        traced = device.run(request_for(fake_runner("host", trace=True), SAMPLES, trace=True))
        assert device.health().startswith("Linux ")
    SAMPLES.check(first.outputs)
    assert len(first.nanoseconds) == 6
    SAMPLES.check(traced.outputs)
    SAMPLES.check_trace(traced.trace)
    assert len(traced.step_nanoseconds) == 3
    assert device.level == "executed-on-device"
    assert not Path(folder).exists()


def test_all_commands_share_one_connection(server: Server) -> None:
    with open_ssh(server.address) as device:
        for _ in range(3):
            SAMPLES.check(device.run(request_for(fake_runner("host"), SAMPLES)).outputs)
    log = (server.folder / "sshd.log").read_text()
    assert log.count("Accepted publickey") == 1


@pytest.mark.parametrize(
    ("bug", "message"),
    [("CRASH", r"EC7002.*crashed with SIG"), ("ARENA_OVERRUN", r"EC7005.*wrote outside of its memory")],
)
def test_a_failure_of_the_program_is_told_from_one_of_the_line(
    server: Server, bug: Bug, message: str
) -> None:
    executable = fake_runner("host", bug=bug)
    with open_ssh(server.address) as device:
        folder = device.folder
        with pytest.raises(DeviceError, match=message):
            device.run(request_for(executable, SAMPLES))
        # The board is still there.
        SAMPLES.check(device.run(request_for(fake_runner("host"), SAMPLES)).outputs)
    assert not Path(folder).exists()


def test_a_network_that_hangs_is_stopped_on_the_board(server: Server) -> None:
    with open_ssh(server.address) as device:
        folder = device.folder
        with pytest.raises(DeviceError, match=r"EC7003.*it ran longer than 1 s"):
            device.run(request_for(fake_runner("host", bug="HANG"), SAMPLES, timeout_s=1))
        assert Path(folder).exists()
        assert not processes_in(folder)
    assert not Path(folder).exists()


def test_a_board_that_is_switched_off_is_lost(server: Server) -> None:
    server.stop()
    with pytest.raises(DeviceError) as raised, open_ssh(server.address):
        pass
    message = str(raised.value)
    assert message.startswith(f"error[EC7001] the device cannot be reached at 'ssh://{server.address}': ")
    assert "Connection refused" in message
    login = f"ssh -p {server.port} {server.address.partition(':')[0]}"
    assert message.endswith(f"Fix: check that this works: {login}.")


def test_a_board_that_vanishes_in_use_is_lost(server: Server) -> None:
    device = open_ssh(server.address)
    device.__enter__()
    # As if the cable were pulled: the shared connection ends, and no new one can be made.
    device.transport.close()
    server.stop()
    with pytest.raises(DeviceError, match="EC7001") as raised:
        device.run(request_for(fake_runner("host"), SAMPLES))
    # Leaving does not hide the error with another one.
    device.__exit__(DeviceError, raised.value, None)


def test_an_unknown_host_key_is_not_accepted_silently(server: Server) -> None:
    (server.folder / "known_hosts").write_text("")
    with pytest.raises(DeviceError) as raised, open_ssh(server.address):
        pass
    assert "Host key verification failed" in str(raised.value)
    assert "Fix: connect once by hand to accept its key: ssh -p" in str(raised.value)


def test_a_key_that_is_not_accepted_asks_for_no_password(server: Server) -> None:
    server.configure_client(f"  IdentityFile {server.folder}/stranger_key", "  IdentitiesOnly yes")
    with pytest.raises(DeviceError) as raised, open_ssh(server.address):
        pass
    assert "Permission denied" in str(raised.value)
    assert "Fix: set up a key: ssh-copy-id -p" in str(raised.value)


@pytest.mark.parametrize(
    "address",
    ["", "-oProxyCommand=reboot", "user@-host", "-l@host", "host:22x", "host:port", "a b", "h;reboot", "::1"],
)
def test_what_is_not_an_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"EC2023.*not an ssh address.*write ssh://host"):
        open_ssh(address)


@pytest.mark.parametrize(
    ("address", "destination", "last"),
    [
        ("board", "board", "board"),
        ("pi@board.local:2222/", "pi@board.local", "2222"),
        ("pi@[fe80::1%eth0]:22", "pi@[fe80::1%eth0]", "22"),
    ],
)
def test_addresses_become_arguments(address: str, destination: str, last: str) -> None:
    transport = open_ssh(address).transport
    shell, pull = transport.shell("true"), transport.pull("/tmp/x", Path("here"))
    assert shell[-2:] == [destination.replace("[", "").replace("]", ""), "true"]
    assert pull[-2:] == [f"{destination}:/tmp/x", "here/"]
    assert last in shell
    assert "BatchMode=yes" in shell


def test_missing_ssh_names_the_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as raised, open_ssh("board"):
        pass
    assert str(raised.value) == "error[EC5001] ssh not found. Fix: apt install openssh-client."
