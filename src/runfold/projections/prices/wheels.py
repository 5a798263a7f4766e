"""Other versions of the price list than the installed one: from the library's wheels, in a folder of whoever runs Runfold.

`pip download --no-deps genai-prices==0.2.2` puts one there. Nothing is fetched here.
"""

import re
import zipfile
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from runfold.errors import UsageError
from runfold.file_errors import at_home
from runfold.projections.prices.price_list import INSTALLED, LIBRARY, PriceList, installed, price_list

_VERSION = re.compile(rf"(?:{LIBRARY}[ =]+)?(\d[0-9A-Za-z.]{{0,30}})")


def price_list_of(text: str, folder: Path) -> PriceList:
    """The list of a version, such as `0.2.3` or `genai-prices 0.2.3`. Raises UsageError where it is not here."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"prices {text!r} is no version of {LIBRARY}; give one such as {INSTALLED}, which is installed")
    return installed() if match[1] == INSTALLED else _from_wheel(match[1], at_home(folder))


@lru_cache(maxsize=4)
def _from_wheel(version: str, folder: Path) -> PriceList:
    wheels = [path for path in folder.glob(f"{LIBRARY.replace('-', '_')}-{version}-*.whl") if path.is_file()]
    if not wheels:
        there = sorted(path.name.split("-")[1] for path in folder.glob(f"{LIBRARY.replace('-', '_')}-*.whl"))
        raise UsageError(
            f"the price list {LIBRARY} {version} is not here, only {', '.join([INSTALLED, *there])}; put its wheel into the "
            f"folder that RUNFOLD_PRICE_LISTS names (`pip download --no-deps {LIBRARY}=={version}`), or ask without prices"
        )
    module = ModuleType(f"genai_prices.data_{version}")
    module.__package__ = "genai_prices"  # it is written in terms of the library's types
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            source = wheel.read("genai_prices/data.py")
        exec(compile(source, f"{wheels[0]}/genai_prices/data.py", "exec"), vars(module))  # noqa: S102  a package, as pip puts it there
        return price_list(module.providers, version)
    except Exception as error:  # whatever the code of another version raises under this one's types
        raise UsageError(
            f"the price list {LIBRARY} {version} cannot be read beside {INSTALLED} ({type(error).__name__}: {error}); "
            "ask for another version"
        ) from error
