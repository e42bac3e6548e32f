"""Two processes as a launcher starts them, but forked, so that everything is imported once."""

import os
import socket
import sys
import traceback
from collections.abc import Callable

import torch


def in_a_pair(call: Callable[[int], object], *, sharded: bool) -> None:
    """Call with the rank in each of two processes that find each other; both must end well."""
    torch.set_num_threads(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    variables["ACCELERATE_USE_FSDP"] = str(sharded).lower()
    children = []
    for rank in range(2):
        children.append(child := os.fork())
        if child == 0:
            code = 1
            try:
                os.environ |= variables | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                call(rank)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
