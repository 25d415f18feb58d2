"""What Prometheus is told at each scrape."""

import logging
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import Any, cast

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from automagik import __version__
from automagik.core.config import Settings
from automagik.core.database.migrate import head, require_current
from automagik.core.database.patience import PatientConnection
from automagik.core.database.session import Database
from automagik.core.exceptions import AutomagikError
from automagik.core.metrics import families
from automagik.core.metrics.families import Family, Kind
from automagik.core.metrics.flow_names import label
from automagik.core.metrics.happenings import Happenings
from automagik.core.metrics.moment import Sample, queue_names, read_moment
from automagik.core.metrics.sums import Sums
from automagik.core.redis_client import redis_client

logger = logging.getLogger(__name__)

MOST_FLOWS = 200
"""So many have series of their own."""
DEADLINE = timedelta(seconds=8)
"""When an answer comes, whatever PostgreSQL does: Prometheus waits for ten seconds."""
_PATIENCE = timedelta(seconds=5)

# One snapshot for all, and nothing that would stay when this process is forgotten.
_READ_ONLY = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_LIMITED = text("SET LOCAL statement_timeout = '4s'")


class Exporter(Collector):
    """Looks at the database when it is asked, once for all who ask at the same moment.

    Args:
        flows: so many have series of their own; None: there are no counters and histograms, as of
            a process that ends after one look.
    """

    def __init__(self, settings: Settings, *, flows: int | None = MOST_FLOWS) -> None:
        self._settings = settings
        self._database = Database(settings.require_database_url(), pool_size=1)
        self._happenings = Happenings(flows=flows) if flows is not None else None
        # One at a time: what is counted belongs to this thread.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._lock = Lock()
        self._look: Future[list[Metric]] | None = None
        self._latest: list[Metric] = []
        self._told: str | None = None

    def collect(self) -> list[Metric]:
        """Says that it is not up when there is no answer in time, and what was counted before."""
        with self._lock:
            if self._look is None or self._look.done():
                self._look = self._thread.submit(self._read)
            look = self._look
        try:
            return look.result(DEADLINE.total_seconds())
        except TimeoutError:
            self._tell(f"No answer within {DEADLINE.total_seconds():g} s")
            return [*_gauges([*_about_this(), (families.UP, (), 0)]), *self._latest]

    def close(self) -> None:
        self._thread.shutdown()
        self._database.dispose()

    def _read(self) -> list[Metric]:
        begun = time.monotonic()
        samples = [*_about_this(), *self._stored()]
        samples += self._deliveries(queue_names(samples) or [self._settings.queue])
        samples.append((families.READ_SECONDS, (), time.monotonic() - begun))
        return [*_gauges(samples), *self._latest]

    def _stored(self) -> Sequence[Sample]:
        try:
            with self._database.transaction() as connection, _impatient(connection):
                require_current(connection)
                found = read_moment(connection, self._settings)
                if self._happenings is not None:
                    self._count(self._happenings, connection)
        except AutomagikError as error:
            self._tell(error.message)
            return [(families.UP, (), 0)]
        except SQLAlchemyError as error:
            self._tell(f"PostgreSQL refused: {error}")
            return [(families.UP, (), 0)]
        self._tell(None)
        return [(families.UP, (), 1), *found]

    def _count(self, happenings: Happenings, connection: Connection) -> None:
        try:
            happenings.catch_up(connection)
        finally:
            behind: Sample = (families.EVENTS_BEHIND, (), happenings.behind)
            self._latest = [*_gauges([behind]), *_counted(happenings.sums)]

    def _deliveries(self, queues: Sequence[str]) -> Sequence[Sample]:
        try:
            with redis_client(self._settings) as client, client.pipeline(transaction=False) as pipe:
                for queue in queues:
                    pipe.llen(queue)
                lengths: Any = pipe.execute()
        except AutomagikError:
            return [(families.REDIS_UP, (), 0)]
        waiting = zip(queues, lengths, strict=True)
        return [
            (families.REDIS_UP, (), 1),
            *((families.DELIVERIES, (label(queue),), length) for queue, length in waiting),
        ]

    def _tell(self, trouble: str | None) -> None:
        """When it changes, not at each scrape."""
        if trouble and trouble != self._told:
            logger.warning("The database cannot be read: %s", trouble)
        elif self._told and not trouble:
            logger.warning("The database can be read again")
        self._told = trouble


@contextmanager
def _impatient(connection: Connection) -> Iterator[None]:
    """A transaction that changes nothing and gives up soon."""
    raw = cast("PatientConnection", connection.connection.dbapi_connection)
    raw.patience = _PATIENCE
    connection.execute(_READ_ONLY)
    connection.execute(_LIMITED)
    try:
        yield
    finally:
        del raw.patience  # what is left is that of the class


def _about_this() -> Iterator[Sample]:
    yield families.BUILD_INFO, (__version__, platform.python_version(), head()), 1


def _gauges(samples: Sequence[Sample]) -> Iterator[Metric]:
    found: dict[Family, GaugeMetricFamily] = {}
    for family, labels, value in samples:
        if family not in found:
            found[family] = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
        found[family].add_metric(labels, value)
    yield from found.values()


def _counted(sums: Sums) -> Iterator[Metric]:
    for family in families.COUNTED:
        match family.kind:
            case Kind.COUNTER:
                yield _counter(family, sums)
            case Kind.HISTOGRAM:
                yield _histogram(family, sums)


def _counter(family: Family, sums: Sums) -> Metric:
    metric = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, count in sums.counters(family).items():
        metric.add_metric(labels, count)
    return metric


def _histogram(family: Family, sums: Sums) -> Metric:
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    bounds = [*map(str, map(float, family.buckets)), "+Inf"]
    for labels, found in sums.histograms(family).items():
        buckets = list(zip(bounds, found.below(), strict=True))
        metric.add_metric(labels, buckets, found.seconds)
    return metric
