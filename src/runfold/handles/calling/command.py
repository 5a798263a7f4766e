"""How a method of a handle becomes a command: called, it waits; its `submit_…` twin returns at once."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args

from runfold.commands.plan import Plan
from runfold.commands.submitted import Submitted
from runfold.handles.calling.handle import Handle
from runfold.method_call import MethodCall

P = ParamSpec("P")
T = TypeVar("T")
H = TypeVar("H", bound=Handle)


def command(method: Callable[Concatenate[H, P], Plan[T]]) -> Callable[Concatenate[H, P], T]:
    """Make a command of a method that says what is to be done: calling it does that, and waits until it is durable."""

    @wraps(method)
    def execute(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.executor.execute(MethodCall(method, self, args, kwargs).with_lists())

    _show(execute, method, lambda answer: answer)
    return execute


def submitting(called: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], Submitted[T]]:
    """Make the twin of a command that returns at once. `await` what it returns, or ask for its `result()`."""
    method: Callable[..., Plan[T]] = called.__wrapped__  # type: ignore[attr-defined]  # set by `wraps` in `command`

    @wraps(method)
    def submit(self: H, /, *args: P.args, **kwargs: P.kwargs) -> Submitted[T]:
        return self.executor.submit(MethodCall(method, self, args, kwargs).with_lists())

    submit.__name__ = f"submit_{method.__name__}"
    submit.__qualname__ = method.__qualname__.removesuffix(method.__name__) + submit.__name__
    submit.__doc__ = f"Like `{method.__name__}`, but returns at once: `await` what comes back, or ask for its `result()`."
    _show(submit, method, lambda answer: Submitted[answer])  # type: ignore[valid-type]  # it is one at run time
    return submit


def _show(caller: Callable[..., Any], method: Callable[..., Any], returned: Callable[[Any], Any]) -> None:
    """Let `help` show what calling returns, and not the plan that the method returns."""
    signature = inspect.signature(method)
    (answer,) = get_args(signature.return_annotation)
    caller.__signature__ = signature.replace(return_annotation=returned(answer))  # type: ignore[attr-defined]
