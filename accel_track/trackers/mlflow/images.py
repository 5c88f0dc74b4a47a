"""The images of MLflow's grid: files that are named as its page reads them."""

from __future__ import annotations

import io
import uuid
from typing import Any, ClassVar

from accel_track.trackers.fast import FastPath
from accel_track.trackers.names import safe_name

# The alphabet of `MlflowClient.log_image`, whose keys become part of a file's name: one with a space first gets lost.
_NOT_IN_KEYS = r"[^a-zA-Z0-9_\-. ]|^\s"
_KEY_LENGTH = 140
_SMALL = 256


class ImagesPath(FastPath):
    """The files and the tag of an image, as MLflow's page looks for them.

    `MlflowClient.log_image` makes up another name each time, so what is delivered again would be there twice; it
    encodes a file's pixels anew, and fails where an image is more than 256 times as high as wide.
    """

    distribution = "mlflow"
    tested = "==3.17.*"
    tag: ClassVar[str] = "mlflow.loggedImages"

    def fits(self) -> bool:
        """Return True: the page is as known."""
        return True


def image_key(name: str) -> str:
    """Return the key of a user's name."""
    return safe_name(name, _NOT_IN_KEYS, _KEY_LENGTH)


def stem(key: str, step: int, milliseconds: int, digest: str) -> str:
    """Return the path of an image's files, without suffixes, as `MlflowClient.log_image` makes it.

    Args:
        key: The image's key.
        step: Training step.
        milliseconds: When it was logged.
        digest: SHA-256 of its bytes, of which its id is made.
    """
    identity = uuid.uuid5(uuid.NAMESPACE_OID, digest)
    return f"images/{key.replace('/', '~')}+step+{step}+timestamp+{milliseconds}+{identity}"


def small(image: Any) -> bytes:
    """Return the image of the grid: a WebP file of at most 256 pixels in width and height."""
    share = _SMALL / max(image.size)
    size = [max(1, int(length * share)) for length in image.size]
    stream = io.BytesIO()
    image.resize(size).save(stream, "WEBP")
    return stream.getvalue()
