"""`python -m chat.engine`: the model server. It listens at once; torch is imported and models are loaded after that."""

from __future__ import annotations

import logging.config
import os
import sys
import threading
import time
from types import FrameType

import structlog
import uvicorn
from pydantic import ValidationError

from chat.engine.app import Engine
from chat.engine.options import Options
from training.logs import json_lines

PARENT_LOOK_SECONDS = 1.0
GRACE_SECONDS = 2
LOGGERS = {"uvicorn.access": {"level": "WARNING"}, "uvicorn.error": {"level": "WARNING"}}

log = structlog.get_logger("chatsite.engine")


class Server(uvicorn.Server):
    """Tells the scheduler first, so that open streams end with a word instead of being cut."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.scheduler.end()
        super().handle_exit(sig, frame)


def read_options() -> Options:
    try:
        return Options()
    except ValidationError as error:
        lines = [f"CHATSITE_{str(item['loc'][0]).upper()} is wrong: {item['msg']}." for item in error.errors()]
        sys.exit("\n".join(lines))


def end_with_parent() -> None:
    """An engine whose supervisor is gone serves nobody and holds memory."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_LOOK_SECONDS)
        log.warning("parent is gone")
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main() -> None:
    options = read_options()
    logging.config.dictConfig(json_lines(options.log_level, loggers=LOGGERS, stream="ext://sys.stdout"))
    if not options.engine_detached:
        end_with_parent()
    # Spinning threads wait for a core that another process has: beside a busy neighbour steps took 5 times as long
    # (GPT-2 12x768 on 2 cores at load 3: 5.5 against 36 tokens/s with 8 rows). Read by OpenMP when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # The decoding thread is busy in Python; the event loop must not wait the default 5 ms for its turn.
    sys.setswitchinterval(0.001)
    engine = Engine(options)
    config = uvicorn.Config(
        engine.app(),
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    log.info("engine listens", url=options.engine_url, models=str(options.models_dir))
    Server(config, engine).run()


if __name__ == "__main__":
    main()
