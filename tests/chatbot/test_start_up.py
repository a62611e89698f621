"""What is left out at start, and that it is not missed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_gradio_writes_no_stubs_when_prepared_and_works_the_same() -> None:
    code = """
from chatbot import startup
startup.prepare()
import gradio, gradio.component_meta as meta, os
calls = []
class Mine(gradio.Textbox):
    EVENTS = ["change"]
print(meta.create_or_modify_pyi.__name__, Mine().get_block_name(), hasattr(Mine(), "change"),
      os.environ["GRADIO_ANALYTICS_ENABLED"], os.environ["HF_HUB_DISABLE_TELEMETRY"])
"""
    assert python(code) == "<lambda> mine True False 1"


def test_a_gradio_without_that_function_is_imported_unchanged() -> None:
    code = """
from chatbot import startup
startup.FUNCTION = "no_such_function"
startup.prepare()
import gradio.component_meta as meta
print(meta.create_or_modify_pyi.__name__, hasattr(meta, "no_such_function"))
"""
    assert python(code) == "create_or_modify_pyi False"


def test_no_command_line_is_imported_and_gradio_and_httpx_work_without() -> None:
    code = """
from chatbot import startup
startup.prepare()
import sys
from chatbot import app
from chatbot.backends import remote
import httpx, httpx2
print([name for name in ("rich", "pygments", "gradio.cli.commands") if name in sys.modules],
      httpx.Client is not None, httpx2.AsyncClient is not None)
"""
    assert python(code) == "[] True True"


def test_the_app_imports_neither_matplotlib_nor_a_model_it_does_not_use() -> None:
    code = """
from chatbot import startup
startup.prepare()
import sys
from chatbot import app
print([name for name in ("matplotlib", "torch", "transformers", "xllamacpp", "chatbot.backends.remote",
                         "orchestrator", "emulator") if name in sys.modules])
"""
    assert python(code) == "[]"
