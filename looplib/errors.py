"""The base of every error that the user can fix."""


class UserError(Exception):
    """An error that the user can fix: bad input, a missing file, a full disk.

    The only argument is the message, so that an error survives pickling across process borders.
    The message has the value found, the allowed values, and the place. Entry points print it in
    one line and exit with 2, without a traceback.

    Example:
        >>> raise UserError("plays.csv: no column song; it has listener and track")
        Traceback (most recent call last):
        looplib.errors.UserError: plays.csv: no column song; it has listener and track
    """


class ConfigError(UserError):
    """A configuration that cannot be used."""


EXTRAS = ("implicit", "s3fs")  # libraries that an extra installs


def missing_library(error: ModuleNotFoundError) -> str:
    """Name the missing library and the command that installs it.

    >>> missing_library(ModuleNotFoundError(name="implicit.cpu"))
    "implicit is not installed; pip install 'listening-loop[implicit]' brings it"
    """
    library = (error.name or "").partition(".")[0]
    extra = f"[{library.removesuffix('fs')}]" if library in EXTRAS else ""
    return f"{library} is not installed; pip install 'listening-loop{extra}' brings it"
