"""How often somebody may ask."""

from runfold.access.bucket import Bucket


def test_a_bucket_lets_through_a_seconds_worth_at_once_and_then_evenly() -> None:
    bucket = Bucket(2, now=0)
    assert [bucket.take(0), bucket.take(0)] == [0, 0]
    assert bucket.take(0) == 0.5
    assert bucket.take(0.25) == 0.25
    assert bucket.take(0.5) == 0
    assert bucket.take(0.5) == 0.5
    assert [bucket.take(100) for _ in range(3)] == [0, 0, 0.5]
    seldom = Bucket(0.1, now=0)
    assert [seldom.take(0), seldom.take(0), seldom.take(10)] == [0, 10, 0]
