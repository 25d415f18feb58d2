"""What comes before `celery -A automagik flower`: our defaults, and a refusal to be open to all."""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any

import click

from automagik.core.exceptions import AutomagikError, ConfigurationError

_COLUMNS = {"args": "Flow", "kwargs": "Schedule"}

logger = logging.getLogger(__name__)


def configure(command: click.Command) -> None:
    """Makes Flower's command begin with us. Nothing is imported before it is called."""
    if command.callback is not None:
        command.callback = partial(_start, command.callback)


def _start(start: Callable[..., Any], *, tornado_argv: Sequence[str]) -> None:
    """Ends with one line when Flower must not or cannot start."""
    try:
        _settle(tornado_argv)
        _start_listening(start, tornado_argv)
    except AutomagikError as error:
        logger.critical("automagik: %s %s", error.message, error.hint or "")
        sys.exit(error.exit_code)


def _settle(arguments: Sequence[str]) -> None:
    """Flower reads the same again, from the same places, and comes to the same."""
    from flower.options import options
    from flower.views.tasks import TASK_COLUMNS

    from workers import flowerconfig

    names = options.as_dict().keys() & vars(flowerconfig).keys()
    for name in names:
        setattr(options, name, getattr(flowerconfig, name))
    TASK_COLUMNS.update(_COLUMNS)
    _read_options(arguments)
    _require_password(options)


def _read_options(arguments: Sequence[str]) -> None:
    from flower.command import apply_env_options, apply_options

    try:
        apply_env_options()
        apply_options(sys.argv[0], arguments)
    except Exception as error:  # a file of options is a program, which may raise anything
        raise ConfigurationError(
            f"Flower's options cannot be read: {type(error).__name__}: {error}.",
            hint="They come from FLOWER_* variables, flowerconfig.py and the command line.",
        ) from error


def _require_password(options: Any) -> None:
    """An empty pair would let in whoever sends an empty one."""
    for pair in options.basic_auth or ():
        name, _, password = pair.partition(":")
        if not (name and password):
            raise ConfigurationError(
                "Flower's basic auth is not user:password.",
                hint="Set FLOWER_BASIC_AUTH=user:password; a comma begins the next pair.",
            )
    is_guarded = options.basic_auth or (options.auth and options.auth_provider)
    if not (is_guarded or options.unix_socket or _is_loopback(options.address)):
        raise ConfigurationError(
            f"Flower does not listen on {options.address or 'all addresses'} without a password.",
            hint="Set FLOWER_BASIC_AUTH=user:password, or OAuth, or leave out --address.",
        )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _start_listening(start: Callable[..., Any], arguments: Sequence[str]) -> None:
    try:
        start(tornado_argv=arguments)
    except OSError as error:
        # No ConfigurationError, after which nobody tries again: ports and addresses come and go.
        raise AutomagikError(
            f"Flower cannot start: {error.strerror or error}.",
            hint="--address and --port (FLOWER_ADDRESS, FLOWER_PORT) say where it listens.",
        ) from error
