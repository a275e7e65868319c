"""The bulk child with real messages, kills and full disks."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.bulk import Bulk
from keys.keyring import Keypair
from keys.sealing import Certificate, Opener
from mail.errors import Damaged, Unavailable
from tests.keys.openpgp import ToCertificate, compressed, literal

MB = 1 << 20


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    made = Bulk()
    yield made
    made.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "sealed", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    yield fd
    os.close(fd)


def file_of(tmp_path: Path, content: bytes) -> int:
    path = tmp_path / "given"
    path.write_bytes(content)
    return os.open(path, os.O_RDONLY)


def test_round_trip(bulk: Bulk, certificate: Certificate, opener: Opener, target: int) -> None:
    async def scenario() -> None:
        for content in (b"", b"x", os.urandom(3 * MB)):
            await bulk.seal(content, certificate, target)
            sealed = os.pread(target, 4 * MB, 0)
            assert opener.open(sealed) == content
            assert await bulk.open(target, opener) == content

    asyncio.run(scenario())


def test_what_the_worker_sealed_the_child_opens(
    bulk: Bulk, certificate: Certificate, opener: Opener, tmp_path: Path
) -> None:
    source = file_of(tmp_path, certificate.seal(b"small"))
    assert asyncio.run(bulk.open(source, opener)) == b"small"
    os.close(source)


def test_damaged_files(bulk: Bulk, certificate: Certificate, opener: Opener, tmp_path: Path) -> None:
    sealed = certificate.seal(os.urandom(MB))
    flipped = bytearray(sealed)
    flipped[MB // 2] ^= 1
    for bad in (b"", b"x", sealed[:-1], sealed + b"x", bytes(flipped), sealed[: MB // 2]):
        source = file_of(tmp_path, bad)
        with pytest.raises(Damaged):
            asyncio.run(bulk.open(source, opener))
        os.close(source)
    source = file_of(tmp_path, sealed)
    assert len(asyncio.run(bulk.open(source, opener))) == MB
    os.close(source)


@pytest.mark.slow
def test_a_compression_bomb_is_cut_off(bulk: Bulk, pair: Keypair, opener: Opener, tmp_path: Path) -> None:
    """Nested 1000:1: 2 GB of zeros in a few kilobytes, and one of 100 MB with a large ciphertext."""
    nested = compressed(compressed(literal(bytes(200 * MB))))
    assert len(nested) < 10_000
    for inner in (nested, compressed(literal(os.urandom(MB) + bytes(100 * MB)))):
        source = file_of(tmp_path, ToCertificate(pair.certificate).protected(inner))
        with pytest.raises(Damaged):
            asyncio.run(bulk.open(source, opener))
        os.close(source)
        assert bulk.child_pid is not None
        assert peak_kib(bulk.child_pid) < 200 * 1024


def test_fifty_megabytes_without_stalling_the_loop(
    bulk: Bulk, certificate: Certificate, opener: Opener, target: int
) -> None:
    content = os.urandom(50 * MB)
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - start)

    async def scenario() -> bytes:
        await bulk.seal(b"warm", certificate, target)  # the child's own start is not what we measure
        watching = asyncio.create_task(watch())
        await bulk.seal(content, certificate, target)
        opened = await bulk.open(target, opener)
        watching.cancel()
        return opened

    before = peak_kib(os.getpid())
    assert asyncio.run(scenario()) == content
    assert worst < 0.1
    # Ours grows by the returned copy alone (the memfd is counted once more by the kernel, not here).
    assert peak_kib(os.getpid()) - before < 60 * 1024
    assert bulk.child_pid is not None
    # 43 MB of interpreter and library, up to 50 MB of the mapped file, and Sequoia's look-ahead of
    # 25 MB in each of its layers, which does not grow with the message.
    assert peak_kib(bulk.child_pid) < 280 * 1024


def test_a_full_disk_is_our_fault(bulk: Bulk, certificate: Certificate, opener: Opener) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(Unavailable):
        asyncio.run(bulk.seal(bytes(MB), certificate, full))
    os.close(full)


def test_a_killed_child_costs_one_job(
    bulk: Bulk, certificate: Certificate, opener: Opener, target: int
) -> None:
    async def scenario() -> None:
        await bulk.seal(b"warm", certificate, target)
        first = bulk.child_pid
        assert first is not None
        job = asyncio.create_task(bulk.seal(bytes(40 * MB), certificate, target))
        await asyncio.sleep(0.05)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await job
        assert str(first) not in os.listdir("/proc")  # no zombie either
        await bulk.seal(b"again", certificate, target)
        assert await bulk.open(target, opener) == b"again"
        assert bulk.child_pid not in (None, first)

    asyncio.run(scenario())


def test_a_child_killed_between_jobs_costs_one_job(
    bulk: Bulk, certificate: Certificate, opener: Opener, target: int
) -> None:
    async def scenario() -> None:
        await bulk.seal(b"one", certificate, target)
        assert bulk.child_pid is not None
        os.kill(bulk.child_pid, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await bulk.open(target, opener)
        assert await bulk.open(target, opener) == b"one"

    asyncio.run(scenario())


def test_many_at_once_wait_for_each_other(
    bulk: Bulk, certificate: Certificate, opener: Opener, tmp_path: Path
) -> None:
    async def one(number: int) -> bytes:
        fd = os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            await bulk.seal(b"%d" % number * 1000, certificate, fd)
            return await bulk.open(fd, opener)
        finally:
            os.close(fd)

    async def scenario() -> list[bytes]:
        return await asyncio.gather(*(one(number) for number in range(30)))

    assert asyncio.run(scenario()) == [b"%d" % number * 1000 for number in range(30)]


def test_a_cancelled_caller_may_close_its_file(
    bulk: Bulk, certificate: Certificate, opener: Opener, tmp_path: Path, target: int
) -> None:
    """The number of a closed descriptor is used again at once; nothing may be written there."""

    async def scenario() -> None:
        await bulk.seal(b"warm", certificate, target)
        fd = os.open(tmp_path / "left", os.O_RDWR | os.O_CREAT, 0o600)
        job = asyncio.create_task(bulk.seal(bytes(20 * MB), certificate, fd))
        await asyncio.sleep(0.01)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        os.close(fd)
        innocent = os.open(tmp_path / "innocent", os.O_RDWR | os.O_CREAT, 0o600)
        assert innocent == fd
        await bulk.seal(b"next", certificate, target)
        assert os.fstat(innocent).st_size == 0
        os.close(innocent)

    asyncio.run(scenario())


def test_no_key_in_arguments_or_environment(
    bulk: Bulk, certificate: Certificate, opener: Opener, target: int
) -> None:
    asyncio.run(bulk.seal(b"x", certificate, target))
    asyncio.run(bulk.open(target, opener))
    process = Path(f"/proc/{bulk.child_pid}")
    for name in ("cmdline", "environ"):
        assert opener.passphrase.reveal() not in (process / name).read_bytes()


def test_the_child_leaves_no_plain_file_and_no_descriptor(
    bulk: Bulk, certificate: Certificate, opener: Opener, target: int
) -> None:
    asyncio.run(bulk.seal(bytes(MB), certificate, target))
    ours = len(os.listdir("/proc/self/fd"))
    theirs = len(os.listdir(f"/proc/{bulk.child_pid}/fd"))
    for _ in range(5):
        asyncio.run(bulk.open(target, opener))
        asyncio.run(bulk.seal(bytes(MB), certificate, target))
    assert len(os.listdir("/proc/self/fd")) == ours
    assert len(os.listdir(f"/proc/{bulk.child_pid}/fd")) == theirs


def test_closing_ends_the_child_and_refuses_more(certificate: Certificate, target: int) -> None:
    bulk = Bulk()
    asyncio.run(bulk.seal(b"x", certificate, target))
    child = bulk.child_pid
    bulk.close()
    bulk.close()
    assert not Path(f"/proc/{child}").exists()
    with pytest.raises(Unavailable):
        asyncio.run(bulk.seal(b"x", certificate, target))


def peak_kib(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0])
