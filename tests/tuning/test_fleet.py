"""A fleet on this machine: a scheduler and workers in processes of their own, mutual TLS between all."""

from __future__ import annotations

import datetime
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edgecompile.cli.main import main
from edgecompile.core.device import Platform, RunRequest, RunResult
from edgecompile.core.target import find_target
from edgecompile.errors import DeviceError, EdgeCompileError, UsageError
from edgecompile.tuning import fleet as fleet_module
from edgecompile.tuning import fleet_worker, pool
from edgecompile.tuning.database import Database
from edgecompile.tuning.fleet import Fleet, FleetDevice
from edgecompile.tuning.fleet_access import Access, read_access
from edgecompile.tuning.fleet_scheduler import run_scheduler
from edgecompile.tuning.fleet_worker import Offer, run_worker
from edgecompile.tuning.measure import Bench
from edgecompile.tuning.record import canonical
from edgecompile.tuning.session import Budget
from edgecompile.tuning.tune import JOURNAL, TuneOptions, tune
from edgecompile.tuning.versions import tool_versions
from tests.support.networks import save, small_cnn
from tests.support.scripted import Scripted

Capture = pytest.CaptureFixture[str]
HOST = find_target("host")


@dataclass
class Running:
    """The verbs that run, by the names of the workers; "" is the scheduler."""

    file: Path
    processes: dict[str, subprocess.Popen[str]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A scheduler and two workers, each with a device and a builder."""
    folder = tmp_path_factory.mktemp("fleet")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        file = write_access(folder, f"tls://127.0.0.1:{free.getsockname()[1]}")
    commands = {"": ["scheduler", str(file)]}
    for name in ("one", "two"):
        device = ["-t", "host", "--device", "fake:none", "--builders", "1", "--name", name]
        commands[name] = ["worker", str(file), *device]
    with ExitStack() as stack:
        found = Running(file, {})
        for name, words in commands.items():
            command = [sys.executable, "-m", "edgecompile", "fleet", *words]
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            found.processes[name] = process
        for name, process in found.processes.items():
            assert process.stderr is not None
            assert process.stderr.readline().startswith(f"worker {name}: 1 builders" if name else "scheduler")
        yield found


def write_access(folder: Path, scheduler: str) -> Path:
    """A fleet file, an authority and a certificate."""
    write_certificates(folder)
    lines = [f'scheduler = "{scheduler}"', 'ca = "ca.pem"', 'certificate = "me.pem"', 'key = "me.key"']
    path = folder / "fleet.toml"
    path.write_text("\n".join(["schema = 1", "[fleet]", *lines]))
    return path


def write_certificates(folder: Path) -> None:
    """ca.pem, and me.pem with me.key, which it signed."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("fleet", "me"))
    now = datetime.datetime.now(datetime.UTC)
    for name, owner, public, is_ca in (("ca", issuer, authority, True), ("me", subject, key, False)):
        made = (
            x509.CertificateBuilder()
            .issuer_name(issuer)
            .subject_name(owner)
            .public_key(public.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .sign(authority, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "me.key").write_bytes(pem)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(small_cnn(), tmp_path_factory.mktemp("network") / "cnn.onnx"))


def test_strangers_are_not_let_in(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "_CONNECT_S", 1)
    access = read_access(running.file)
    with pytest.raises(DeviceError, match=r"EC7017\] the scheduler of the fleet cannot be reached"):
        Fleet(read_access(write_access(tmp_path, access.scheduler)), HOST).__enter__()
    plain = Access(access.scheduler.replace("tls", "tcp"))
    with pytest.raises(DeviceError, match="EC7017"):
        Fleet(plain, HOST).__enter__()


def test_there_has_to_be_a_device_for_the_target(running: Running) -> None:
    with pytest.raises(DeviceError) as raised:
        Fleet(read_access(running.file), find_target("cortex-m4")).__enter__()
    assert "error[EC7016] no worker of the fleet has a device for 'cortex-m4'" in str(raised.value)
    assert "edgecompile fleet worker FILE -t cortex-m4" in str(raised.value)


def test_a_worker_that_is_killed_costs_no_record(
    running: Running, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was measuring and building is done by the other one."""
    monkeypatch.setattr(pool, "_PAUSE_S", 0.05)
    run, runs = FleetDevice.run, list[RunRequest]()

    def killed_while_it_runs(device: FleetDevice, request: RunRequest) -> RunResult:
        if device.name == "one":
            runs.append(request)
        # Its first run is measured; in the second one it stands still, and dies.
        if len(runs) == 2:
            running.processes["one"].send_signal(signal.SIGSTOP)
            threading.Timer(0.3, running.processes["one"].kill).start()
        return run(device, request)

    monkeypatch.setattr(FleetDevice, "run", killed_while_it_runs)
    access = read_access(running.file)
    options = TuneOptions(HOST, tmp_path, budget=Budget(24), rerank=False, fleet=access)
    result = tune(network, options)
    one, two = result.progress.devices
    assert (one.device.partition(":")[0], two.device.partition(":")[0]) == ("one", "two")
    assert one.failures == 4
    assert "EC7018] the worker with the device is lost at 'one'" in one.out
    assert (two.failures, two.out) == (0, "")
    database = Database.open(tmp_path)
    candidates = {(trial.workload, canonical(trial.candidate)) for trial in database.trials}
    assert len(candidates) == len(database.trials) == 24 == result.progress.measured
    # On a busy machine a figure may scatter; a worker that is lost is no failure of a candidate.
    assert {trial.failure for trial in database.trials} <= {None, "noisy"}
    assert {trial.versions == tool_versions() for trial in database.trials} == {True}
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]
    assert not database.damages


def test_a_session_without_scheduler_ends_with_all_saved(
    running: Running, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comes last: there is no fleet any more then."""
    monkeypatch.setattr(pool, "_PAUSE_S", 0.05)
    monkeypatch.setattr(fleet_module, "_CONNECT_S", 2)
    options = TuneOptions(HOST, tmp_path, rerank=False, fleet=read_access(running.file))
    with pytest.raises(DeviceError) as raised:
        tune(network, options, lambda tuned: running.processes[""].kill())
    assert raised.value.exit_code == 7
    assert "EC7017" in str(raised.value)
    assert len(Database.open(tmp_path).trials) >= 8


def test_what_is_not_mutual_tls_is_refused(network: str, tmp_path: Path, capsys: Capture) -> None:
    file = write_access(tmp_path, "tcp://127.0.0.1:1")
    words = ["tune", network, "-t", "host", "--records", str(tmp_path / "r"), "--fleet", str(file)]
    for command in (words, ["fleet", "scheduler", str(file)], ["fleet", "worker", str(file)]):
        assert main(command) == 2
        shown = capsys.readouterr().err
        assert "error[EC2041] a fleet has to be reached by mutual TLS" in shown
        assert "with --insecure, whoever reaches the port is let in" in shown
    assert read_access(file, insecure=True).protocol == "tcp"
    assert main([*words, "--device", "local"]) == 2
    assert "error[EC2045] a fleet has its own devices" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scheduler = 'tls://host:1'\nca = 'ca.pem'", "EC2041.*without certificate, key"),
        ("scheduler = 'host:1'", "EC2042] not the address of a scheduler at 'host:1'"),
        ("scheduler = 'tls://host'", "EC2042"),
        ("ca = 'ca.pem'", "EC3020] missing field 'scheduler'"),
        ("scheduler = 1", "EC3020] bad value 1"),
        ("scheduler =", "EC3020] cannot read the fleet file"),
    ],
)
def test_fleet_files_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(f"schema = 1\n[fleet]\n{text}\n")
    with pytest.raises(EdgeCompileError, match=message.replace("]", r"\]")):
        read_access(file)


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    access = read_access(write_access(tmp_path, "tls://127.0.0.1:1"))
    (tmp_path / "me.key").write_text("nothing")
    with pytest.raises(UsageError, match=r"EC2044\] the certificates of the fleet cannot be used"):
        access.security()


def test_without_the_extra(
    network: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    file = write_access(tmp_path, "tls://127.0.0.1:1")
    words = ["tune", network, "-t", "host", "--records", str(tmp_path / "r"), "--fleet", str(file)]
    assert main(words) == 5
    shown = capsys.readouterr().err
    assert "error[EC5570] the package 'distributed' is not installed" in shown
    assert "pip install 'edgecompile[fleet]'" in shown


def test_a_board_that_needs_files_of_its_machine_is_not_shared(tmp_path: Path) -> None:
    access = read_access(write_access(tmp_path, "tls://127.0.0.1:1"))
    bench = Bench(HOST, Scripted([1.0], platform=Platform((), serial=True)), "seconds")
    with pytest.raises(UsageError, match=r"EC2043\] the device cannot be shared at 'scripted'"):
        run_worker(access, "me", 1, bench, lambda offer: None)


def test_without_a_scheduler_there_is_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_worker, "_SCHEDULER_S", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        access = read_access(write_access(tmp_path, f"tls://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(DeviceError, match=r"EC7017.*edgecompile fleet scheduler FILE") as raised:
            run_worker(access, "me", 1, None, lambda offer: None)
        assert raised.value.problems[0].why
        with pytest.raises(DeviceError, match=r"EC7017.*in use"):
            run_scheduler(access, lambda address: None)


def test_workers_that_do_not_fit_are_left_out() -> None:
    fleet = Fleet(Access("tls://host:1"), HOST)
    offer = Offer("me", 1, tool_versions(), "host", fleet.target.isa.cpu)
    assert fleet.misfit(offer) == ""
    older = replace(offer, versions={**offer.versions, "edgecompile": "0"})
    assert fleet.misfit(older) == "it has edgecompile 0"
    assert fleet.misfit(replace(offer, cpu="i386")).startswith("its processor is i386, that of the session")
