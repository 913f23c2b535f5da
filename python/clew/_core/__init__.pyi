"""The extension module: the C++ core as plain classes. ``clew`` wraps it; users import ``clew``.

Values cross as JSON: None, bool, int (64 bits), float (finite), str, list, tuple, dict with str keys,
dataclass instances, enum members (their value) and pydantic models. Anything else is `InvalidInput`
naming its path and type. Instants are aware datetimes in UTC both ways. A *duration* is a number of
seconds, a timedelta, or a string such as ``"1h30m"``.

Every call that may block releases the GIL and heeds Ctrl-C on the main thread. A method of a closed
runtime, or of one that belongs to the process this one was forked from, raises `Closed`.
Errors are the classes of ``clew._errors``.

It is one module; only its stub has parts.
"""

from ._calls import *
from ._loop import *
from ._loop import _AsyncInbox as _AsyncInbox
from ._loop import _AsyncJob as _AsyncJob
from ._loop import _Bell as _Bell
from ._loop import _QueryStop as _QueryStop
from ._loop import _Ring as _Ring
from ._offline import *
from ._runs import *
from ._runtime import *
from ._runtime import _at_exit as _at_exit
from ._stores import *
from ._values import *

__version__: str
