"""The circuit breaker alone: what counts as a failure, and what a cancelled request does."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest

from lostark_assets.errors import CircuitOpen
from lostark_assets.gateway.circuit import BadResponse, Circuit


def build_circuit(folder, failures=2):
    return Circuit("src", folder, failures=failures, open_s=30)


async def request(circuit, error=None):
    async with circuit.closed():
        if error is not None:
            raise error


async def fail(circuit, times):
    for _ in range(times):
        with contextlib.suppress(BadResponse):
            await request(circuit, BadResponse())


def read_row(folder):
    with contextlib.closing(sqlite3.connect(folder / "circuits.db")) as connection:
        return connection.execute("SELECT state, failures FROM circuits").fetchone()


def end_wait(folder):
    with contextlib.closing(sqlite3.connect(folder / "circuits.db")) as connection, connection:
        connection.execute("UPDATE circuits SET opened_at = opened_at - 3600")


async def cancel_while_requesting(circuit):
    entered = asyncio.Event()

    async def hang():
        async with circuit.closed():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_only_failures_in_a_row_open_it(tmp_path):
    async def run():
        circuit = build_circuit(tmp_path)
        for _ in range(3):
            await fail(circuit, 1)
            with pytest.raises(LookupError):
                await request(circuit, LookupError())  # any other error: the source responded
        assert read_row(tmp_path) == ("closed", 0)
        await fail(circuit, 2)
        with pytest.raises(CircuitOpen, match="open for 30 s more"):
            await request(circuit)

    asyncio.run(run())
    assert read_row(tmp_path) == ("opened", 0)


def test_a_cancelled_request_counts_for_nothing_while_closed(tmp_path):
    async def run():
        circuit = build_circuit(tmp_path)
        await fail(circuit, 1)
        await cancel_while_requesting(circuit)

    asyncio.run(run())
    assert read_row(tmp_path) == ("closed", 1)


def test_a_cancelled_probe_opens_it_again(tmp_path):
    async def run():
        await fail(build_circuit(tmp_path), 2)
        end_wait(tmp_path)
        circuit = build_circuit(tmp_path)
        await cancel_while_requesting(circuit)
        with pytest.raises(CircuitOpen):
            await request(circuit)

    asyncio.run(run())


def test_a_request_from_before_it_opened_neither_closes_nor_prolongs_it(tmp_path):
    async def run():
        circuit = build_circuit(tmp_path, failures=1)
        good, bad = circuit.closed(), circuit.closed()
        await good.__aenter__()
        await bad.__aenter__()
        await fail(circuit, 1)
        await good.__aexit__(None, None, None)
        with pytest.raises(CircuitOpen):
            await request(circuit)
        end_wait(tmp_path)
        assert not await bad.__aexit__(BadResponse, BadResponse(), None)
        await request(build_circuit(tmp_path, failures=1))

    asyncio.run(run())
    assert read_row(tmp_path) == ("closed", 0)


@pytest.mark.parametrize("state", ["half-opened", "opened"])
def test_a_stored_state_without_a_time_is_probed(tmp_path, state):
    async def run():
        await fail(build_circuit(tmp_path), 1)
        with contextlib.closing(sqlite3.connect(tmp_path / "circuits.db")) as connection, connection:
            connection.execute("UPDATE circuits SET state = ?, opened_at = NULL", (state,))
        await request(build_circuit(tmp_path))

    asyncio.run(run())
    assert read_row(tmp_path) == ("closed", 0)
