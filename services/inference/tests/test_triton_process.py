"""A child that talks too much."""

import os
import sys

from inference.shared_memory import SharedMemory
from inference.triton_process import TritonProcess

TALKATIVE = """
import sys
print("x" * 3_000_000)
print("error: the last words")
sys.exit(3)
"""


async def test_an_endless_line_of_log_neither_stops_triton_nor_hides_what_comes_after() -> None:
    shared_memory = SharedMemory(os.getpid())
    process = TritonProcess([sys.executable, "-c", TALKATIVE], variables={}, grace=1, shared_memory=shared_memory)
    async with process:
        assert await process.ended() == "Triton ended with exit code 3. error: the last words"
