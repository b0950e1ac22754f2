"""Training by several processes, as on several GPUs: here two of them, on the CPU."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from training import TINY, write_pictures

from bnnup.train.initial import CHECKPOINT, read_checkpoint

PROCESSES = """
import hashlib, itertools, os
from pathlib import Path
import torch
from bnnup.train import loop
from bnnup.train.settings import TrainingSettings

child = os.fork()
rank = 0 if child else 1
os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(rank)
trainer = loop.Trainer({settings!r}, [Path({pictures!r})], Path({run!r}))
clock = itertools.count(0, 1 + rank)  # that of the second process is fast
loop.time.monotonic = lambda: float(next(clock))
advance, spoilt = trainer._advance, []

def spoil_once():
    if trainer.step == 5 and not spoilt:
        spoilt.append(True)
        with torch.no_grad():
            trainer.network.tail.convolution.bias += 1000
    return advance()

trainer._advance = spoil_once
trainer.train(validate_every=4)
weights = b"".join(p.detach().numpy().tobytes() for p in trainer.network.parameters())
digest = hashlib.sha256(weights).hexdigest()
print(trainer.step, trainer.seconds, trainer.returns, trainer.best, digest, flush=True)
torch.distributed.destroy_process_group()
if child:
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork")
def test_processes_stay_in_step_whatever_their_clocks_and_scores(tmp_path: Path) -> None:
    """Through a divergence, and to the change to binary weights and the end by the clock."""
    settings = replace(TINY, minutes=12 / 60)
    pictures, run = write_pictures(tmp_path / "pictures"), tmp_path / "run"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = subprocess.run(
        [
            *(sys.executable, "-P", "-c"),
            PROCESSES.format(settings=settings, pictures=str(pictures), run=str(run)),
        ],
        env={
            **os.environ,
            "ACCELERATE_USE_CPU": "true",
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first == second
    assert first.startswith("12 12.0 1 ")
    assert read_checkpoint(run / CHECKPOINT)["step"] == 12
