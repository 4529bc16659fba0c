"""What a job made of several calls ends with: its pictures in order, and the one error, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import CometError, PartialResultError, SaveError
from ..images import Images, Picture
from ..request import total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import Outcome
    from .job import Job

GRAVITY: tuple[Outcome, ...] = ("not_sent", "rejected", "unknown", "billed")


def outcome(job: Job) -> tuple[Images, CometError | None]:
    """The pictures of all calls, and the error that the job ends with."""
    calls = job.parts
    pictures = [*job.reused, *(picture for call in calls for picture in call.pictures)]
    images = Images(
        pictures,
        prompt=job.first.prompt,
        model=job.first.model,
        created=next((call.created for call in calls if call.created is not None), None),
        usage=_sum_usage([call.usage for call in calls if call.usage]),
        cost=total(call.cost for call in calls),
    )
    errors = [error for call in calls for error in call.errors]
    return images, together(errors, pictures, images)


def together(call_errors: list[CometError], pictures: list[Picture], images: Images) -> CometError | None:
    """The one error that a call made of several parts ends with, or None.

    Args:
        call_errors: the errors of all parts.
        pictures: the pictures that exist all the same.
        images: those as `Images`.
    """
    if not call_errors:
        return None
    failures = [error for error in call_errors if not isinstance(error, SaveError)]
    if not failures:
        return call_errors[0].with_facts(images=images)
    if not pictures:
        return failures[0].with_facts(errors=tuple(failures) if len(failures) > 1 else ())
    first = failures[0]
    return PartialResultError(
        f"{len(pictures)} of {len(pictures) + len(failures)} pictures arrived; the first failure: {first}",
        outcome=_gravest(pictures, failures),
        hint=first.hint,
        request_id=first.request_id,
        attempts=first.attempts,
        partial=first.partial,
        images=images,
        errors=failures,
        urls=[url for error in failures for url in error.urls],
        rescue_path=first.rescue_path,
    )


def _gravest(pictures: list[Picture], failures: list[CometError]) -> Outcome:
    """What is known of the money of all parts together; what was reused cost none."""
    if any(not picture.reused for picture in pictures):
        return "billed"
    return max((error.outcome for error in failures), key=GRAVITY.index)


def _sum_usage(usages: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The usage of all answers: numbers added up, also inside."""
    if len(usages) <= 1:
        return usages[0] if usages else None
    total: dict[str, Any] = {}
    for usage in usages:
        for name, value in usage.items():
            if type(value) is int:
                total[name] = total.get(name, 0) + value
            elif isinstance(value, dict):
                total[name] = _sum_usage([part for part in (total.get(name), value) if part])
    return total
