import asyncio
import threading

import pytest
from werkzeug.exceptions import ServiceUnavailable

from botify.limits import LimitedThreads


@pytest.mark.parametrize(("mean_s", "refused"), [(0.05, 0), (0.4, 2)])
def test_more_may_wait_where_the_wait_is_short(mean_s: float, refused: int) -> None:
    ended = threading.Event()
    threads = LimitedThreads(2, most_waiting=3, most_wait_s=0.5)
    threads._mean_s = mean_s

    async def ask_all() -> list[object]:
        asked = [threads.run(ended.wait, 60) for _ in range(5)]
        answers = asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(0)
        ended.set()
        return await answers

    answers = asyncio.run(ask_all())
    assert answers[: 5 - refused] == [True] * (5 - refused)
    assert [type(answer) for answer in answers[5 - refused :]] == (
        [ServiceUnavailable] * refused
    )
    threads.shutdown()
