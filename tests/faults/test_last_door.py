"""What the command line makes of errors on top of errors."""

import signal

import pydantic
import pytest

from awaccli.cli import app
from awaccli.cli.console import ImmediateStop, complain
from awaccli.errors import RunError


def stopped_in_compiled_code():
    """Be interrupted where pydantic calls Python: it makes an error of its own of that."""

    def interrupted(value):
        raise ImmediateStop(signal.SIGTERM)

    class Model(pydantic.BaseModel):
        number: int = 0
        check = pydantic.field_serializer("number")(lambda self, value: interrupted(value))

    Model().model_dump()


def test_a_signal_that_arrives_inside_compiled_code_is_no_bug(capsys):
    with pytest.raises(Exception, match="ImmediateStop") as caught:
        stopped_in_compiled_code()
    assert not isinstance(caught.value, ImmediateStop)
    assert app._complain_about(caught.value) == 143
    assert capsys.readouterr().err == "error: interrupted\n"


def test_ctrl_c_before_anybody_minds_signals_is_130_without_a_traceback(monkeypatch, capsys):
    def command():
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "command", command)
    assert app._exit_code() == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_second_failure_is_said_beside_the_first(capsys):
    error = RunError("motor 3 is on fire", hint="pour water")
    error.add_note("the disk is full")
    complain(error)
    assert capsys.readouterr().err == (
        "error: motor 3 is on fire\nnote: the disk is full\nhint: pour water\n"
    )


def test_a_timeout_is_a_duration(awac):
    awac("collect-demos", "relocate", "--episode-timeout", "soon").failed(
        2, "--episode-timeout soon is no duration", "e.g. 3h50m or 90s"
    )
